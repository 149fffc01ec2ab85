"""Applications that fork: the child's application is not the server's, whatever it does when it is done."""
import os

import pytest

from httpd_env import MODES, PYTHON, REFERENCE, Httpd, wait_until
from processes import has_ended

pytestmark = pytest.mark.skipif(REFERENCE, reason="the reference answers from both processes")

SCRIPT = r"""
import atexit, multiprocessing, os, signal, sys, threading, time
import mod_wsgi

KEPT = %(kept)r

def note(name, text=''):
    with open(os.path.join(KEPT, name), 'a') as out:
        out.write('%%d %%s\n' %% (os.getpid(), text))

def finished(name, **payload):
    if name == 'request_finished':
        note('finished')
mod_wsgi.subscribe_events(finished)

class Body:
    def __init__(self, child):
        self.child, self.left = child, 3
    def __iter__(self):
        return self
    def __next__(self):
        self.left -= 1
        if self.left < 0:
            raise StopIteration
        return b'child' if self.child else b'parent'
    def close(self):
        if not self.child:
            note('closed')

def body_that_forks():
    yield b'parent'
    child = os.fork() == 0
    if child:
        note('child')
    for _ in range(3):
        yield b'child' if child else b'parent'

def raises():
    raise ValueError('raised in the child')

def work(number):
    return number * number

def sleep():
    time.sleep(60)

def application(environ, start_response):
    way = environ['QUERY_STRING']
    def start():
        start_response('200 OK', [('Content-Type', 'text/plain')])
    if way == 'pid':
        start()
        return [b'%%d' %% os.getpid()]
    if way == 'pool':
        context = multiprocessing.get_context('fork')
        with context.Pool(2) as pool:
            result = pool.map(work, range(4))
        start()
        return [repr(result).encode()]
    if way == 'terminate':
        process = multiprocessing.get_context('fork').Process(target=sleep)
        process.start()
        process.terminate()
        process.join(15)
        start()
        return [b'%%d' %% (process.exitcode if process.exitcode is not None else 1000)]
    if way == 'generator':
        start()
        return body_that_forks()
    if way == 'thread':
        def run():
            pid = os.fork()
            if pid == 0:
                note('child')
            else:
                os.waitpid(pid, 0)
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        start()
        return [b'parent']
    pid = os.fork()
    if pid == 0:
        note('child')
        if way == 'raise':
            raises()
        if way == 'exit':
            sys.exit(3)
        if way == 'write':
            write = start_response('200 OK', [])
            write(b'child')
            write(b'child')
        if way == 'read':
            environ['wsgi.input'].read()
        if way == 'print':
            print('printed by the child', file=environ['wsgi.errors'])
        if way == 'badtype':
            return 5
        start()
        return Body(True) if way == 'iterate' else [b'child']
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    note('status', status)
    body = environ['wsgi.input'].read()
    start()
    return Body(False) if way == 'iterate' else [b'parent', body]
"""

GROUP = {"daemon": "site", "embedded": "%{GLOBAL}"}
# The application group that forks, and others of its process.
PLACES = {"main": ["%{GLOBAL}"], "main beside others": ["%{GLOBAL}", "other", "third"]}
ELSEWHERE = {"another": ["one", "%{GLOBAL}", "other"], "another with its own GIL": ["own-gil", "%{GLOBAL}", "other"]}
if PYTHON[1] != 12:
    PLACES.update(ELSEWHERE)
    if PYTHON < (3, 12):
        del PLACES["another with its own GIL"]


@pytest.fixture(params=PLACES.values(), ids=PLACES)
def groups(request):
    return request.param


class Site:
    def __init__(self, mode, groups=("%{GLOBAL}",)):
        conf = ["WSGIDaemonProcess site processes=1 threads=3\n" if mode == "daemon" else ""] + [
            "WSGIScriptAlias /%s {apps}/app.wsgi process-group=%s application-group=%s\n" % (
                "other-%d" % index if index else "site", GROUP[mode], group) for index, group in enumerate(groups)]
        if "own-gil" in groups:
            conf.append("<WSGIInterpreterOptions application-group=own-gil>\nWSGIPerInterpreterGIL On\n"
                        "</WSGIInterpreterOptions>\n")
        self.server = Httpd("".join(conf), name="forks")
        self.others = ["/other-%d?pid" % index for index in range(1, len(groups))]
        self.kept = self.server.make_directory("kept", 0o777)
        os.chmod(self.kept, 0o777)
        with open(os.path.join(self.server.apps, "app.wsgi"), "w") as script:
            script.write(SCRIPT % {"kept": self.kept})

    def __enter__(self):
        self.server.__enter__()
        for path in self.others:
            assert self.server.get(path).status == 200
        return self

    def __exit__(self, *failure):
        self.server.__exit__(*failure)

    def ask(self, way, **more):
        with self.server.client() as client:
            return client.request("POST", "/site?" + way, (), b"body", **more)

    def notes(self, name):
        try:
            with open(os.path.join(self.kept, name)) as lines:
                return [line.split() for line in lines]
        except OSError:
            return []


