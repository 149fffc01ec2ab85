"""Application groups of one process share its GIL: what computes in one of them leaves it to requests of the others."""
import glob
import mmap
import os
import threading

import pytest

from httpd_env import MODES, PYTHON, REFERENCE, Httpd, wait_until
from processes import descendants, named

pytestmark = pytest.mark.skipif(REFERENCE, reason="there it waits until what computes is done, on Python 3.12 and before")

# CPython itself has the GIL given up for all interpreters from 3.13 on.
IS_WATCHED = PYTHON < (3, 13)
# `compute` runs until the test has told it to end in memory that both have mapped: it never calls what lets go of the GIL.
SCRIPT = """
import atexit, mmap, os, threading, time
def compute(limit=60):
    with open(%r, 'r+b') as file:
        flag = mmap.mmap(file.fileno(), 1)
    flag[0] = 1
    end = time.monotonic() + limit
    while flag[0] == 1 and time.monotonic() < end:
        pass
    return flag[0] == 2
def application(environ, start_response):
    path, answer = environ['PATH_INFO'], b'hello'
    if path == '/compute':
        answer = b'told' if compute() else b'not told'
    elif path == '/background':
        threading.Thread(target=compute, daemon=True).start()
    elif path == '/fork':
        child = os.fork()
        if child == 0:
            compute()
            os._exit(7)
        answer = b'%%d' %% os.waitpid(child, 0)[1]
    start_response('200 OK', [])
    return [answer]
%s
"""


RELOADED = {"daemon": {"options": "reload=interpreter"}, "embedded": {"directives": "WSGIReloadMechanism Interpreter"}}


class Site:
    def __init__(self, mode, groups=("one", "two"), options="", directives="", main=None):
        conf = [directives]
        if mode == "daemon":
            conf.append("WSGIDaemonProcess site threads=4 graceful-timeout=60 %s" % options)
        conf += ["WSGIScriptAlias /%s {apps}/%s.wsgi process-group=%s application-group=%s" % (
            name, name, "site" if mode == "daemon" else "%{GLOBAL}", "%{GLOBAL}" if name == main else name) for name in groups]
        self.server = Httpd("\n".join(conf), name="shared-gil", threads=8)
        self.path = self.server.write("flag", "\0")
        os.chmod(self.path, 0o666)
        with open(self.path, "r+b") as file:
            self.flag = mmap.mmap(file.fileno(), 1)
        for name in groups:
            self.write(name)
        self.answers, self.threads = {}, []

    def write(self, name, more=""):
        path = self.server.write(name + ".new", SCRIPT % (self.path, more))
        os.replace(path, os.path.join(self.server.apps, name + ".wsgi"))

    def get(self, path):
        answer = self.server.get(path)
        assert answer.status == 200, answer
        return answer.text

    def ask(self, path):
        """Has a thread ask for what computes, and waits until it does."""
        thread = threading.Thread(target=lambda: self.answers.update({path: self.get(path)}))
        thread.start()
        self.threads.append(thread)
        self.await_computing()

    def await_computing(self):
        wait_until(lambda: self.flag[0] == 1, "what computes")

    def tell(self):
        """Ends what computes."""
        self.flag[0] = 2
        for thread in self.threads:
            thread.join()

    def count_threads(self, name):
        """The threads of that name in all processes of the server."""
        count = 0
        for pid in descendants(self.server.pid):
            for path in glob.glob("/proc/%d/task/*/comm" % pid):
                try:
                    with open(path) as file:
                        count += file.read().strip() == name
                except OSError:
                    pass  # it has ended
        return count


@pytest.fixture
def make_site():
    sites = []

    def make(*arguments, **more):
        site = Site(*arguments, **more)
        site.server.__enter__()
        sites.append(site)
        return site
    yield make
    for site in sites:
        site.tell()
        site.server.__exit__(None, None, None)


def test_a_request_that_computes_leaves_the_gil_to_another_group(make_site, mode):
    site = make_site(mode)
    assert site.get("/two/") == "hello"
    site.ask("/one/compute")
    for _ in range(20):
        assert site.get("/two/") == "hello"
    site.tell()
    assert site.answers == {"/one/compute": "told"}


def test_a_group_that_has_no_interpreter_yet_comes_by_the_gil(make_site, mode):
    site = make_site(mode, ["one"], directives="WSGIScriptAlias /late {apps}/one.wsgi application-group=%%{ENV:LATE} %s\n"
                     "SetEnvIf Request_URI /late LATE=late" % ("process-group=site" if mode == "daemon" else ""))
    assert site.get("/one/") == "hello"
    site.ask("/one/compute")
    assert site.get("/late/") == "hello"
    site.tell()
    assert site.answers == {"/one/compute": "told"}


