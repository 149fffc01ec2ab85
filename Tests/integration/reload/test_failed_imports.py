"""Scripts whose import fails half way: the next attempt starts afresh, requests in between are refused at once, and the log is
told once."""
import os
import re
import subprocess
import sys
import time

import pytest

from httpd_env import MODES, PYTHON_HOME, REFERENCE, Httpd, run_together, virtual_environment, wait_until

pytestmark = [pytest.mark.skipif(REFERENCE, reason="the reference tries again in the process that the first attempt has spoilt")]
daemon_only = pytest.mark.skipif("daemon" not in MODES, reason="there is no daemon mode")

# As Django's registry of applications: a second attempt in one interpreter is refused.
REGISTRY = """
started = False
def populate():
    global started
    if started:
        raise RuntimeError("populate() isn't reentrant")
    started = True
    import project_settings
"""
SCRIPT = """
import registry
registry.populate()
import project_settings
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [project_settings.NAME.encode()]
"""
NEIGHBOUR = """
import os
REQUESTS = []
def application(environ, start_response):
    REQUESTS.append(1)
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'%d %d' % (os.getpid(), len(REQUESTS))]
"""


class Project:
    """A server with a project whose settings do not load until they are mended."""

    def __init__(self, options="", mode="daemon", group="%{GLOBAL}", conf="", source=SCRIPT,
                 settings="raise ImportError('the settings are broken')\n", environment=None):
        self.httpd = Httpd("", name="failing", environment=environment)
        self.directory = self.httpd.make_directory("project")
        self.script = os.path.join(self.httpd.apps, "broken.wsgi")
        self.write("registry.py", REGISTRY)
        self.write("project_settings.py", settings)
        with open(self.script, "w") as out:
            out.write(source)
        with open(os.path.join(self.httpd.apps, "neighbour.wsgi"), "w") as out:
            out.write(NEIGHBOUR)
        self.httpd.configure("""
WSGIDaemonProcess site python-path={root}/project %s
WSGIPythonPath {root}/project
WSGIScriptAlias /broken {apps}/broken.wsgi
WSGIScriptAlias /neighbour {apps}/neighbour.wsgi
<Location />
WSGIProcessGroup %s
WSGIApplicationGroup %s
</Location>
%s""" % (options, "site" if mode == "daemon" else "%{GLOBAL}", group, conf))
        self.log = self.httpd.log

    def write(self, name, source):
        path = os.path.join(self.directory, name)
        with open(path + ".new", "w") as out:
            out.write(source)
        os.replace(path + ".new", path)

    def mend(self, name="shop"):
        self.write("project_settings.py", "NAME = %r\n" % name)

    def touch(self, seconds=1):
        moment = time.time() + seconds
        os.utime(self.script, (moment, moment))

    def get(self, path="/broken"):
        return self.httpd.get(path)

    def tracebacks(self, words="ImportError: the settings are broken"):
        return self.log.lines(words)

    def starts(self):
        return self.log.lines("Loading WSGI script '%s'" % self.script)

    def __enter__(self):
        self.httpd.__enter__()
        return self

    def __exit__(self, *failure):
        self.httpd.__exit__(*failure)


@pytest.fixture
def make_project():
    running = []

    def make(*args, **kwargs):
        project = Project(*args, **kwargs)
        running.append(project)
        return project.__enter__()
    yield make
    for project in running:
        project.__exit__(None, None, None)


def number_of_processes(options):
    found = re.search(r"processes=(\d+)", options)
    return int(found.group(1)) if found else 1


PRELOADED = "WSGIImportScript {apps}/broken.wsgi process-group=site application-group=%{GLOBAL}"
OPTIONS = ["threads=1", "threads=8", "processes=3 threads=4", "processes=2 threads=2 reload=rolling"]


@daemon_only
@pytest.mark.parametrize("options", OPTIONS)
def test_a_mended_module_is_enough(make_project, options):
    project = make_project(options)
    assert project.get().status == 500
    project.mend()
    wait_until(lambda: project.get().text == "shop", "the mended project")
    # Each process in which it had failed finds out when a request comes to it.
    wait_until(lambda: run_together(8, lambda _: {project.get().text for _ in range(10)}) == [{"shop"}] * 8, "all processes")
    assert not project.tracebacks("isn't reentrant")


@daemon_only
@pytest.mark.parametrize("options", OPTIONS)
def test_touching_the_script_helps(make_project, options):
    project = make_project(options)
    assert project.get().status == 500
    project.mend()
    project.touch()
    assert project.get().text == "shop", "the request that notices is answered by the new code"
    assert not project.tracebacks("isn't reentrant")


