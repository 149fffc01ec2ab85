"""`mod_wsgi.reload()`: an application asks for a reload of its application group, in all processes that run it."""
import os
import re
import threading
import time

import pytest

from httpd_env import MODES, REFERENCE, Httpd, wait_until

pytestmark = pytest.mark.skipif(REFERENCE, reason="the reference has no mod_wsgi.reload()")

SCRIPT = """
import os, threading, time
import helper, mod_wsgi
STARTED = time.time_ns()
COUNT = [0]
def ask_in_a_thread():
    answers = []
    thread = threading.Thread(target=lambda: answers.append(mod_wsgi.reload()))
    thread.start()
    thread.join()
    return answers[0]
def application(environ, start_response):
    COUNT[0] += 1
    way = environ['QUERY_STRING']
    asked = mod_wsgi.reload() if way == 'ask' else ask_in_a_thread() if way == 'thread' else None
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'%%d %%d %%d %%d %%s' %% (os.getpid(), STARTED, COUNT[0], helper.VERSION, str(asked).encode())]
%s
"""
ALIASES = "".join("WSGIScriptAlias /%s {apps}/%s.wsgi application-group=%s\n" % (name, name, group)
                  for name, group in (("one", "one"), ("two", "two"), ("main", "%{GLOBAL}")))
DAEMON = "WSGIDaemonProcess site processes=2 threads=4 python-path={apps} %s\nWSGIProcessGroup site\n"
EMBEDDED = "WSGIPythonPath {apps}\nWSGIReloadMechanism %s\n"
CONF = {
    "interpreter": DAEMON % "reload=interpreter", "restart": DAEMON % "", "rolling": DAEMON % "reload=rolling",
    "embedded interpreter": EMBEDDED % "Interpreter", "embedded module": EMBEDDED % "Module",
}
WAYS = [way for way in CONF if way.split()[0] in MODES or "embedded" not in way and "daemon" in MODES]


class Site:
    def __init__(self, way, conf="", **more):
        self.way = way
        self.server = Httpd(CONF[way] + ALIASES + conf, name="asked", processes=2, threads=10, **more)
        for name in ("one", "two", "main"):
            self.write(name)
        self.write_helper(0)

    def write(self, name, more=""):
        with open(os.path.join(self.server.apps, name + ".wsgi"), "w") as script:
            script.write(SCRIPT % more)

    def write_helper(self, version, text="VERSION = %d\n%s"):
        path = os.path.join(self.server.apps, "helper.py")
        with open(path + ".new", "w") as module:
            module.write(text % (version, "#" * (version + 1)))
        os.replace(path + ".new", path)

    def ask(self, name, way=""):
        answer = self.server.get("/%s?%s" % (name, way))
        assert answer.status == 200, self.server.story()
        words = answer.text.split()
        return dict(zip(("pid", "started", "count", "helper"), map(int, words)), asked=words[4])

    def everywhere(self, name):
        """An answer of each of the two processes."""
        found = {}

        def both():
            self.server.let_connections_end()
            answer = self.ask(name)
            found[answer["pid"]] = answer
            return len(found) == 2
        wait_until(both, lambda: "answers of two processes: %r" % found)
        return found

    def loads(self, name="one"):
        return self.server.log.lines("Loading WSGI script '.*/%s.wsgi'" % name)


@pytest.fixture
def make_site():
    running = []

    def make(*args, **kwargs):
        running.append(Site(*args, **kwargs))
        running[-1].server.__enter__()
        return running[-1]
    yield make
    for made in running:
        made.server.__exit__(None, None, None)


def awaited(site, before, name="one", helper=1):
    """The answers of both processes when both have loaded the application anew."""
    def found():
        after = site.everywhere(name)
        return after if all(
            answer["helper"] == helper and answer["started"] > max(each["started"] for each in before.values())
            for answer in after.values()) else None
    return wait_until(found, site.server.story)


@pytest.mark.parametrize("ask", ["ask", "thread"])
@pytest.mark.parametrize("way", [way for way in WAYS if "interpreter" in way])
def test_the_interpreter_is_replaced_in_every_process(make_site, way, ask):
    site = make_site(way)
    before, neighbours = site.everywhere("one"), site.everywhere("two")
    site.write_helper(1)
    assert site.ask("one", ask)["asked"] == "True"
    after = awaited(site, before)
    assert set(after) == set(before)
    others = site.everywhere("two")
    assert {pid: other["started"] for pid, other in others.items()} == \
        {pid: neighbour["started"] for pid, neighbour in neighbours.items()}
    assert site.server.log.lines("one.wsgi' is to be loaded again: its application has called mod_wsgi.reload")
    count = len(site.loads())
    site.everywhere("one")
    assert len(site.loads()) == count, "a call is answered once"
    assert not site.server.log.lines(r"wsgi:(warn|error|crit|alert|emerg)\]")


@pytest.mark.parametrize("way", [way for way in WAYS if way in ("restart", "rolling")])
def test_the_processes_are_replaced(make_site, way):
    site = make_site(way)
    before = site.everywhere("one")
    site.write_helper(1)
    assert site.ask("one", "ask")["asked"] == "True"
    after = awaited(site, before)
    assert not set(after) & set(before)
    assert not site.server.log.lines(r"wsgi:(warn|error|crit|alert|emerg)\]")


