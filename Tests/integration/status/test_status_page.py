"""The status page: who may see it, what it tells, and that what it counts is what clients counted."""
import json
import os
import re
import shutil
import signal
import subprocess
import urllib.parse

import pytest

import debian_packages
from documents import example
from httpd_env import MODES, REFERENCE, Httpd, free_port, run_together, wait_until
from processes import about, children, name_of
from http_client import Client

pytestmark = pytest.mark.skipif(REFERENCE, reason="mod_wsgi 6.1.1 has no such page")

PAGE = "<Location /wsgi-status>\nSetHandler wsgi-status\nRequire local\n</Location>\n"
CONF = "WSGIScriptAlias /embedded {apps}/app.wsgi application-group=%{GLOBAL}\n" + PAGE
if "daemon" in MODES:
    CONF += """
WSGIDaemonProcess site processes=2 threads=2 python-path={lib}
WSGIDaemonProcess small processes=1 threads=1 queue-limit=4 python-path={lib}
WSGIDaemonProcess crash processes=1 threads=2 python-path={lib}
WSGIDaemonProcess "<b>&\\"'x" processes=1 threads=1 python-path={lib}
WSGIScriptAlias /daemon {apps}/app.wsgi process-group=site application-group=%{GLOBAL}
WSGIScriptAlias /small {apps}/app.wsgi process-group=small application-group=%{GLOBAL}
WSGIScriptAlias /crash {apps}/app.wsgi process-group=crash application-group=%{GLOBAL}
"""
NAMES = {"daemon": "site", "embedded": ""}
CLASSES = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"]


def status(server, query="json"):
    answer = server.get("/wsgi-status" + ("?" + query if query else ""))
    assert answer.status == 200, answer
    return json.loads(answer.body) if query == "json" else answer


def group(server, name):
    found, = [one for one in status(server)["groups"] if one["name"] == name]
    return found


def growth(before, after):
    return {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}


def settled(server, name, total):
    """The group's figures once it has counted so many requests and is at rest: both the handler and the process count a
    request just after the client has its answer."""
    def at_rest():
        one = group(server, name)
        return one if one["requests"]["total"] >= total and not one["requests_in_flight"] + one["threads_busy"] else None
    return wait_until(at_rest, lambda: "%d requests of %r: %r" % (total, name, group(server, name)))


@pytest.fixture(scope="module")
def server():
    with Httpd(CONF, apps="status", name="status", threads=32, modules=["authz_host"]) as running:
        running.expected_crashes = True
        yield running


def test_totals_are_those_of_the_clients(server, mode):
    before = group(server, NAMES[mode])
    answers = run_together(8, lambda _: [server.get("/%s/%s" % (mode, path)).status for path in ("pid", "pid", "nope")])
    statuses = [status for some in answers for status in some]
    assert sorted(set(statuses)) == [200, 404]
    after = settled(server, NAMES[mode], before["requests"]["total"] + 24)
    assert growth(before["requests"], after["requests"]) == {"total": 24, "2xx": 16, "4xx": 8}
    assert after["requests_in_flight"] == 0
    wait_until(lambda: group(server, NAMES[mode])["state"] == "serving", "all processes")


def test_failures_count_by_cause(mode, server):
    before = group(server, NAMES[mode])
    assert server.get("/%s/raise_error" % mode).status == 500
    with Client(server.port) as client:
        cut = client.request("GET", "/%s/short" % mode)
        assert cut.status == 200 and not cut.complete
    after = settled(server, NAMES[mode], before["requests"]["total"] + 2)
    assert growth(before["requests"], after["requests"]) == {"total": 2, "2xx": 1, "5xx": 1}
    assert growth(before["failures"], after["failures"]) == {"application_failed": 1, "response_cut": 1}
    assert after["last_failure"]["cause"] in ("response_cut", "application_failed")