WAYS = {"return": 0, "iterate": 0, "raise": 1, "exit": 3, "write": 1, "read": 1, "print": 0, "badtype": 0}


def test_a_child_is_no_second_server(mode, groups):
    with Site(mode, groups) as site:
        first = int(site.ask("pid").text)
        for count, (way, status) in enumerate(WAYS.items(), 1):
            mark = site.server.log.mark()
            answer = site.ask(way)
            assert answer.status == 200 and answer.complete, (way, answer, site.server.story())
            assert answer.text == ("parent" * 3 if way == "iterate" else "parentbody"), (way, answer)
            child = int(site.notes("child")[-1][0])
            line, = site.server.log.wait_for("WSGI0600", mark)
            assert "%d" % child in line
            wait_until(lambda: has_ended(child), "the child's end")
            assert int(site.notes("status")[-1][1]) == status, (way, site.notes("status"))
            if way == "raise":
                site.server.log.wait_for("raised in the child", mark)
            if way == "print":
                site.server.log.wait_for("printed by the child", mark)
            # The server is what it was, and takes the next request.
            assert int(site.ask("pid").text) == first, site.server.story()
            children = {note[0] for note in site.notes("child")}
            assert len(children) == count
            assert not children & {note[0] for note in site.notes("finished")}, "the parent's callbacks ran in the child"


def test_a_generator_may_fork(mode, groups):
    with Site(mode, groups) as site:
        first = site.ask("pid").text
        answer = site.ask("generator")
        assert answer.text == "parent" * 4 and answer.complete
        site.server.log.wait_for("WSGI0600")
        assert site.ask("pid").text == first


def test_a_thread_of_the_application_may_fork(mode, groups):
    with Site(mode, groups) as site:
        first = site.ask("pid").text
        assert site.ask("thread").text == "parent"
        assert site.ask("pid").text == first


def test_multiprocessing_with_fork_works(mode, groups):
    with Site(mode, groups) as site:
        first = site.ask("pid").text
        assert site.ask("pool").text == "[0, 1, 4, 9]"
        assert site.ask("terminate").text == "-15"
        assert site.ask("pid").text == first
        assert not site.server.log.lines("WSGI0600")


@pytest.mark.skipif(PYTHON[1] != 12, reason="Python %d.%d forks in all interpreters" % PYTHON)
@pytest.mark.parametrize("place", ELSEWHERE)
def test_3_12_forks_in_the_main_interpreter_only(mode, place):
    with Site(mode, ELSEWHERE[place]) as site:
        assert site.ask("return").status == 500
        site.server.log.wait_for("RuntimeError: fork not supported")
        assert site.server.get("/other-1?generator").text == "parent" * 4


IMPORTED = r"""
import os, time
KEPT = %(kept)r
pid = os.fork()
with open(os.path.join(KEPT, 'imported'), 'a') as out:
    out.write('%%d %%d\n' %% (os.getpid(), pid))
if pid == 0 and %(raises)r:
    raise ValueError('raised in the child')
if pid:
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with open(os.path.join(KEPT, 'status'), 'a') as out:
        out.write('%%d %%d\n' %% (os.getpid(), status))
%(rest)s
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'%%d' %% os.getpid()]
"""


def check_import(site, raises, rest=""):
    with open(os.path.join(site.server.apps, "app.wsgi"), "w") as script:
        script.write(IMPORTED % {"kept": site.kept, "raises": raises, "rest": rest})
    with site.server as server:
        if not rest:
            pids = {int(site.ask("pid").text) for _ in range(10)}
        server.log.wait_for("WSGI0600")
        (parent, status), = wait_until(lambda: site.notes("status"), "the child's end")
        assert int(status) == (1 if raises else 0)
        if not rest:
            assert pids == {int(parent)}
        assert len(site.notes("imported")) == 2, "one import, in two processes"
        if raises:
            server.log.wait_for("raised in the child")


@pytest.mark.parametrize("raises", [False, True])
def test_an_import_may_fork(mode, raises):
    check_import(Site(mode), raises)


@pytest.mark.skipif("daemon" not in MODES, reason="daemon mode is not tested here")
@pytest.mark.parametrize("raises", [False, True])
def test_a_service_script_may_fork(raises):
    site = Site("daemon")
    site.server.configure("WSGIDaemonProcess service threads=0\n"
                          "WSGIImportScript {apps}/app.wsgi process-group=service application-group=%{GLOBAL}\n")
    check_import(site, raises, "if pid: time.sleep(3600)")
