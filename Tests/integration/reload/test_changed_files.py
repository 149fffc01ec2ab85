"""Scripts that are deployed in every way that programs write files, under load: nothing is lost, the new code answers, and
processes are started for it a few times, and then not again. And what else makes a script count as changed, or does not."""
import os
import threading
import time

import pytest

from http_client import Client
from httpd_env import MODES, REFERENCE, Httpd, wait_until

pytestmark = pytest.mark.skipif(REFERENCE, reason="the reference restarts its processes under their requests")

SCRIPT = """
import os
VERSION = %s
ASKED = []
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'%%d %%d %%d' %% (os.getpid(), VERSION, len(ASKED))]
handle_request = application
"""

DAEMON = """
WSGIDaemonProcess site processes=%d threads=4 queue-limit=100 %s
WSGIScriptAlias /site {apps}/app.wsgi process-group=site application-group=%%{GLOBAL}
"""
EMBEDDED = "WSGIScriptAlias /site {apps}/app.wsgi application-group=%s\n"
STARTS = r"Daemon process 'site' takes requests"
LOADS = r"(Loading|Reloading) WSGI script"


class Clients:
    """Clients that ask without pause, over connections that they keep, until they are told to stop."""

    def __init__(self, server, count=6, expected=(200,)):
        self.server, self.expected, self.over = server, expected, threading.Event()
        self.versions, self.failures = [], []
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self):
        with Client(self.server.port) as client:
            while not self.over.is_set():
                try:
                    answer = client.request("GET", "/site")
                except OSError as failure:
                    self.failures.append(repr(failure))
                    client.close()
                    continue
                if answer.status == 200 and answer.complete:
                    self.versions.append(int(answer.text.split()[1]))
                elif answer.status not in self.expected:
                    self.failures.append(answer)

    def wait_for(self, more, version=None):
        """Waits for so many more answers one after the other, by a version."""
        def have():
            last = self.versions[start:][-more:]
            return len(last) == more and (version is None or set(last) == {version})
        start = len(self.versions)
        wait_until(have, lambda: "%d answers by version %s; last: %s, failures: %s\n%s" % (
            more, version, self.versions[-20:], self.failures[:5], self.server.story()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in self.threads), "a request hangs:\n" + self.server.story()


class Site:
    """A server whose script is a symbolic link into a directory of releases."""

    def __init__(self, conf, **more):
        self.server = Httpd(conf, name="deployment", **more)
        self.script = os.path.join(self.server.apps, "app.wsgi")
        self.version = 0
        self.release()

    def release(self):
        """A release of its own for the current version, and the link switched to it."""
        path = os.path.join(self.server.apps, "release-%d" % self.version)
        self.write(path)
        if os.path.lexists(self.script + ".new"):
            os.remove(self.script + ".new")
        os.symlink(path, self.script + ".new")
        os.replace(self.script + ".new", self.script)

    def write(self, path=None, version=None):
        with open(path or self.script, "w") as script:
            script.write(SCRIPT % (self.version if version is None else version))

    def set_time(self, seconds):
        os.utime(self.script, (seconds, seconds))


def pause(milliseconds):
    """Part of what is tried, not a wait for anything."""
    time.sleep(milliseconds / 1000)


def in_place(site):
    site.write()


def older(site):
    site.write()
    site.set_time(1_000_000_000 + site.version)


def later(site):
    site.write()
    site.set_time(time.time() + 100_000)


def at_the_epoch(site):
    site.write()
    site.set_time(0)


def before_the_epoch(site):
    site.write()
    site.set_time(-86_400.5)


def saved_twice(site):
    site.write(version=site.version + 10_000)
    pause(50)
    site.write()


def touched_ten_times(site):
    site.write()
    for _ in range(10):
        pause(10)
        os.utime(site.script)


def renamed(site):
    real = os.path.realpath(site.script)
    site.write(real + ".new")
    os.replace(real + ".new", real)


def switched(site):
    site.release()


def absent_for_a_moment(site):
    real = os.path.realpath(site.script)
    os.remove(real)
    pause(30)
    site.write(real)


def written_then_dated(milliseconds):
    def way(site):
        site.write()
        pause(milliseconds)
        site.set_time(1_100_000_000 + site.version)
    return way


def held_up(share):
    """Its writer is held up after this share of the text."""
    def way(site):
        text = SCRIPT % site.version
        with open(site.script, "w") as script:
            script.write(text[:int(len(text) * share)])
            script.flush()
            pause(100)
            script.write(text[int(len(text) * share):])
    return way


WAYS = {way.__name__: way for way in (in_place, older, later, at_the_epoch, before_the_epoch, saved_twice, touched_ten_times,
                                      renamed, switched, absent_for_a_moment)}
WAYS.update({"dated after %d ms" % moment: written_then_dated(moment) for moment in (0, 5, 20, 50, 100)})
WAYS.update({"held up after %d %%" % (100 * share): held_up(share) for share in (0, 0.8)})


def deploy(site, server, pattern, bound):
    """Deploys a version in each of the ways; `bound` is how many lines of `pattern` the log may then have more."""
    for name, way in WAYS.items():
        # While a script is not there, httpd says so.
        with Clients(server, expected=(200, 403, 404) if way is absent_for_a_moment else (200,)) as load:
            load.wait_for(20)
            mark = server.log.mark()
            site.version += 1
            way(site)
            load.wait_for(100, site.version)
            counts = [-1]
            while counts[-1] != (count := len(server.log.lines(pattern, mark))):
                counts.append(count)
                assert count <= bound, (name, counts, server.story())
                load.wait_for(500, site.version)
        assert not load.failures, (name, load.failures[:5], server.story())


@pytest.mark.skipif("daemon" not in MODES, reason="daemon mode is not tested here")
@pytest.mark.parametrize("policy", ["reload=restart", "reload=rolling"])
@pytest.mark.parametrize("processes", [1, 2, 4])
def test_daemon_processes_load_what_is_deployed(processes, policy):
    site = Site(DAEMON % (processes, "" if policy == "reload=restart" else policy), processes=2)
    with site.server as server:
        server.log.wait_for(STARTS, count=processes)
        deploy(site, server, STARTS, bound=3 * processes)


@pytest.mark.skipif("embedded" not in MODES, reason="embedded mode is not tested here")
@pytest.mark.parametrize("group", ["%{GLOBAL}", "site"])
def test_embedded_scripts_load_what_is_deployed(group):
    site = Site(EMBEDDED % group, processes=3)
    with site.server as server:
        # Each child loads for itself, and says so twice; ten touches may be seen one by one.
        deploy(site, server, LOADS, bound=3 * 2 * 11)


# MARK: one decision

MODE_CONF = {
    "daemon": "WSGIDaemonProcess site processes=1 threads=4\n"
              "WSGIScriptAlias /site {apps}/app.wsgi process-group=site application-group=%{GLOBAL}\n"
              "WSGIHandlerScript page {apps}/app.wsgi process-group=site application-group=%{GLOBAL}\n",
    "embedded": "WSGIScriptAlias /site {apps}/app.wsgi application-group=%{GLOBAL}\n"
                "WSGIHandlerScript page {apps}/app.wsgi application-group=%{GLOBAL}\n",
}
HANDLED = "<Location /page>\nSetHandler page\n</Location>\n"


def add(site, text):
    """Adds to the script what then counts as a part of it: the file has the time that it had."""
    before = os.stat(site.script)
    with open(site.script, "a") as script:
        script.write(text)
    os.utime(site.script, ns=(before.st_atime_ns, before.st_mtime_ns))


def loads(server):
    """How often the log says that a script is loaded; a daemon process's lines may take a moment."""
    server.log.wait_for(LOADS)
    return len(server.log.lines(LOADS))


@pytest.mark.parametrize("way", [at_the_epoch, before_the_epoch, later])
def test_a_time_is_as_good_as_another(mode, way):
    site = Site(MODE_CONF[mode] + HANDLED)
    way(site)
    with site.server as server:
        first = server.get("/site").text
        before = loads(server)
        for path in ("/site", "/page") * 10:
            assert server.get(path).text == first
        assert loads(server) == before
        site.version = 1
        way(site)
        site.set_time(os.stat(site.script).st_mtime - 1)
        assert server.get("/site").text.split()[1] == "1"


def test_reload_required_is_asked_once_for_a_decision(mode):
    site = Site(MODE_CONF[mode])
    marker = site.server.unused_path("changed")
    add(site, """
def reload_required(resource):
    ASKED.append(resource)
    try:
        os.remove(%r)
    except OSError:
        return False
    return True
""" % marker)
    with site.server as server:
        # A daemon process has loaded the script when the first request comes.
        first, second, third = (int(server.get("/site").text.split()[2]) for _ in range(3))
        assert (first, second, third) == (mode == "daemon", first + 1, first + 2)
        open(marker, "w").close()
        # The one time that it says so is enough, and the new code is not asked whether it is new.
        assert server.get("/site").text.split()[2] == "0"
        assert not os.path.exists(marker)
        assert server.get("/site").text.split()[2] == "1"


@pytest.mark.parametrize("text", ["def reload_required(resource):\n    return True\n", "del __mtime__\n", "__mtime__ = 1\n"])
def test_a_script_that_always_wants_to_be_reloaded_is_answered(mode, text):
    site = Site(MODE_CONF[mode])
    add(site, text)
    with site.server as server:
        for _ in range(5):
            assert server.get("/site").status == 200
        # Embedded mode says two things about it.
        assert loads(server) <= 2 * 6


def test_a_script_that_is_gone_goes_on_being_used(mode):
    site = Site(MODE_CONF[mode] + HANDLED)
    with site.server as server:
        first = server.get("/page").text
        before = loads(server)
        os.remove(site.script)
        assert server.get("/site").status in (403, 404)
        for _ in range(5):
            assert server.get("/page").text == first
        assert loads(server) == before
        # It is back with other code.
        site.version = 1
        site.release()
        assert server.get("/page").text.split()[1] == "1"


def test_a_change_of_content_alone_is_none(mode):
    site = Site(MODE_CONF[mode])
    with site.server as server:
        first = server.get("/site").text
        before = os.stat(site.script)
        site.version = 1
        site.write()
        os.utime(site.script, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert server.get("/site").text == first


def test_a_script_that_touches_itself_is_answered(mode):
    site = Site(MODE_CONF[mode])
    add(site, "os.utime(__file__)\n")
    os.chmod(site.script, 0o666)
    with site.server as server:
        for _ in range(4):
            assert server.get("/site").status == 200
        # A request is handed over so often, and then run by whoever has it.
        assert loads(server) <= 4 * 4


DISPATCH = """
import os
def application_group(environ):
    return %r
"""


@pytest.mark.skipif("embedded" not in MODES, reason="embedded mode is not tested here")
def test_a_dispatch_script_is_compared_with_its_file_too():
    site = Site("WSGIDispatchScript {apps}/dispatch.py application-group=%{GLOBAL}\nWSGIScriptAlias /site {apps}/app.wsgi\n")
    path = os.path.join(site.server.apps, "dispatch.py")
    add(site, """
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [environ['mod_wsgi.application_group'].encode()]
""")

    def write(group, seconds):
        with open(path, "w") as script:
            script.write(DISPATCH % group)
        os.utime(path, (seconds, seconds))
    write("first", 0)
    with site.server as server:
        assert server.get("/site").text == "first"
        before = loads(server)
        assert {server.get("/site").text for _ in range(10)} == {"first"} and loads(server) == before
        os.remove(path)
        assert server.get("/site").text == "first"
        write("second", -1)
        assert server.get("/site").text == "second"