@pytest.mark.skipif("daemon" not in MODES, reason="daemon mode is not tested here")
def test_a_process_that_dies(server):
    assert server.get("/crash/pid").status == 200
    before = settled(server, "crash", 1)
    pid, = [process["pid"] for process in before["processes"]]
    assert server.get("/crash/segfault").status == 502
    settled(server, "crash", before["requests"]["total"] + 1)
    wait_until(lambda: growth(before["process_ends"], group(server, "crash")["process_ends"]), "the end to be noted")
    after = group(server, "crash")
    assert growth(before["requests"], after["requests"]) == {"total": 1, "5xx": 1}
    assert growth(before["failures"], after["failures"]) == {"worker_died": 1}
    assert growth(before["process_ends"], after["process_ends"]) == {"crash_signal": 1}
    assert after["last_end"]["pid"] == pid and "SIGSEGV" in after["last_end"]["text"] and not after["last_end"]["normal"]
    assert after["last_failure"]["cause"] == "worker_died"
    wait_until(lambda: [p for p in group(server, "crash")["processes"] if p["state"] == "ready" and p["pid"] != pid],
               "a new process")
    page = status(server, "").text
    assert "worker died" in page and "SIGSEGV" in page


@pytest.mark.skipif("daemon" not in MODES, reason="daemon mode is not tested here")
def test_what_waits_and_what_is_refused(server):
    assert server.get("/small/pid").status == 200
    before = settled(server, "small", 1)
    gate = server.unused_path("open")

    def ask(index):
        if index < 6:
            return server.get("/small/wait_for?file=" + gate).status
        try:
            # One is run, three wait; two were refused.
            return wait_until(lambda: (lambda one: one if one["requests_in_flight"] == 4 and one["threads_busy"] == 1
                                       and one["requests_waiting"] == 3 and one["oldest_wait"] > 0.2
                                       and one["processes"][0]["oldest_request"] > 0
                                       and one["failures"]["overloaded"] >= before["failures"]["overloaded"] + 2
                                       else None)(group(server, "small")), lambda: group(server, "small"))
        finally:
            with open(gate, "w"):
                pass
    *answers, seen = run_together(7, ask)
    assert sorted(answers) == [200] * 4 + [503] * 2, (answers, seen)
    assert seen["threads_idle"] == 0
    process, = seen["processes"]
    assert process["threads_busy"] == 1 and process["threads_idle"] == 0 and process["oldest_request"] > 0
    assert process["resident_bytes"] > 1 << 20
    after = settled(server, "small", before["requests"]["total"] + 6)
    assert growth(before["requests"], after["requests"]) == {"total": 6, "2xx": 4, "5xx": 2}
    assert growth(before["failures"], after["failures"]) == {"overloaded": 2}
    answered = before["processes"][0]["requests"] + 4
    wait_until(lambda: group(server, "small")["processes"][0]["requests"] == answered, "the requests that were answered")
    assert after["latency"]["p99"] > 0.2


def test_requests_of_processes_add_up(mode, server):
    for _ in range(5):
        assert server.get("/%s/pid" % mode).status == 200

    def settled_group():
        one = group(server, NAMES[mode])
        adds_up = sum(process["requests"] or 0 for process in one["processes"]) == one["requests"]["total"]
        return one if adds_up and all(process["state"] == "ready" for process in one["processes"]) else None
    one = wait_until(settled_group, lambda: group(server, NAMES[mode]))
    assert all(process["uptime"] >= 0 for process in one["processes"])
    assert len(one["processes"]) == one["processes_wanted"]


def test_the_page_and_who_may_see_it(server):
    answer = status(server, "")
    assert answer.header("Content-Type") == "text/html; charset=utf-8"
    assert answer.header("Cache-Control") == "no-store"
    assert "default-src 'none'" in answer.header("Content-Security-Policy")
    assert '<meta http-equiv="refresh" content="5">' in answer.text
    assert '<meta http-equiv="refresh" content="17">' in status(server, "refresh=17").text
    assert 'http-equiv="refresh"' not in status(server, "refresh=0").text
    assert not re.search(r"<script|src=|url\(|@import", answer.text)
    head = server.request("HEAD", "/wsgi-status?json")
    assert head.status == 200 and head.header("Content-Type") == "application/json" and head.body == b""
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        refused = server.request(method, "/wsgi-status", body=b"x")
        assert refused.status == 405, (method, refused)
        assert "GET" in refused.header("Allow")


