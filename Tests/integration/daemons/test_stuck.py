"""Requests that are stuck: each ends with 504 once its group's limit is over, and what else its process has loses nothing."""
import os

import pytest

from httpd_env import MODES, REFERENCE

pytestmark = pytest.mark.skipif("daemon" not in MODES or REFERENCE, reason="what daemon processes of mod_wsgi 6.1.1 do not do")

HANGS = """import ctypes, os, time
def wait(with_gil=False):
    print("hangs", flush=True)
    while not os.path.exists(%r):
        try:
            ctypes.PyDLL(None).sleep(1000) if with_gil else time.sleep(0.02)
        except BaseException as error:
            print(repr(error), flush=True)
"""
ANSWERS = """
def application(environ, start_response):
    if environ["QUERY_STRING"]:
        wait("gil" in environ["QUERY_STRING"])
    start_response("200 OK", [])
    return [b"%d" % os.getpid()]
"""
# What hangs: the options with the limit, the script, the request's query string, and the number of the entry that says so.
STUCK = {
    "an import, of which the start is limited": ("startup-timeout=500ms", "wait()\n" + ANSWERS, "", "WSGI0412"),
    "an import, of which the request is limited": ("request-timeout=500ms", "wait()\n" + ANSWERS, "", "WSGI0411"),
    "a request": ("request-timeout=500ms", ANSWERS, "?hang", "WSGI0411"),
    "a request that will not be interrupted": (
        "request-timeout=500ms interrupt-timeout=200ms", ANSWERS, "?stubborn", "WSGI0411"),
    "a request with the GIL": ("deadlock-timeout=1s", ANSWERS, "?gil", "WSGI0413"),
}


@pytest.fixture
def serve(make_httpd):
    def start(options, script, group="%{GLOBAL}"):
        """A server of one script, and the file for which the script waits."""
        def prepare(server):
            with open(os.path.join(server.root, "hangs.wsgi"), "w") as file:
                file.write(HANGS % os.path.join(server.root, "gate") + script)
        server = make_httpd("WSGIDaemonProcess group processes=1 shutdown-timeout=500ms %s\n"
                            "WSGIScriptAliasMatch ^/(.*) {root}/$1 process-group=group application-group=%s\n" % (options, group),
                            name="stuck", threads=32, prepare=prepare)
        return server, os.path.join(server.root, "gate")
    return start


@pytest.mark.parametrize("group", ["%{GLOBAL}", "own"])
@pytest.mark.parametrize("row", STUCK)
def test_what_is_stuck_costs_nobody_else_anything(serve, row, group):
    options, script, query, entry = STUCK[row]
    server, gate = serve("threads=4 " + options, script, group)
    server.expected_crashes = True
    with server.client() as stuck, server.client() as first, server.client() as second:
        stuck.send(stuck.head("GET", "/hangs.wsgi" + query))
        server.log.wait_for("hangs")
        for client in (first, second):
            client.send(client.head("GET", "/hangs.wsgi"))
        server.log.wait_for(entry)
        server.log.wait_for("Shutdown timeout expired")
        # Whatever runs next finds what this one waits for.
        open(gate, "w").close()
        answers = [client.read_response() for client in (stuck, first, second)]
    assert [answer.status for answer in answers] == [504, 200, 200]
    server.log.wait_for("WSGI0146")