@daemon_only
@pytest.mark.parametrize("options", OPTIONS)
def test_a_broken_script_under_load_costs_little(make_project, options):
    project = make_project(options)
    began = time.monotonic()

    def work(_):
        statuses = []
        while time.monotonic() < began + 4:
            statuses.append(project.get().status)
        return statuses
    statuses = run_together(6, work)
    count = sum(map(len, statuses))
    assert all(status == 500 for some in statuses for status in some)
    processes = number_of_processes(options)
    elapsed = time.monotonic() - began
    assert len(project.starts()) <= processes + elapsed + 1, "one start a second"
    assert len(project.tracebacks()) <= processes, "each process logs what it alone has seen, once"
    line = project.log.wait_for("WSGI0614.*repeated [0-9]+ times")[0]
    assert project.script in line and "main interpreter of daemon process 'site'" in line
    found = sum(int(re.search(r"repeated (\d+) times", line).group(1)) for line in project.log.lines("WSGI0614.*times"))
    assert found >= count / 2 / processes
    project.mend()
    wait_until(lambda: project.get().text == "shop", "the mended project")


@daemon_only
def test_another_failure_is_logged_whole(make_project):
    project = make_project("threads=2")
    assert project.get().status == 500
    project.write("project_settings.py", "raise ValueError('another failure')\n")
    wait_until(lambda: project.get().status == 500 and project.tracebacks("ValueError: another failure"), "the other failure")
    # Attempts go on, and say nothing new.
    count = len(project.starts())
    wait_until(lambda: project.get().status == 500 and len(project.starts()) > count + 1, "further attempts")
    assert len(project.tracebacks("ValueError: another failure")) == 1
    assert len(project.tracebacks()) == 1


@daemon_only
@pytest.mark.parametrize("source, words", [
    ("import no_such_module\n" + SCRIPT, "ModuleNotFoundError: No module named"),
    ("raise SystemExit(3)\n" + SCRIPT, "SystemExit: 3"),
    ("raise KeyboardInterrupt\n" + SCRIPT, r"\] KeyboardInterrupt$"),
    ("def application(:\n", "SyntaxError"),
])
def test_every_kind_of_failure(make_project, source, words):
    project = make_project("threads=2", source=source)
    project.mend()
    answers = [project.get().status for _ in range(20)]
    assert answers == [500] * 20
    assert len(project.log.lines(words)) == 1
    assert not project.log.lines("WSGI045")
    with open(project.script + ".new", "w") as out:
        out.write(SCRIPT)
    os.replace(project.script + ".new", project.script)
    project.touch()
    assert project.get().text == "shop"


@daemon_only
@pytest.mark.parametrize("options", ["threads=4", "processes=2 threads=2"])
def test_neighbours_notice_nothing(make_project, options):
    project = make_project(options)
    project.get("/neighbour")
    end = time.monotonic() + 3

    def work(index):
        path = "/broken" if index == 0 else "/neighbour"
        answers = []
        while time.monotonic() < end:
            answers.append(project.get(path))
        return answers
    broken, *others = run_together(4, work)
    assert all(answer.status == 500 for answer in broken)
    assert all(answer.status == 200 for answers in others for answer in answers)
    # The attempts at the other script are made in processes of their own: this one's keep their state.
    pids = {answer.text.split()[0] for answers in others for answer in answers}
    assert len(pids) <= number_of_processes(options)
    assert len(project.starts()) > 2
    project.mend()
    end = time.monotonic() + 2
    broken, *others = run_together(4, work)
    assert broken[-1].text == "shop"
    assert all(answer.status == 200 for answers in others for answer in answers), "none is lost when the process is replaced"


@daemon_only
def test_a_preloaded_script_that_fails(make_project):
    project = make_project("threads=2", conf=PRELOADED)
    project.log.wait_for("ImportError: the settings are broken")
    assert project.get().status == 500
    project.mend()
    wait_until(lambda: project.get().text == "shop", "the mended project")
    assert not project.tracebacks("isn't reentrant")


@daemon_only
def test_without_script_reloading(make_project):
    project = make_project("threads=2", conf="WSGIScriptReloading Off")
    assert project.get().status == 500
    project.mend()
    wait_until(lambda: project.get().text == "shop", "the mended project")


@daemon_only
@pytest.mark.parametrize("failure", ["raise RuntimeError('broken')\n", "def application(:\n", "import os\nos._exit(3)\n"])
@pytest.mark.parametrize("options", ["threads=1", "threads=4", "processes=2 threads=2"])
def test_a_rolling_reload_answers_every_request_with_the_old_code(make_project, options, failure):
    project = make_project(options + " reload=rolling", settings="NAME = 'old'\n", conf=PRELOADED)
    project.httpd.expected_crashes = True
    project.log.wait_for("takes requests", count=number_of_processes(options))
    with open(project.script + ".new", "w") as out:
        out.write(failure)
    os.replace(project.script + ".new", project.script)
    project.touch(2)
    answers = run_together(4, lambda _: [project.get() for _ in range(20)])
    assert {answer.text for some in answers for answer in some} == {"old"}
    project.log.wait_for("WSGI0460")
    project.mend("new")
    with open(project.script + ".new", "w") as out:
        out.write(SCRIPT)
    os.replace(project.script + ".new", project.script)
    project.touch(3)
    assert project.get().text == "new"


