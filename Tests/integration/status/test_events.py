"""Events through a real server (their payloads in detail: Tests/WSGIAdapterTests/EventTests.swift)."""
import json
import os
import signal
import urllib.parse

import pytest

from httpd_env import Site, wait_until
from test_module import evaluate, execute

RECORD = """
def record(name, **payload):
    seen.append((name, payload))
mod_wsgi.subscribe_events(record)
"""


def SITE():
    return Site("observe", group="events")


@pytest.fixture
def recorded(site, mode):
    """Records events while the test runs; gives a function that tells them, up to the request that asks."""
    execute(site, mode, RECORD)
    execute(site, mode, "seen.clear()")

    def events(expression="[name for name, payload in events]"):
        # The requests that set up and ask are not what is asked for.
        return evaluate(site, mode, """(lambda mine: (lambda events: %s)([(name, payload) for name, payload in seen
            if payload['request_id'] in mine]))({payload['request_id'] for name, payload in seen if name == 'request_started'
            and payload['request_environ']['PATH_INFO'] not in ('/evaluate', '/execute')})""" % expression)
    yield events
    execute(site, mode, "mod_wsgi.event_callbacks.clear()")


def payload(events, name):
    return events("[{key: value for key, value in payload.items() if isinstance(value, (int, float, str, list, type(None)))} "
                  "for event, payload in events if event == %r][0]" % name)


def test_a_request(site, mode, recorded):
    answer = site.request(mode, "POST", "/body", body=b"x" * 70000)
    assert answer.text == "70000"
    # The response does not wait for the end of the request.
    wait_until(lambda: recorded() == ["request_started", "response_started", "request_finished"], recorded)
    started, finished = payload(recorded, "request_started"), payload(recorded, "request_finished")
    assert started["request_id"] == finished["request_id"] != ""
    assert started["callable_object"] == "application"
    assert started["server_pid"] in site.httpd.children()
    assert started["thread_id"] > 0
    if mode == "daemon":
        assert started["daemon_connects"] == 1 and started["daemon_restarts"] == 0
        assert started["request_start"] <= started["queue_start"] <= started["daemon_start"] <= started["application_start"]
    else:
        assert started["daemon_connects"] == started["daemon_restarts"] == 0
        assert started["queue_start"] == started["daemon_start"] == 0.0
        assert started["request_start"] <= started["application_start"]
    assert (finished["input_length"], finished["input_reads"]) == (70000, 1)
    assert (finished["output_length"], finished["status"]) == (5, 200) and finished["output_writes"] >= 1
    assert finished["application_finish"] - finished["application_time"] == pytest.approx(
        started["application_start"], abs=1e-4)
    assert finished["output_time"] > 0
    assert 0 <= finished["cpu_time"] <= finished["application_time"]
    for key in ("input_time", "gil_wait_time", "cpu_user_time", "cpu_system_time"):
        assert isinstance(finished[key], float) and finished[key] >= 0


def test_an_exception(site, mode, recorded):
    assert site.get(mode, "/fail").status == 500
    wait_until(lambda: recorded() == ["request_started", "request_exception", "request_finished"], recorded)
    assert payload(recorded, "request_finished")["status"] == 500
    assert recorded("[repr(payload['exception_info'][1]) for name, payload in events if name == 'request_exception']") \
        == ["ValueError('told to fail')"]


def test_a_stream(site, mode, recorded):
    assert site.get(mode, "/stream/50").body == b"0123456789" * 50
    wait_until(lambda: "request_finished" in recorded(), recorded)
    assert payload(recorded, "request_finished")["output_length"] == 500


def test_wrapping(site, mode):
    execute(site, mode, """
def wrap(name, application_object=None, **payload):
    if name == 'request_started':
        def wrapped(environ, start_response):
            def start(status, headers, exc_info=None):
                return start_response(status, headers + [('X-Wrapped', 'yes')], exc_info)
            return application_object(environ, start)
        return {'application_object': wrapped}
mod_wsgi.subscribe_events(wrap)
""")
    try:
        assert site.get(mode, "/status/202").header("X-Wrapped") == "yes"
    finally:
        execute(site, mode, "mod_wsgi.event_callbacks.clear()")
    assert site.get(mode, "/status/202").header("X-Wrapped") is None