@pytest.mark.skipif("daemon" not in MODES, reason="daemon mode is not tested here")
def test_names_are_escaped(server):
    page = status(server, "").text
    assert "<b>&amp;" not in page and "<b>&" not in page
    assert "&lt;b&gt;&amp;&quot;&#39;x" in page
    assert "<b>&\"'x" in [one["name"] for one in status(server)["groups"]]
    assert 'group="<b>&\\"\'x"' in status(server, "openmetrics").text


def families(text):
    parser = pytest.importorskip("prometheus_client.openmetrics.parser")
    return {family.name: family for family in parser.text_string_to_metric_families(text)}


def test_openmetrics(mode, server):
    answer = status(server, "openmetrics")
    assert answer.header("Content-Type") == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert answer.text.endswith("# EOF\n")
    found = families(answer.text)
    name = NAMES[mode]
    one = group(server, name)

    def samples(family, suffix="", **labels):
        return {tuple(sorted(s.labels.items())): s.value for s in found[family].samples if s.name == family + suffix
                and s.labels["group"] == name and labels.items() <= s.labels.items()}
    assert sum(samples("wsgi_requests", "_total").values()) == one["requests"]["total"]
    assert set(dict(labels)["status"] for labels in samples("wsgi_requests", "_total")) == set(CLASSES)
    count, = samples("wsgi_request_duration_seconds", "_count").values()
    assert count == one["requests"]["total"]
    buckets = samples("wsgi_request_duration_seconds", "_bucket")
    assert len(buckets) == 22 and max(buckets.values()) == count
    created = set(samples("wsgi_requests", "_created").values())
    assert created == {samples_value(found["wsgi_start_time_seconds"])} == {status(server)["start_time"]}
    assert set(samples("wsgi_process_resident_memory_bytes")) == {
        (("group", name), ("pid", str(process["pid"]))) for process in one["processes"]}


def samples_value(family):
    sample, = family.samples
    return sample.value


def prometheus_program(name):
    return shutil.which(name) or os.path.join(debian_packages.unpacked("prometheus"), "usr", "bin", name)


def test_promtool_finds_nothing_to_mend(server):
    answer = status(server, "prometheus")
    assert answer.header("Content-Type").startswith("text/plain; version=0.0.4")
    done = subprocess.run([prometheus_program("promtool"), "check", "metrics"], input=answer.body, capture_output=True,
                          timeout=60)
    assert done.returncode == 0 and not done.stdout + done.stderr, done


HTML, JSON = "text/html; charset=utf-8", "application/json"
OPENMETRICS, PROMETHEUS = "application/openmetrics-text; version=1.0.0; charset=utf-8", "text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.parametrize("query, accept, expected", [
    ("", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", HTML), ("", "*/*", HTML), ("", "image/png", HTML),
    ("", "application/json, */*;q=0.5", JSON), ("", "text/plain", PROMETHEUS),
    ("", "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1", OPENMETRICS),
    ("", "application/openmetrics-text;version=0.0.1,text/plain;version=0.0.4;q=0.4,*/*;q=0.1", PROMETHEUS),
    ("openmetrics=", "*/*", OPENMETRICS), ("openmetrics=", None, OPENMETRICS), ("prometheus=", "text/html", PROMETHEUS),
    ("json=", None, JSON), ("html", "application/json", HTML),
])
def test_the_format_is_the_one_that_is_asked_for(server, query, accept, expected):
    answer = server.get("/wsgi-status" + ("?" + query if query else ""), [("Accept", accept)] if accept else [])
    assert answer.status == 200 and answer.header("Content-Type") == expected
    assert answer.header("Vary") == "Accept"