@pytest.mark.parametrize("group", ["%{GLOBAL}", "sub"])
def test_embedded_failures_are_paced_and_counted(make_project, group):
    if "embedded" not in MODES:
        pytest.skip("there is no embedded mode")
    project = make_project(mode="embedded", group=group, source="import project_settings\n" + SCRIPT)
    answers = run_together(4, lambda _: [project.get().status for _ in range(50)])
    assert answers == [[500] * 50] * 4
    assert len(project.tracebacks()) == 1
    line = project.log.wait_for("WSGI0614.*repeated [0-9]+ times")[0]
    assert ("main interpreter" if group == "%{GLOBAL}" else "sub-interpreter 'sub'") + " in embedded mode" in line
    project.mend()
    wait_until(lambda: project.get().text == "shop", "the mended project")


# MARK: embedded mode

PROGRAM = os.path.join(PYTHON_HOME, "bin", "python3") if PYTHON_HOME else sys.executable
VERSION = subprocess.check_output([PROGRAM, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], text=True).strip()
embedded_only = pytest.mark.skipif("embedded" not in MODES or VERSION != "3.11",
                                   reason="new interpreters for failed imports are for embedded mode with Python 3.11")
BESIDE = "<Location /neighbour>\nWSGIApplicationGroup %s\n</Location>\n"
DJANGO = """
import os
os.environ['DJANGO_SETTINGS_MODULE'] = 'django_settings'
from django.core.wsgi import get_wsgi_application
get_wsgi_application()
import project_settings
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [project_settings.NAME.encode()]
"""
DJANGO_SETTINGS = """
SECRET_KEY = 'x'
INSTALLED_APPS = ['django.contrib.contenttypes', 'django.contrib.auth', 'project_settings']
"""


def interpreters(project, group="sub"):
    return project.log.lines("Creating sub-interpreter '%s'" % group)


def fail(project, attempts):
    """Asks until so many attempts have been made at loading the script."""
    wait_until(lambda: project.get().status == 500 and len(project.starts()) >= attempts, "%d attempts" % attempts)


def fail_at_once(project, attempts):
    """Has the script tried again and again, by touching it."""
    for attempt in range(attempts):
        project.touch(10 + attempt)
        assert project.get().status == 500


def use_of_memory(pid):
    """In bytes."""
    with open("/proc/%s/statm" % pid) as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@embedded_only
def test_django_is_mended_without_a_restart(make_project):
    project = make_project(mode="embedded", group="sub", source=DJANGO, conf="WSGIPythonHome %s" % virtual_environment())
    project.write("django_settings.py", DJANGO_SETTINGS)
    fail(project, 4)
    assert len(project.tracebacks()) == 1
    project.mend()
    wait_until(lambda: project.get().text == "shop", "the mended project")
    assert not project.tracebacks("isn't reentrant")
    count = len(interpreters(project))
    assert count >= 3
    project.touch()
    assert project.get().text == "shop", "a script that has loaded is loaded again in place"
    assert len(interpreters(project)) == count


@embedded_only
def test_a_mended_module_is_enough_in_embedded_mode(make_project):
    project = make_project(mode="embedded", group="sub")
    answers = run_together(6, lambda _: [project.get().status for _ in range(20)])
    assert answers == [[500] * 20] * 6
    fail(project, 3)
    project.mend()
    wait_until(lambda: project.get().text == "shop", "the mended project")
    assert run_together(6, lambda _: {project.get().text for _ in range(10)}) == [{"shop"}] * 6
    assert not project.tracebacks("isn't reentrant")


@embedded_only
def test_touching_the_script_helps_in_embedded_mode(make_project):
    project = make_project(mode="embedded", group="sub")
    assert project.get().status == 500
    project.mend()
    project.touch()
    assert run_together(6, lambda _: project.get().text) == ["shop"] * 6
    assert not project.tracebacks("isn't reentrant")


