"""`import mod_wsgi` and `import apache`: every name of theirs, in both modes."""
import json
import os
import urllib.parse

import pytest

from httpd_env import REFERENCE, Site, run_together, wait_until


def SITE():
    return Site("observe", daemon_options="threads=8 server-metrics=On", conf="WSGIServerMetrics On\nExtendedStatus On",
                log_level="warn wsgi:debug")


def evaluate(site, mode, expression, path="/evaluate", **more):
    answer = site.get(mode, path + "?" + urllib.parse.urlencode({"e": expression}), **more)
    assert answer.status == 200, answer
    return json.loads(answer.text)


def execute(site, mode, code):
    assert site.get(mode, "/execute?" + urllib.parse.urlencode({"c": code})).text == "done"


NAMES = {
    "version": "tuple", "process_group": "str", "application_group": "str", "maximum_processes": "int",
    "threads_per_process": "int", "FileWrapper": "type", "RequestTimeout": "type", "LogHandler": "type",
    "server_metrics": "builtin_function_or_method", "process_metrics": "builtin_function_or_method",
    "request_metrics": "builtin_function_or_method", "start_recording_metrics": "builtin_function_or_method",
    "subscribe_events": "function", "subscribe_shutdown": "function", "subscribe_signals": "function",
    "request_data": "builtin_function_or_method", "active_requests": "dict", "event_callbacks": "list",
    "shutdown_callbacks": "list", "signal_callbacks": "list",
}
if not REFERENCE:
    NAMES["reload"] = "builtin_function_or_method"


def test_names(site, mode):
    found = evaluate(site, mode, "{name: type(getattr(mod_wsgi, name)).__name__ for name in dir(mod_wsgi) if name[0] != '_'}")
    functions = ("function", "builtin_function_or_method")
    assert {name: kind in functions and functions or kind for name, kind in found.items()} \
        == {name: kind in functions and list(functions) and functions or kind for name, kind in NAMES.items()}


@pytest.mark.parametrize("expression, embedded, daemon", [
    ("mod_wsgi.version", [6, 1, 1], [6, 1, 1]),
    ("mod_wsgi.process_group", "", "site"),
    ("mod_wsgi.application_group", "", ""),
    ("mod_wsgi.threads_per_process", 80, 8),
    ("mod_wsgi.RequestTimeout.__mro__[1] is BaseException", True, True),
    ("issubclass(mod_wsgi.LogHandler, logging.Handler)", True, True),
    ("environ['wsgi.file_wrapper'] is mod_wsgi.FileWrapper", True, True),
    ("(mod_wsgi.__spec__, mod_wsgi.__loader__)", [None, None], [None, None]),
    ("mod_wsgi.subscribe_shutdown(len) is len and mod_wsgi.shutdown_callbacks.pop() is len", True, True),
    ("mod_wsgi.subscribe_events(None), mod_wsgi.event_callbacks.pop()", [None, None], [None, None]),
    ("apache.version == environ['apache.version'] and len(apache.version)", 3, 3),
    ("apache.mpm_name", "event", "event"),
    ("apache.description.startswith('Apache/')", True, True),
    ("isinstance(apache.build_date, str) and apache.build_date != ''", True, True),
    ("(apache.threads_per_process, apache.maximum_processes)", [80, 1], [80, 1]),
    ("sorted(name for name in dir(apache) if name[0] != '_')",
     ["build_date", "description", "maximum_processes", "mpm_name", "threads_per_process", "version"],
     ["build_date", "description", "maximum_processes", "mpm_name", "threads_per_process", "version"]),
])
def test_values(site, mode, expression, embedded, daemon):
    assert evaluate(site, mode, expression) == (daemon if mode == "daemon" else embedded)


def test_request_data_lives_as_long_as_its_request(site, mode):
    assert evaluate(site, mode, "mod_wsgi.request_data().setdefault('key', mod_wsgi.request_data())['key'] is "
                                "mod_wsgi.active_requests[environ['mod_wsgi.request_id']]") is True
    assert evaluate(site, mode, "mod_wsgi.request_data()") == {}
    assert evaluate(site, mode, "[list(mod_wsgi.active_requests) == [environ['mod_wsgi.request_id']]]") == [True]


def test_request_data_belongs_to_a_thread(site, mode):
    expression = "(lambda found, target: (target.start(), target.join(), found))"
    execute(site, mode, "def elsewhere(work):\n    found = []\n    def run():\n        try:\n            found.append(work())\n"
                        "        except Exception as exception:\n            found.append(repr(exception))\n"
                        "    thread = threading.Thread(target=run)\n    thread.start()\n    thread.join()\n    return found[0]\n")
    assert evaluate(site, mode, "elsewhere(mod_wsgi.request_data)") == "RuntimeError('no active request for thread')"
    assert expression


def test_active_requests_of_many(site, mode, tmp_path):
    os.chmod(str(tmp_path), 0o755)
    gate = site.httpd.unused_path("go")
    import threading
    waiting = [threading.Thread(target=lambda: site.get(mode, "/wait?path=" + gate)) for _ in range(4)]
    for thread in waiting:
        thread.start()
    from httpd_env import wait_until
    wait_until(lambda: evaluate(site, mode, "len(mod_wsgi.active_requests)") == 5, "four requests that wait")
    open(gate, "w").close()
    for thread in waiting:
        thread.join()
    wait_until(lambda: evaluate(site, mode, "len(mod_wsgi.active_requests)") == 1, "their end")


def test_signals_cannot_be_subscribed_to_in_embedded_mode(site, mode):
    mark = site.log.mark()
    assert evaluate(site, mode, "(mod_wsgi.subscribe_signals(len) is len, len(mod_wsgi.signal_callbacks))") \
        == [True, 1 if mode == "daemon" else 0]
    if mode == "embedded":
        site.log.wait_for(r"wsgi:info.*ignored in embedded mode", mark)