def test_a_prometheus_scrapes(mode, server):
    """Debian's own, with the manual's configuration as it stands, and with the formats named."""
    program = prometheus_program("prometheus")
    jobs = example("scrape")[0].text
    job = jobs.split("\n", 1)[1]
    for name in ("openmetrics", "prometheus"):
        jobs += job.replace("job_name: wsgi", "job_name: %s\n    params: {%s: ['']}" % (name, name))
    assert server.get("/%s/pid" % mode).status == 200
    total = settled(server, NAMES[mode], 1)["requests"]["2xx"]
    settings, port = server.unused_path("prometheus.yml"), free_port()
    directory = os.path.dirname(settings)
    with open(settings, "w") as conf:
        conf.write("global: {scrape_interval: 1s}\n" + jobs.replace("localhost:80", "127.0.0.1:%d" % server.port))

    def ask(query):
        try:
            with Client(port) as client:
                answer = client.request("GET", "/api/v1/query?query=" + urllib.parse.quote(query))
        except OSError:
            return {}
        if answer.status != 200:  # it has yet to read what it has stored
            return {}
        return {one["metric"]["job"]: float(one["value"][1]) for one in json.loads(answer.body)["data"]["result"]}
    with open(os.path.join(directory, "output"), "w+") as output:
        process = subprocess.Popen([program, "--config.file=" + settings,
                                    "--storage.tsdb.path=" + os.path.join(directory, "data"),
                                    "--web.listen-address=127.0.0.1:%d" % port], stdout=output, stderr=output)
        try:
            def story():
                return open(os.path.join(directory, "output")).read()[-3000:] + repr(ask("up"))
            wait_until(lambda: ask("up") == dict.fromkeys(("wsgi", "openmetrics", "prometheus"), 1), story)
            for query in ('wsgi_requests_total{group="%s",status="2xx"}' % NAMES[mode],
                          'wsgi_request_duration_seconds_count{group="%s"}' % NAMES[mode]):
                found = ask(query)
                assert set(found) == {"wsgi", "openmetrics", "prometheus"} and min(found.values()) >= total, (query, found)
        finally:
            process.terminate()
            process.wait(30)


def location(path, *lines):
    return "<Location /%s>\nSetHandler wsgi-status\n%s\n</Location>\n" % (path, "\n".join(lines))


# Where the page is, what stands beside the handler, and what a local client gets.
GUARDS = {
    "none": ("", 403),
    "local": ("Require local", 200),
    "all": ("Require all granted", 200),
    "denied": ("Require all denied", 403),
    "other": ("Require ip 192.0.2.1", 403),
    "any": ("<RequireAny>\nRequire ip 192.0.2.1\nRequire local\n</RequireAny>", 200),
    "conditional": ("<IfModule wsgi_module>\nRequire local\n</IfModule>", 200),
    "absent": ("<IfModule no_such_module>\nRequire local\n</IfModule>", 403),
    "method": ("<Limit POST>\nRequire local\n</Limit>", 403),
    "nested": ("<If \"true\">\nRequire local\n</If>", 403),
}


def test_a_requirement_of_its_own():
    conf = "".join(location(name, lines) for name, (lines, _) in GUARDS.items())
    conf += "<Location /split>\nSetHandler wsgi-status\n</Location>\n<Location /split>\nRequire local\n</Location>\n"
    conf += '<IfModule wsgi_module>\n%s</IfModule>\n<Directory "{docs}">\nAllowOverride All\n</Directory>\n' % location(
        "within", "Require local")
    with Httpd(conf, name="guard", modules=["authz_host"]) as server:
        with open(os.path.join(server.docs, ".htaccess"), "w") as file:
            file.write("SetHandler wsgi-status\nRequire all granted\n")
        for name, (_, expected) in GUARDS.items():
            assert server.get("/%s?json" % name).status == expected, name
        assert server.get("/split").status == 403
        assert server.get("/within").status == 200
        mark = server.log.mark()
        assert server.get("/none").status == 403
        assert server.log.lines(r"WSGI0520: .*httpd\.conf:\d+ has no Require of its own", mark)
        mark = server.log.mark()
        assert server.get("/anything").status == 403
        assert server.log.lines("WSGI0520: .*not set by a SetHandler of the server's configuration", mark)