def test_the_client_does_not_wait_for_subscribers(site, mode):
    """request_finished comes after the response: a slow subscriber holds up nobody."""
    gate = site.httpd.unused_path("go")
    execute(site, mode, """
def hold(name, request_environ=None, **payload):
    if name == 'request_finished' and mod_wsgi.request_data().get('held'):
        while not os.path.exists(%r):
            time.sleep(0.01)
        seen.append('released')
def mark(name, request_environ=None, **payload):
    if name == 'request_started' and request_environ['PATH_INFO'].endswith('/299'):
        mod_wsgi.request_data()['held'] = True
mod_wsgi.subscribe_events(mark)
mod_wsgi.subscribe_events(hold)
seen.clear()
""" % gate)
    with site.httpd.client() as client:
        answer = client.request("GET", "/%s/status/299" % mode)
        assert answer.status == 299 and answer.complete
    assert evaluate(site, mode, "seen") == []
    open(gate, "w").close()
    wait_until(lambda: evaluate(site, mode, "seen") == ["released"], "the subscriber's end")
    execute(site, mode, "mod_wsgi.event_callbacks.clear()")


def stopping_site(make_httpd, mode, options=""):
    where = "process-group=site" if mode == "daemon" else "process-group=%{GLOBAL}"
    conf = ["WSGIScriptAlias /%s {apps}/app.wsgi %s application-group=%s" % (name, where, group)
            for name, group in (("main", "%{GLOBAL}"), ("one", "one"))]
    if mode == "daemon":
        conf.insert(0, "WSGIDaemonProcess site threads=2 python-path={lib} " + options)
    return make_httpd("\n".join(conf), apps="observe")


def call(server, name, code):
    assert server.get("/%s/execute?%s" % (name, urllib.parse.urlencode({"c": code}))).text == "done"


def test_process_stopping(make_httpd, mode):
    server = stopping_site(make_httpd, mode)
    path = server.unused_path("events")
    for name in ("main", "one"):
        call(server, name, """
def note(who):
    def noted(event, **payload):
        if event == 'process_stopping':
            with open(%r, 'a') as out:
                print(who, mod_wsgi.application_group or 'main', event, sorted(payload.items()), file=out)
    return noted
mod_wsgi.subscribe_shutdown(note('shutdown'))
mod_wsgi.subscribe_events(note('events'))
""" % path)
    server.stop()
    with open(path) as left:
        lines = left.read().splitlines()
    reason = "shutdown_signal" if mode == "daemon" else ""
    assert lines == ["%s %s process_stopping [('shutdown_reason', '%s')]" % (who, group, reason)
                     for group in ("main", "one") for who in ("events", "shutdown")]


def test_process_signal(make_httpd, mode):
    if mode != "daemon":
        pytest.skip("signals are httpd's own in embedded mode")
    server = stopping_site(make_httpd, mode)
    for name in ("main", "one"):
        call(server, name, """
def note(who):
    def noted(event, **payload):
        if event == 'process_signal':
            seen.append([who, payload])
    return noted
mod_wsgi.subscribe_signals(note('signals'))
mod_wsgi.subscribe_events(note('events'))
""")
    pid = json.loads(server.get("/main/evaluate?e=os.getpid()").text)
    for number, name in ((signal.SIGHUP, "SIGHUP"), (signal.SIGUSR2, "SIGUSR2")):
        os.kill(pid, number)
        for group in ("main", "one"):
            wait_until(lambda: len(json.loads(server.get("/%s/evaluate?e=seen" % group).text)) >= 2, "the signal's events")
            seen = json.loads(server.get("/%s/evaluate?e=seen" % group).text)
            assert seen == [[who, {"signame": name, "signum": number}] for who in ("events", "signals")]
            call(server, group, "seen.clear()")