@embedded_only
@pytest.mark.unsanitized("memory that is freed is kept for a while")
def test_many_failures_cost_no_memory_and_neighbours_nothing(make_project):
    project = make_project(mode="embedded", group="sub", source="import decimal, json, logging, ssl\n" + SCRIPT,
                           conf=BESIDE % "other", environment={"MALLOC_ARENA_MAX": "1"})
    pid, number = project.get("/neighbour").text.split()
    fail_at_once(project, 5)
    before = use_of_memory(pid)
    done = []

    def work(index):
        if index == 0:
            fail_at_once(project, 20)
            done.append(True)
            return []
        answers = []
        while not done:
            answers.append((project.get("/neighbour").text, project.get().status))
        return answers
    _, *others = run_together(4, work)
    assert all(status == 500 for answers in others for _, status in answers)
    counts = sorted(int(text.split()[1]) for answers in others for text, _ in answers)
    assert counts == list(range(2, len(counts) + 2)), "the neighbour keeps its state"
    assert number == "1" and len(interpreters(project, "other")) == 1
    assert len(interpreters(project)) >= 20
    assert use_of_memory(pid) - before < 24 * 1024 * 1024, "twenty interpreters would take several times as much"
    project.mend()
    project.touch(60)
    assert project.get().text == "shop"


@embedded_only
def test_a_retired_interpreter_is_ended_as_any(make_project):
    source = """
import atexit, mod_wsgi
atexit.register(print, 'atexit of a failed import')
mod_wsgi.subscribe_shutdown(lambda event, **more: print('shutdown of a failed import'))
""" + SCRIPT
    project = make_project(mode="embedded", group="sub", source=source)
    fail(project, 3)
    project.log.wait_for("shutdown of a failed import", count=2)
    project.log.wait_for("atexit of a failed import", count=2)


@embedded_only
@pytest.mark.parametrize("daemon", [True, False])
def test_threads_of_failed_imports_keep_few_interpreters(make_project, daemon):
    source = """
import threading, time
event = threading.Event()
def work():
    while not event.wait(0.05):
        pass
threading.Thread(target=work, daemon=%s).start()
""" % daemon
    if not daemon:
        source += "import atexit\nthreading._register_atexit(event.set)\n"
    project = make_project(mode="embedded", group="sub", source=source + SCRIPT, conf=BESIDE % "other")
    fail_at_once(project, 7)
    assert len(interpreters(project)) == 4, "the one that bears the name, and three that could not be ended"
    assert len(project.log.lines("WSGI0615.*sub-interpreter 'sub'")) == 1
    assert project.get("/neighbour").status == 200


@embedded_only
@pytest.mark.parametrize("group, source", [
    ("%{GLOBAL}", SCRIPT), ("sub", "def application(:\n"),
], ids=["main interpreter", "not compiled"])
def test_no_new_interpreter_where_none_can_help(make_project, group, source):
    project = make_project(mode="embedded", group=group, source=source)
    fail(project, 3)
    assert len(interpreters(project)) == (group == "sub")
    assert not project.log.lines("WSGI0615")


@embedded_only
def test_another_script_of_the_group_keeps_its_state(make_project):
    project = make_project(mode="embedded", group="sub")
    assert project.get("/neighbour").text.endswith(" 1")
    fail(project, 3)
    assert project.get("/neighbour").text.endswith(" 2")
    assert len(interpreters(project)) == 1


@embedded_only
def test_a_limit_of_interpreters_counts_names(make_project):
    project = make_project(mode="embedded", group="%{SERVER}", conf="WSGIMaxInterpreters 1")
    fail(project, 4)
    project.mend()
    wait_until(lambda: project.get().text == "shop", "the mended project")
    assert not project.log.lines("WSGI0621")


@embedded_only
def test_the_server_stops_while_attempts_are_made(make_project):
    project = make_project(mode="embedded", group="sub")
    fail(project, 2)
    for _ in range(5):
        count = len(project.starts())
        fail(project, count + 2)
        project.httpd.restart()
    assert not project.log.lines("WSGI0505|exit signal|Fatal Python error")


@embedded_only
def test_a_preloaded_script_is_tried_again_in_a_new_interpreter(make_project):
    project = make_project(mode="embedded", group="sub",
                           conf="WSGIImportScript {apps}/broken.wsgi process-group=%{GLOBAL} application-group=sub")
    project.log.wait_for("ImportError: the settings are broken")
    project.mend()
    wait_until(lambda: project.get().text == "shop", "the mended project")
    assert not project.tracebacks("isn't reentrant")


@embedded_only
def test_an_access_script_is_tried_again_in_a_new_interpreter(make_project):
    conf = (BESIDE % "other") + "<Location /neighbour>\nWSGIAccessScript {apps}/broken.wsgi application-group=sub\n</Location>"
    project = make_project(mode="embedded", group="sub", conf=conf, source=SCRIPT + """
def allow_access(environ, host):
    return project_settings.NAME == 'shop'
""")
    wait_until(lambda: project.get("/neighbour").status == 403 and len(project.starts()) >= 2, "two attempts")
    project.mend()
    wait_until(lambda: project.get("/neighbour").status == 200, "the mended script")
    assert not project.tracebacks("isn't reentrant")