def test_a_graceful_restart_begins_anew():
    with Httpd(CONF, apps="status", name="anew", threads=32, modules=["authz_host"]) as server:
        names = [NAMES[mode] for mode in MODES]
        for mode in MODES:
            assert server.get("/%s/pid" % mode).status == 200
            settled(server, NAMES[mode], 1)
        before = status(server)
        server.graceful()
        after = wait_until(lambda: (lambda now: now if now["start_time"] > before["start_time"] else None)(status(server)),
                           "the new generation")
        assert after["generation"] == before["generation"] + 1
        assert all(one["requests"]["total"] == 0 for one in after["groups"] if one["name"] in names)
        for mode in MODES:
            assert server.get("/%s/pid" % mode).status == 200
            assert settled(server, NAMES[mode], 1)["requests"]["total"] == 1


def test_an_httpd_child_that_dies_takes_its_figures_along():
    with Httpd(CONF, apps="status", name="child", threads=32, modules=["authz_host"]) as server:
        server.expected_crashes = True
        assert server.get("/embedded/pid").status == 200
        child, = settled(server, "", 1)["processes"]
        os.kill(child["pid"], signal.SIGKILL)
        wait_until(lambda: server.answers() and child["pid"] not in [p["pid"] for p in group(server, "")["processes"]],
                   "another child")
        # What was counted stays; only what belonged to the process is gone.
        assert group(server, "")["requests"]["total"] == 1


def test_children_of_prefork(mode):
    with Httpd(CONF, apps="status", name="prefork", mpm="prefork", processes=3, modules=["authz_host"]) as server:
        assert run_together(6, lambda _: server.get("/%s/pid" % mode).status) == [200] * 6
        one = settled(server, NAMES[mode], 6)
        assert one["requests"]["2xx"] == one["requests"]["total"] == 6
        wait_until(lambda: sum(process["requests"] or 0 for process in group(server, NAMES[mode])["processes"]) == 6,
                   lambda: group(server, NAMES[mode]))
        if mode == "embedded":
            assert one["threads_per_process"] == 1
            wait_until(lambda: len(group(server, "")["processes"]) >= 3, "all children")


@pytest.mark.skipif("daemon" not in MODES, reason="daemon mode is not tested here")
@pytest.mark.unsanitized("the sanitizer keeps what is freed")
def test_many_pages_of_many_groups_do_not_add_up():
    """Each thread of httpd makes its page in memory that malloc keeps for it: what all of them keep has a bound."""
    conf = "".join("WSGIDaemonProcess g%d processes=0-1\nWSGIScriptAlias /g%d {apps}/app.wsgi process-group=g%d\n"
                   % ((number,) * 3) for number in range(1000))
    with Httpd(conf + PAGE, apps="status", name="status", processes=1, threads=32, modules=["authz_host"]) as server:
        child, = [pid for pid in children(server.pid) if not name_of(pid).startswith("wsgi-")]

        def anonymous():
            return int(re.search(r"^Anonymous: +(\d+) kB", about(child, "smaps_rollup"), re.M).group(1)) >> 10
        assert len(status(server)["groups"]) >= 1000
        before = anonymous()
        for query in ("json", "openmetrics", ""):
            run_together(32, lambda _: [status(server, query) for _ in range(4)])
        # Sixteen arenas would keep six megabytes each, and more for the larger formats.
        assert anonymous() - before < 50