@pytest.mark.skipif("embedded" not in MODES, reason="there is no embedded mode")
def test_the_script_module_alone_is_loaded_again(make_site):
    site = make_site("embedded module")
    before = site.everywhere("one")
    site.write_helper(1)
    assert site.ask("one", "ask")["asked"] == "True"
    after = awaited(site, before, helper=0)
    assert set(after) == set(before)


@pytest.mark.parametrize("way", [way for way in WAYS if "interpreter" in way])
def test_the_main_interpreter(make_site, way):
    site = make_site(way)
    before = site.everywhere("main")
    assert site.ask("main", "ask")["asked"] == "True"
    after = awaited(site, before, "main", helper=0)
    assert (set(after) == set(before)) == ("embedded" in way)
    site.server.log.wait_for("WSGI0740.*main interpreter")


@pytest.mark.parametrize("way", [way for way in WAYS if way in ("rolling", "interpreter", "embedded interpreter")])
def test_code_that_does_not_load_is_tried_at_every_call(make_site, way):
    site = make_site(way)
    before = site.everywhere("one")
    site.write_helper(1, "raise RuntimeError('not ready %d')\n%s")
    for count in (1, 2):
        assert site.ask("one", "ask")["asked"] == "True"
        wait_until(lambda: site.ask("one")["helper"] == 0
                   and len(site.server.log.lines("WSGI0460|WSGI0741")) >= count, site.server.story)
    after = site.everywhere("one")
    assert set(after) == set(before), "the old code goes on"
    site.write_helper(2)
    assert site.ask("one", "ask")["asked"] == "True"
    awaited(site, before, helper=2)


@pytest.mark.parametrize("way", WAYS)
def test_without_script_reloading(make_site, way):
    site = make_site(way, "WSGIScriptReloading Off\n")
    before = site.everywhere("one")
    assert site.ask("one", "ask")["asked"] == "True"
    awaited(site, before, helper=0)


@pytest.mark.skipif("daemon" not in MODES, reason="there is no daemon mode")
def test_preloaded_processes_are_forks_of_one_that_loads_anew(make_site):
    site = make_site("restart", "WSGIImportScript {apps}/main.wsgi process-group=site application-group=%{GLOBAL}\n")
    site.server.configure((CONF["restart"] + ALIASES).replace("threads=4", "threads=4 preload=On")
                          + "WSGIImportScript {apps}/main.wsgi process-group=site application-group=%{GLOBAL}\n")
    site.server.restart()
    before = site.everywhere("main")
    site.write_helper(1)
    assert site.ask("main", "ask")["asked"] == "True"
    after = awaited(site, before, "main")
    assert len({answer["started"] for answer in after.values()}) == 1
    assert not set(after) & set(before)


@pytest.mark.parametrize("way", WAYS)
def test_calls_in_a_loop_cost_others_nothing(make_site, way):
    site = make_site(way)
    site.everywhere("two")
    site.write("one", "threading.Thread(target=lambda: [mod_wsgi.reload() for _ in iter(lambda: time.sleep(0.001), 1)],"
               " daemon=True).start()\n")
    began = time.monotonic()
    over, failures, counts = threading.Event(), [], {"one": 0, "two": 0}

    def ask(name):
        while not over.is_set():
            answer = site.server.get("/%s?ask" % name if name == "one" else "/two")
            counts[name] += 1
            if answer.status != 200:
                failures.append(answer)
    threads = [threading.Thread(target=ask, args=(name,)) for name in counts]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(site.loads()) >= 4 and counts["two"] > 100, site.server.story, deadline=60)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    elapsed = time.monotonic() - began
    assert not failures, (failures[:3], site.server.story())
    # Each of two processes loads it once a second; those of a group replace each other.
    assert len(site.loads()) <= 2 * (elapsed + 2) + 4


@pytest.mark.parametrize("way", WAYS)
def test_calls_that_cannot_be_answered(make_site, way):
    site = make_site(way)
    site.write("main", """
EARLY = mod_wsgi.reload()
def application(environ, start_response):
    texts = [str(EARLY)]
    try:
        mod_wsgi.reload(1)
    except TypeError as error:
        texts.append(str(error))
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, str(mod_wsgi.reload()).encode())
        except RuntimeError as error:
            os.write(write, b'RuntimeError')
        os._exit(0)
    os.waitpid(child, 0)
    texts.append(os.read(read, 100).decode())
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return ['|'.join(texts).encode()]
""")
    early, arguments, child = site.server.get("/main").text.split("|")
    assert early == "False", "the code is being loaded"
    assert re.match(r"reload\(\)", arguments) and child == "RuntimeError"


@pytest.mark.skipif("daemon" not in MODES, reason="there is no daemon mode")
def test_a_service_script_is_not_reloaded():
    conf = "WSGIDaemonProcess task threads=0\nWSGIImportScript {apps}/task.py process-group=task application-group=%{GLOBAL}\n"
    server = Httpd(conf, name="asked")
    with open(os.path.join(server.apps, "task.py"), "w") as script:
        script.write("import mod_wsgi, time\ntry:\n    mod_wsgi.reload()\nexcept RuntimeError as error:\n"
                     "    print('refused:', error, flush=True)\nwhile True:\n    time.sleep(1)\n")
    with server:
        server.log.wait_for("refused: a service script is not reloaded")
