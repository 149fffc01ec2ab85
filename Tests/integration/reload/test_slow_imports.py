"""Scripts that hang while they are imported: what the log says, what requests get, and startup-timeout."""
import os
import re
import threading

import pytest

from httpd_env import MODES, REFERENCE, Httpd, wait_until

pytestmark = pytest.mark.skipif(REFERENCE, reason="the reference says nothing about slow imports")

# Waits for a file, in a function of a module of its own, so that a stack has something to show.
HANGS = """
import os, time
def wait_for_the_gate():
    while not os.path.exists(%r):
        time.sleep(0.01)
wait_for_the_gate()
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'at last']
"""

# After so many seconds a script is reported.
PATIENCE = 10


class Hanging:
    """A server whose script waits for a gate to be opened."""

    def __init__(self, conf, **httpd):
        self.httpd = Httpd("", name="hanging", **httpd)
        self.gate = self.httpd.unused_path("open")
        self.script = os.path.join(self.httpd.apps, "hangs.wsgi")
        with open(self.script, "w") as out:
            out.write(HANGS % self.gate)
        self.httpd.configure(conf)
        self.log = self.httpd.log

    def open_gate(self):
        open(self.gate, "w").close()

    def __enter__(self):
        self.httpd.__enter__()
        return self

    def __exit__(self, *failure):
        self.open_gate()
        self.httpd.__exit__(*failure)


def in_background(work):
    """Runs work() in a thread; the result is a function that waits for what it gave."""
    results = []
    thread = threading.Thread(target=lambda: results.append(work()), daemon=True)
    thread.start()

    def result():
        thread.join(60)
        return results[0]
    return result


def check_report(line, server, where):
    assert "Script '%s' is still loading, after 10 s, into the main interpreter %s" % (server.script, where) in line
    place = r'file "[^"]*hangs.wsgi", line \d+'
    assert re.search("%s, in wait_for_the_gate, called from %s" % (place, place), line)
    assert "importlib" not in line


def test_a_preloaded_script_that_hangs():
    if "daemon" not in MODES:
        pytest.skip("there is no daemon mode")
    with Hanging("""
WSGIDaemonProcess site connect-timeout=1 threads=2
WSGIScriptAlias /site {apps}/hangs.wsgi process-group=site application-group=%{GLOBAL}
WSGIDaemonProcess service threads=0 startup-timeout=1
WSGIImportScript {apps}/hangs.wsgi process-group=service application-group=%{GLOBAL}
""") as server:
        answer = in_background(lambda: server.httpd.get("/site"))
        check_report(server.log.wait_for("WSGI0612")[0], server, "of daemon process 'site'")
        assert answer().status == 503
        assert server.httpd.get("/site").status == 503
        server.log.wait_for("WSGI0117", count=2)
        server.open_gate()
        wait_until(lambda: server.httpd.get("/site").status == 200, "the script")
        assert not server.log.lines("WSGI0412|WSGI0612.*'service'"), "a service script does its work while it is loaded"


def test_a_script_that_hangs_in_its_first_request(mode):
    group = "site" if mode == "daemon" else "%{GLOBAL}"
    with Hanging("""
WSGIDaemonProcess site connect-timeout=1 threads=3
WSGIScriptAlias /site {apps}/hangs.wsgi
<Location />
WSGIProcessGroup %s
WSGIApplicationGroup %%{GLOBAL}
</Location>
""" % group) as server:
        if mode == "daemon":
            server.log.wait_for("takes requests")
        first = in_background(lambda: server.httpd.get("/site"))
        server.log.wait_for("Loading WSGI script '%s'" % server.script)
        second = in_background(lambda: server.httpd.get("/site"))
        check_report(server.log.wait_for("WSGI0612")[0], server,
                     "of daemon process 'site'" if mode == "daemon" else "in embedded mode")
        if mode == "daemon":
            assert second().status == 503
            assert server.httpd.get("/site").status == 503
            server.log.wait_for("WSGI0613.*hangs.wsgi' is still loading", count=2)
        server.open_gate()
        assert first().text == "at last"
        if mode == "embedded":
            assert second().text == "at last"
        assert server.httpd.get("/site").text == "at last"


def test_the_startup_timeout_covers_preloading():
    if "daemon" not in MODES:
        pytest.skip("there is no daemon mode")
    with Hanging("""
WSGIDaemonProcess site connect-timeout=0 startup-timeout=1 threads=2
WSGIScriptAlias /site {apps}/hangs.wsgi process-group=site application-group=%{GLOBAL}
""") as server:
        own = server.log.wait_for("WSGI0412: Script")[0]
        assert "Script '%s' did not load within startup-timeout (1 s)" % server.script in own
        assert "in wait_for_the_gate" in own
        line = server.log.wait_for("WSGI0412: The process")[0]
        assert "did not load its script within startup-timeout" in line and "next attempt is in" in line
        assert server.httpd.get("/site").status == 503
        server.open_gate()
        wait_until(lambda: server.httpd.get("/site").status == 200, "a process that loads it")


def test_each_preloaded_script_has_the_whole_startup_timeout():
    if "daemon" not in MODES:
        pytest.skip("there is no daemon mode")
    server = Httpd("", name="each")
    for number in range(3):
        with open(os.path.join(server.apps, "slow%d.wsgi" % number), "w") as out:
            out.write("import time\ntime.sleep(2)  # an import that takes a while, as imports do\n"
                      "def application(environ, start_response):\n  start_response('200 OK', [])\n  return [b'%d']\n" % number)
    server.configure("WSGIDaemonProcess site startup-timeout=5\n" + "".join(
        "WSGIScriptAlias /%d {apps}/slow%d.wsgi process-group=site application-group=%%{GLOBAL}\n" % (number, number)
        for number in range(3)))
    with server:
        assert [server.get("/%d" % number).text for number in range(3)] == ["0", "1", "2"]
        assert not server.log.lines("WSGI0412")