# MARK: LogHandler

LEVELS = {5: "debug", 10: "debug", 20: "info", 25: "info", 30: "warn", 40: "error", 50: "crit", 60: "crit"}


@pytest.mark.parametrize("where", ["request", "thread"])
def test_log_handler(site, mode, where):
    mark = site.log.mark()
    assert site.get(mode, "/log_levels/" + where).status == 200
    site.flush_log(mode)
    site.log.wait_for(r"bad %d", mark)
    for number, level in LEVELS.items():
        line, = site.log.lines(r"of observe\.%s: level %d$" % (where, number), mark)
        assert "[wsgi:%s]" % level in line
        assert ("[script " in line) == (where == "request"), line
    for part in ("first line", "second line"):
        line, = site.log.lines(part, mark)
        assert "[wsgi:error]" in line
    # A message that cannot be formatted goes the way that logging has for that.
    assert site.log.lines(r"TypeError: %d format", mark)


def test_log_handler_asks_for_the_level_before_it_formats(make_httpd, mode):
    if mode == "daemon":
        conf = "WSGIDaemonProcess site threads=2 python-path={lib}\nWSGIScriptAlias / {apps}/app.wsgi process-group=site"
    else:
        conf = "WSGIScriptAlias / {apps}/app.wsgi"
    server = make_httpd(conf + " application-group=%{GLOBAL}", apps="observe", log_level="warn")
    code = ("class Loud:\n    def __str__(self):\n        seen.append(1)\n        return 'loud'\n"
            "logger = logging.getLogger('levels')\nlogger.addHandler(mod_wsgi.LogHandler())\nlogger.setLevel(1)\n"
            "logger.propagate = False\n"
            "logger.info('%s', Loud())\nlogger.debug('%s', Loud())\nlogger.warning('%s', Loud())")
    assert server.get("/execute?" + urllib.parse.urlencode({"c": code})).text == "done"
    assert server.get("/evaluate?e=seen").text == "[1]"
    server.log.wait_for(r"wsgi:warn.*loud")


def test_fifty_threads_log_whole_lines(site, mode):
    mark = site.log.mark()
    execute(site, mode, "def crowd():\n    logger = logging.getLogger('crowd')\n    logger.handlers = [mod_wsgi.LogHandler()]\n"
                        "    logger.propagate = False\n"
                        "    def write(number):\n        for line in range(20):\n"
                        "            logger.error('crowd %02d-%02d %s.', number, line, 'x' * 200)\n"
                        "    threads = [threading.Thread(target=write, args=(n,)) for n in range(50)]\n"
                        "    [t.start() for t in threads]\n    [t.join() for t in threads]\n    return 'logged'")
    assert evaluate(site, mode, "crowd()") == "logged"
    lines = site.log.wait_for(r"crowd \d\d-\d\d x{200}\.$", mark, count=1000)
    assert len({line.split("crowd ")[1][:5] for line in lines}) == 1000


# MARK: server_metrics

def test_server_metrics(site, mode):
    run_together(4, lambda _: site.get(mode, "/status/200"))

    path = "/%s/evaluate?%s" % (mode, urllib.parse.urlencode({"e": "mod_wsgi.server_metrics()"}))

    def with_one_busy(client):
        # A client may have its answer before httpd has marked the thread as idle; on one connection requests follow each other.
        answer = client.request("GET", path)
        assert answer.status == 200, answer
        metrics = json.loads(answer.text)
        busy = [worker for process in metrics["processes"] for worker in process["workers"] if worker["status"] == "W"]
        return metrics if len(busy) == 1 else None
    with site.httpd.client() as client:
        metrics = wait_until(lambda: with_one_busy(client), "one busy thread")
    assert {key: type(value).__name__ for key, value in metrics.items()} == {
        "server_limit": "int", "thread_limit": "int", "running_generation": "int", "restart_time": "float",
        "current_time": "float", "running_time": "int", "processes": "list"}
    assert metrics["thread_limit"] == 80 and len(metrics["processes"]) == metrics["server_limit"]
    assert 0 <= metrics["current_time"] - metrics["restart_time"] < 3600
    process, = [process for process in metrics["processes"] if process["pid"]]
    assert process["pid"] in site.httpd.children()
    assert {key: type(value).__name__ for key, value in process.items()} == {
        "process_num": "int", "pid": "int", "generation": "int", "quiescing": "bool", "workers": "list"}
    assert len(process["workers"]) == 80
    assert {key: type(value).__name__ for key, value in process["workers"][0].items()} == {
        "thread_num": "int", "generation": "int", "status": "str", "access_count": "int", "bytes_served": "int",
        "start_time": "float", "stop_time": "float", "last_used": "float", "client": "str", "request": "str", "vhost": "str"}
    busy = [worker for worker in process["workers"] if worker["status"] == "W"]
    assert len(busy) == 1 and "/evaluate" in busy[0]["request"] and busy[0]["client"] == "127.0.0.1"
    assert {worker["status"] for worker in process["workers"]} <= set("._SRWKLDCGI")
    empty = [process for process in metrics["processes"] if not process["pid"]]
    assert all(worker["status"] == "." for process in empty for worker in process["workers"])


def test_server_metrics_are_off_by_default(make_httpd, mode):
    if mode == "daemon":
        conf = "WSGIDaemonProcess site threads=2 python-path={lib}\nWSGIScriptAlias / {apps}/app.wsgi process-group=site"
    else:
        conf = "WSGIScriptAlias / {apps}/app.wsgi"
    server = make_httpd(conf, apps="observe")
    assert server.get("/evaluate?e=mod_wsgi.server_metrics()").text == "null"
