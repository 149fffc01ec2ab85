"""Scripts of embedded applications whose import fails half way: the next attempt is made in a new interpreter."""
import os
import sys
import sysconfig

import pytest

from httpd_env import MODES, PYTHON, REFERENCE, run_together, virtual_environment, wait_until
from test_failed_imports import SCRIPT, make_project

pytestmark = [pytest.mark.skipif(REFERENCE, reason="the reference tries again in the interpreter that it has spoilt"),
              pytest.mark.skipif("embedded" not in MODES, reason="there is no embedded mode")]

BESIDE = "<Location /neighbour>\nWSGIApplicationGroup %s\n</Location>\n"
DJANGO = """
import os, sys
sys.path.append(%r)
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


def test_django_is_mended_without_a_restart(make_project):
    # Django's packages are the same for every Python.
    packages = os.path.join(virtual_environment(), os.path.relpath(sysconfig.get_path("purelib"), sys.prefix))
    project = make_project(mode="embedded", group="sub", source=DJANGO % packages)
    project.write("django_settings.py", DJANGO_SETTINGS)
    fail(project, 2)
    assert len(project.tracebacks()) == 1
    fail_at_once(project, 2)
    project.mend()
    wait_until(lambda: project.get().text == "shop", "the mended project")
    assert not project.tracebacks("isn't reentrant")
    count = len(interpreters(project))
    assert count >= 3
    project.touch()
    assert project.get().text == "shop", "a script that has loaded is loaded again in place"
    assert len(interpreters(project)) == count


def test_a_mended_module_is_enough_in_embedded_mode(make_project):
    project = make_project(mode="embedded", group="sub")
    answers = run_together(6, lambda _: [project.get().status for _ in range(20)])
    assert answers == [[500] * 20] * 6
    fail(project, 3)
    project.mend()
    wait_until(lambda: project.get().text == "shop", "the mended project")
    assert run_together(6, lambda _: {project.get().text for _ in range(10)}) == [{"shop"}] * 6
    assert not project.tracebacks("isn't reentrant")


def test_touching_the_script_helps_in_embedded_mode(make_project):
    project = make_project(mode="embedded", group="sub")
    assert project.get().status == 500
    project.mend()
    project.touch()
    assert run_together(6, lambda _: project.get().text) == ["shop"] * 6
    assert not project.tracebacks("isn't reentrant")


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


@pytest.mark.parametrize("group, source", [
    ("%{GLOBAL}", SCRIPT), ("sub", "def application(:\n"),
], ids=["main interpreter", "not compiled"])
def test_no_new_interpreter_where_none_can_help(make_project, group, source):
    project = make_project(mode="embedded", group=group, source=source)
    fail(project, 3)
    assert len(interpreters(project)) == (group == "sub")
    assert not project.log.lines("WSGI0615")


@pytest.mark.skipif(PYTHON < (3, 12), reason="Python %d.%d has one GIL a process" % PYTHON)
def test_an_interpreter_with_its_own_gil(make_project):
    project = make_project(mode="embedded", group="sub", source="import datetime, decimal\n" + SCRIPT,
                           conf="WSGIPerInterpreterGIL On")
    fail(project, 4)
    assert project.log.lines("sub-interpreter 'sub' with its own GIL")
    # Python 3.12 cannot end it without damage to others.
    assert (len(interpreters(project)) == 1) == (PYTHON == (3, 12))
    if PYTHON > (3, 12):
        project.mend()
        wait_until(lambda: project.get().text == "shop", "the mended project")


def test_another_script_of_the_group_keeps_its_state(make_project):
    project = make_project(mode="embedded", group="sub")
    assert project.get("/neighbour").text.endswith(" 1")
    fail(project, 3)
    assert project.get("/neighbour").text.endswith(" 2")
    assert len(interpreters(project)) == 1


def test_a_limit_of_interpreters_counts_names(make_project):
    project = make_project(mode="embedded", group="%{SERVER}", conf="WSGIMaxInterpreters 1")
    fail(project, 4)
    project.mend()
    wait_until(lambda: project.get().text == "shop", "the mended project")
    assert not project.log.lines("WSGI0621")


def test_the_server_stops_while_attempts_are_made(make_project):
    project = make_project(mode="embedded", group="sub")
    fail(project, 2)
    for _ in range(5):
        count = len(project.starts())
        fail(project, count + 2)
        project.httpd.let_connections_end()
        project.httpd.restart()
    assert not project.log.lines("WSGI0505|exit signal|Fatal Python error")


def test_a_preloaded_script_is_tried_again_in_a_new_interpreter(make_project):
    project = make_project(mode="embedded", group="sub",
                           conf="WSGIImportScript {apps}/broken.wsgi process-group=%{GLOBAL} application-group=sub")
    project.log.wait_for("ImportError: the settings are broken")
    project.mend()
    wait_until(lambda: project.get().text == "shop", "the mended project")
    assert not project.tracebacks("isn't reentrant")


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