def test_a_thread_that_computes_leaves_the_gil_to_another_group(make_site, mode):
    site = make_site(mode)
    assert site.get("/two/") == "hello"
    assert site.get("/one/background") == "hello"
    site.await_computing()
    for _ in range(10):
        assert site.get("/two/") == "hello"
    site.tell()


def test_a_script_that_computes_while_it_loads_leaves_the_gil_to_another_group(make_site, mode):
    site = make_site(mode, **RELOADED[mode])
    assert site.get("/one/") == site.get("/two/") == "hello"
    site.write("one", "LOADED = b'told' if compute() else b'not told'\n"
               "def shown(application):\n"
               "    def shows(environ, start_response):\n"
               "        application(environ, start_response)\n"
               "        return [LOADED]\n"
               "    return shows\n"
               "application = shown(application)")
    site.ask("/one/")
    for _ in range(10):
        assert site.get("/two/") == "hello"
    site.tell()
    assert site.answers == {"/one/": "told"}


def test_an_exit_function_that_computes_leaves_the_gil_to_another_group(make_site, mode):
    site = make_site(mode, **RELOADED[mode])
    site.write("one", "atexit.register(compute)")
    assert site.get("/one/") == site.get("/two/") == "hello"
    site.write("one")
    assert site.get("/one/") == "hello"
    site.await_computing()
    for _ in range(10):
        assert site.get("/two/") == "hello"
    site.tell()


@pytest.mark.skipif(not IS_WATCHED, reason="Python %d.%d does it itself" % PYTHON)
def test_the_threads_that_ask_for_the_gil_end_with_their_interpreters(make_site, mode):
    site = make_site(mode, **RELOADED[mode])
    assert site.get("/two/") == "hello"
    for version in range(6):
        site.write("one", "VERSION = %d\natexit.register(compute)" % version)
        assert site.get("/one/") == "hello"
        if version:  # that of the last one runs
            site.await_computing()
            assert site.get("/two/") == "hello"
            site.tell()
            site.flag[0] = 0
        # A thread bears the name of the one that starts it until it has its own.
        wait_until(lambda: site.count_threads("wsgi:gil-watch") == 1, "one thread that looks")
    site.write("one")
    assert site.get("/one/") == "hello"
    site.await_computing()
    site.tell()
    wait_until(lambda: site.count_threads("wsgi:gil") <= 3, lambda: site.count_threads("wsgi:gil"))
    assert not site.server.log.lines(r"wsgi:(warn|error|crit|alert|emerg)\]")


def test_a_process_that_an_application_forks_computes_beside_its_parent(make_site, mode):
    # Python 3.12 forks in the main interpreter only.
    site = make_site(mode, main="one")
    assert site.get("/two/") == "hello"
    site.ask("/one/fork")
    for _ in range(10):
        assert site.get("/two/") == "hello"
    site.tell()
    assert site.answers == {"/one/fork": str(7 << 8)}


@pytest.mark.skipif("daemon" not in MODES, reason="daemon mode is not tested here")
def test_a_process_that_was_forked_from_a_preloader_looks_after_the_gil_itself(make_site):
    site = make_site("daemon", options="preload=On processes=1", main="one")
    assert site.get("/two/") == "hello"
    preloader, = named(site.server.pid, "wsgi-preloader")
    site.ask("/one/compute")
    for _ in range(10):
        assert site.get("/two/") == "hello"
    assert len(os.listdir("/proc/%d/task" % preloader)) == 1
    site.tell()
    assert site.answers == {"/one/compute": "told"}


@pytest.mark.skipif(PYTHON >= (3, 12), reason="Python %d.%d leaves interpreters by way of main, or does it itself" % PYTHON)
@pytest.mark.skipif("embedded" not in MODES, reason="embedded mode is not tested here")
def test_an_interpreter_that_is_alone_needs_no_thread(make_site):
    # A daemon process itself looks now and then whether the main interpreter's GIL is free.
    site = make_site("embedded", ["one"])
    for _ in range(5):
        assert site.get("/one/") == "hello"
    assert site.count_threads("wsgi:gil") == site.count_threads("wsgi:gil-watch") == 0


def test_a_server_stops_while_a_thread_computes(make_site, mode):
    site = make_site(mode, directives="WSGIDestroyInterpreter On")
    assert site.get("/two/") == "hello"
    assert site.get("/one/background") == "hello"
    site.await_computing()
    assert site.get("/two/") == "hello"
    family = descendants(site.server.pid)
    site.server.stop()
    assert site.flag[0] == 1 and not [pid for pid in family if os.path.exists("/proc/%d" % pid)]
    # It ended by itself, and no limit ended it.
    assert not site.server.log.lines("WSGI0505|WSGI0451|timeout expired")
