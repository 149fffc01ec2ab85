"""`reload=interpreter` and `WSGIReloadMechanism Interpreter`: a changed application gets another interpreter in place of its own,
and its neighbours in the process notice nothing."""
import os
import threading
import time

import pytest

from httpd_env import MODES, PYTHON, REFERENCE, Httpd, wait_until

pytestmark = pytest.mark.skipif(REFERENCE, reason="the reference reloads processes or script files only")

SCRIPT = """
import atexit, os, sys, time
import helper
import mod_wsgi
VERSION = %s
STARTED = time.time_ns()
COUNT = [0]
def note(text):
    with open(%r, 'a') as out:
        out.write('%%s %%d\\n' %% (text, VERSION))
atexit.register(note, 'atexit')
mod_wsgi.subscribe_shutdown(lambda *args, **more: note('stopping'))
def application(environ, start_response):
    COUNT[0] += 1
    if environ['QUERY_STRING']:
        time.sleep(float(environ['QUERY_STRING']))
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'%%d %%d %%d %%d %%d' %% (os.getpid(), VERSION, helper.VERSION, STARTED, COUNT[0])]
"""
CONF = {
    "daemon": "WSGIDaemonProcess site processes=1 threads=8 reload=interpreter python-path={apps}\nWSGIProcessGroup site\n",
    "embedded": "WSGIReloadMechanism Interpreter\nWSGIPythonPath {apps}\n",
}
ALIASES = "".join("WSGIScriptAlias /%s {apps}/%s.wsgi application-group=%s\n" % (name, name, group)
                  for name, group in (("one", "one"), ("two", "two"), ("main", "%{GLOBAL}")))


class Site:
    def __init__(self, mode, conf="", **more):
        self.mode = mode
        self.server = Httpd(CONF[mode] + ALIASES + conf, name="interpreters", **more)
        self.notes = self.server.unused_path("notes")
        self.write_helper(0)
        for name in ("one", "two", "main"):
            self.write(name, 0)

    def write(self, name, version, text=SCRIPT, more=""):
        path = os.path.join(self.server.apps, name + ".wsgi")
        with open(path + ".new", "w") as script:
            script.write(text % (version, self.notes) + more)
        os.replace(path + ".new", path)

    def write_helper(self, version):
        path = os.path.join(self.server.apps, "helper.py")
        with open(path + ".new", "w") as module:
            module.write("VERSION = %d\n%s" % (version, "#" * (version + 1)))
        os.replace(path + ".new", path)

    def ask(self, name, query=""):
        answer = self.server.get("/%s?%s" % (name, query))
        assert answer.status == 200, self.server.story()
        return dict(zip(("pid", "version", "helper", "started", "count"), (int(word) for word in answer.text.split())))

    def noted(self):
        try:
            with open(self.notes) as notes:
                return notes.read().splitlines()
        except FileNotFoundError:
            return []


# Python 3.12 cannot end an interpreter with its own GIL.
GILS = ["", "WSGIPerInterpreterGIL On\n"] if PYTHON >= (3, 13) else [""]


@pytest.fixture(params=[(mode, gil) for mode in ("embedded", "daemon") if mode in MODES for gil in GILS],
                ids=lambda param: param[0] + (", own GIL" if param[1] else ""))
def site(request):
    made = Site(*request.param)
    with made.server:
        yield made


def test_a_whole_application_is_loaded_anew_and_its_neighbours_stay(site):
    one, two = site.ask("one"), site.ask("two")
    site.write_helper(1)
    site.write("one", 1)
    after = site.ask("one")
    assert (after["version"], after["helper"], after["count"]) == (1, 1, 1)
    assert after["pid"] == one["pid"]
    other = site.ask("two")
    assert (other["pid"], other["started"], other["helper"], other["count"]) == (two["pid"], two["started"], 0, 2)
    wait_until(lambda: sorted(site.noted()) == ["atexit 0", "stopping 0"], site.noted)
    assert not site.server.log.lines(r"wsgi:(warn|error|crit|alert|emerg)\]")


def test_requests_that_run_end_in_the_old_interpreter(site):
    before = site.ask("one")
    answers = []
    slow = threading.Thread(target=lambda: answers.append(site.ask("one", "1.5")))
    slow.start()
    wait_until(lambda: site.ask("one")["count"] >= 3, "the slow request to run")
    site.write("one", 1)
    assert site.ask("one")["version"] == 1
    assert not site.noted()
    slow.join()
    assert answers[0]["version"] == 0 and answers[0]["started"] == before["started"]
    wait_until(lambda: sorted(site.noted()) == ["atexit 0", "stopping 0"], site.noted)


def test_code_that_does_not_load_changes_nothing(site):
    before = site.ask("one")
    site.write("one", 1, more="raise RuntimeError('not ready')\n")
    for count in range(3):
        after = site.ask("one")
        assert (after["pid"], after["started"], after["version"]) == (before["pid"], before["started"], 0)
    assert len(site.server.log.lines("WSGI0741")) == 1 and len(site.server.log.lines("RuntimeError: not ready")) == 1
    site.write("one", 2)
    assert site.ask("one")["version"] == 2


def test_two_scripts_that_do_not_load_are_each_tried_once(site):
    conf = CONF[site.mode] + ALIASES + "WSGIScriptAlias /three {apps}/three.wsgi application-group=one\n"
    site.write("three", 0)
    site.server.configure(conf)
    site.server.restart()
    for name in ("one", "three"):
        assert site.ask(name)["version"] == 0
    for name in ("one", "three"):
        site.write(name, 1, more="raise RuntimeError('not ready')\n")
    for _ in range(3):
        for name in ("one", "three"):
            assert site.ask(name)["version"] == 0
    assert len(site.server.log.lines("WSGI0741")) == 2


