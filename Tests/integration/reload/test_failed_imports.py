"""Scripts whose import fails half way: the next attempt starts afresh, requests in between are refused at once, and the log is
told once."""
import os
import re
import threading
import time

import pytest

from httpd_env import MODES, REFERENCE, Httpd, run_together, wait_until

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


def ask_until(enough, ask, clients):
    """Has so many clients ask again and again until `enough`: the answers of each."""
    over = threading.Event()

    def work(index):
        answers = [ask(index)]
        while not over.is_set():
            answers.append(ask(index))
        return answers

    def watch(index):
        if index < clients:
            return work(index)
        try:
            wait_until(enough, "what the load is to show", deadline=60)
        finally:
            over.set()
    *answers, failure = run_together(clients + 1, watch)
    if failure is not None:
        raise failure
    return answers


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
    processes = number_of_processes(options)
    began = time.monotonic()
    statuses = ask_until(lambda: len(project.starts()) >= processes + 3, lambda _: project.get().status, clients=6)
    elapsed = time.monotonic() - began
    count = sum(map(len, statuses))
    assert all(status == 500 for some in statuses for status in some)
    assert len(project.starts()) <= processes + elapsed + 1, "one start a second"
    assert len(project.tracebacks()) <= processes, "each process logs what it alone has seen, once"
    line = project.log.wait_for("WSGI0614.*repeated [0-9]+ times")[0]
    assert project.script in line and "main interpreter of daemon process 'site'" in line

    def counted():
        return sum(int(re.search(r"repeated (\d+) times", line).group(1)) for line in project.log.lines("WSGI0614.*times"))
    wait_until(lambda: counted() >= count / 2, lambda: "%d of %d requests counted" % (counted(), count))
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

    def ask(index):
        return project.get("/neighbour" if index else "/broken")
    broken, *others = ask_until(lambda: len(project.starts()) > 2, ask, clients=4)
    assert all(answer.status == 500 for answer in broken)
    assert all(answer.status == 200 for answers in others for answer in answers)
    # The attempts at the other script are made in processes of their own: this one's keep their state.
    pids = {answer.text.split()[0] for answers in others for answer in answers}
    assert len(pids) <= number_of_processes(options)
    project.mend()
    seen = []

    def ask_again(index):
        answer = ask(index)
        if not index:
            seen.append(answer.text)
        return answer
    broken, *others = ask_until(lambda: seen[-20:] == ["shop"] * 20, ask_again, clients=4)
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