@pytest.mark.parametrize("more", ["def reload_required(resource):\n    return True\n", "os.utime(__file__)\n"])
def test_a_script_that_always_wants_to_be_reloaded_is_answered(site, more):
    site.write("one", 1, more=more)
    os.chmod(os.path.join(site.server.apps, "one.wsgi"), 0o666)
    for _ in range(5):
        assert site.ask("one")["version"] == 1


def test_threads_of_code_that_does_not_load_do_not_keep_the_old_code_for_ever(site):
    site.ask("one")
    for version in (1, 2):
        site.write("one", version, more="import threading\nthreading.Thread(target=lambda: time.sleep(600), daemon=True)"
                   ".start()\nraise RuntimeError('not ready')\n")
        assert site.ask("one")["version"] == 0
    site.write("one", 3)
    wait_until(lambda: site.ask("one")["version"] == 3, site.server.story, deadline=90)


def test_the_main_interpreter_is_not_replaced(site):
    before = site.ask("main")
    site.write("main", 1)
    after = site.ask("main")
    assert after["version"] == 1
    assert (after["pid"] == before["pid"]) == (site.mode == "embedded")
    site.server.log.wait_for("WSGI0740.*main interpreter.*%s" % (
        "The script alone is loaded again" if site.mode == "embedded" else "The process is replaced instead"))


THREAD = "import threading\nthreading.Thread(target=lambda: time.sleep(600), daemon=True).start()\n"


@pytest.mark.skipif("embedded" not in MODES, reason="there is no embedded mode")
def test_threads_that_do_not_end_keep_the_old_interpreter():
    with (site := Site("embedded")).server:
        site.write("one", 1, more=THREAD)
        before = site.ask("one")
        site.write("one", 2)
        assert site.ask("one")["version"] == 2
        wait_until(lambda: "stopping 1" in site.noted(), site.noted)
        site.server.log.wait_for("WSGI0742.*15 s.*It keeps its memory", deadline=60)
        site.write("one", 3)
        after = site.ask("one")
        assert after["version"] == 3 and after["pid"] == before["pid"]
        site.server.log.wait_for("WSGI0740.*threads of the application.*The script alone is loaded again")


@pytest.mark.skipif("daemon" not in MODES, reason="there is no daemon mode")
@pytest.mark.parametrize("timeout", ["1", "0"])
def test_threads_that_do_not_end_have_the_process_replaced(timeout):
    conf = CONF["daemon"].replace("reload=", "graceful-timeout=%s reload=" % timeout) + ALIASES
    site = Site("daemon")
    site.server.configure(conf)
    with site.server:
        site.write("one", 1, more=THREAD)
        before = site.ask("one")
        site.write("one", 2)
        assert site.ask("one")["version"] == 2
        site.server.log.wait_for("WSGI0742.* 1 s.*The process is replaced", deadline=60)
        # Nothing changes, nothing is asked for: another process has loaded the script all the same.
        site.server.log.wait_for("Exiting process 'site' \\(pid=%d\\)" % before["pid"], deadline=60)
        after = site.ask("one")
        assert after["pid"] != before["pid"] and after["version"] == 2
        assert len(site.server.log.lines("Loading WSGI script '.*/one.wsgi'")) == 3


def test_idle_executors_do_not_keep_the_old_interpreter(site):
    executor = "from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor()\npool.submit(int).result()\n"
    site.write("one", 1, more=executor)
    assert site.ask("one")["version"] == 1
    site.write("one", 2)
    assert site.ask("one")["version"] == 2
    wait_until(lambda: "atexit 1" in site.noted(), site.noted)
    site.write("one", 3)
    assert site.ask("one")["version"] == 3
    assert not site.server.log.lines("WSGI074")


def test_nothing_is_lost_while_one_of_two_is_reloaded_again_and_again(site):
    two = site.ask("two")
    over, failures, versions = threading.Event(), [], []

    def ask(name):
        while not over.is_set():
            answer = site.server.get("/%s?" % name)
            if answer.status != 200:
                failures.append(answer)
            elif name == "one":
                versions.append(int(answer.text.split()[1]))
    threads = [threading.Thread(target=ask, args=(name,)) for name in ("one", "one", "one", "two")]
    for thread in threads:
        thread.start()
    try:
        for version in range(1, 26):
            site.write("one", version)
            wait_until(lambda: versions and versions[-1] == version, site.server.story)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not failures, (failures[:3], site.server.story())
    after = site.ask("two")
    assert (after["pid"], after["started"]) == (two["pid"], two["started"])
    assert not site.server.log.lines(r"wsgi:(error|crit|alert|emerg)\]")


TURNS = """
import sys
AT_IMPORT = sys.getswitchinterval()
%s
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'%d %%.6f %%.6f' %% (AT_IMPORT, sys.getswitchinterval())]
"""


def test_the_switch_interval_is_short_while_an_interpreter_loads(mode):
    site = Site(mode)

    def write(version, more=""):
        path = os.path.join(site.server.apps, "one.wsgi")
        with open(path + ".new", "w") as script:
            script.write(TURNS % (more, version))
        os.replace(path + ".new", path)

    def ask():
        version, *intervals = site.server.get("/one").text.split()
        return (int(version), *map(float, intervals))

    write(0)
    with site.server:
        assert ask() == (0, 0.005, 0.005)
        write(1)
        assert ask() == (1, 0.0005, 0.005)
        write(2, "raise RuntimeError('on purpose')")
        assert ask() == (1, 0.0005, 0.005)
        write(3, "sys.setswitchinterval(0.002)")
        assert ask() == (3, 0.0005, 0.002)
