"""WSGIPerInterpreterGIL: interpreters that use processors side by side, and extension modules that refuse sub-interpreters."""
import os
import re
import threading
import time

import pytest

from httpd_env import MODES, PYTHON, Httpd

OWN_GIL = pytest.mark.skipif(PYTHON < (3, 12), reason="Python %d.%d has one GIL a process; 3.12 is needed" % PYTHON)
GROUPS = {"embedded": "%{GLOBAL}", "daemon": "site"}

SCRIPT = """
import mod_wsgi, os, sys, threading, time
def hold(count):
    # One call into C: it does not let go of the GIL before it is done.
    return sum(range(count))
def application(environ, start_response):
    start_response('200 OK', [])
    query = environ['QUERY_STRING']
    if query:
        open(os.path.join(os.path.dirname(__file__), mod_wsgi.application_group), 'w').close()
        hold(int(query))
    return [repr((mod_wsgi.application_group, os.getpid(), os.times()[:2], time.monotonic())).encode()]
"""


def start(lines, **more):
    head = ["WSGIDaemonProcess site python-path={lib} threads=8", "WSGISocketPrefix {root}/wsgi"] if "daemon" in MODES else []
    for mode in MODES:
        for name in ("one", "two", "main"):
            # By sections: options that name both groups would have the script loaded before it is written.
            head += ["WSGIScriptAlias /%s-%s {apps}/app.wsgi" % (mode, name), "<Location /%s-%s>" % (mode, name),
                     "WSGIProcessGroup " + GROUPS[mode],
                     "WSGIApplicationGroup " + ("%{GLOBAL}" if name == "main" else name), "</Location>"]
    server = Httpd("\n".join(head + list(lines)), name="gil", **more)
    os.chmod(server.apps, 0o777)
    write(server, SCRIPT)
    return server


def write(server, text):
    with open(os.path.join(server.apps, "app.wsgi"), "w") as script:
        script.write(text)


def ask(server, mode, name, query=""):
    answer = server.get("/%s-%s%s" % (mode, name, "?" + query if query else ""))
    assert answer.status == 200, answer
    return eval(answer.text)


def calibrate(server, mode):
    """A count that keeps the GIL for about two seconds here and now."""
    began = time.monotonic()
    ask(server, mode, "one", "10000000")
    return str(int(10_000_000 * 2 / max(time.monotonic() - began, 0.01)))


def answers_meanwhile(server, mode, holder, other, count):
    """How many requests of `other` are answered while one of `holder` keeps its GIL."""
    ended, found = threading.Event(), []
    os.unlink(os.path.join(server.apps, holder))

    def hold():
        ask(server, mode, holder, count)
        ended.set()
    thread = threading.Thread(target=hold)
    thread.start()
    while not os.path.exists(os.path.join(server.apps, holder)):
        assert not ended.is_set()
    while not ended.is_set():
        ask(server, mode, other)
        if not ended.is_set():
            found.append(other)
    thread.join()
    return len(found)


@OWN_GIL
def test_a_group_with_its_own_gil_does_not_wait_for_another(mode):
    answered = {}
    for setting in ("On", "Off"):
        with start(["WSGIPerInterpreterGIL " + setting]) as server:
            for name in ("one", "two"):
                ask(server, mode, name)
            answered[setting] = answers_meanwhile(server, mode, "one", "two", calibrate(server, mode))
            assert (len(server.log.lines(r"[Cc]reating .*with its own GIL")) >= 2) == (setting == "On")
    # Only what slips in before the GIL is taken is answered by those who share it.
    assert answered["On"] > answered["Off"] + 3, answered


@OWN_GIL
def test_what_two_groups_use_together(mode, record_property, capsys):
    """Measured, not judged: how many processors two groups use that both compute."""
    seen = {}
    for setting in ("On", "Off"):
        with start(["WSGIPerInterpreterGIL " + setting]) as server:
            for name in ("one", "two"):
                ask(server, mode, name)
            count = calibrate(server, mode)
            before = ask(server, mode, "one")
            threads = [threading.Thread(target=ask, args=(server, mode, name, count)) for name in ("one", "two")]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            after = ask(server, mode, "one")
            assert after[1] == before[1]
            seen[setting] = (sum(after[2]) - sum(before[2])) / (after[3] - before[3])
    record_property("processors", repr(seen))
    with capsys.disabled():
        print("\n%s mode, two groups that compute in one process: %.2f processors with GILs of their own, %.2f with one GIL"
              % (mode, seen["On"], seen["Off"]), end=" ")


@OWN_GIL
def test_blocks_choose_who_has_its_own(mode):
    with start(["<WSGIInterpreterOptions application-group=one>", "WSGIPerInterpreterGIL On",
                "</WSGIInterpreterOptions>"]) as server:
        for name in ("one", "two", "main"):
            ask(server, mode, name)
        created = server.log.lines(r"[Cc]reating ")
        assert [re.search(r"'(\w+)'", line)[1] for line in created if "own GIL" in line] == ["one"]


@OWN_GIL
def test_an_interval_of_its_own(mode):
    conf = ["<WSGIInterpreterOptions application-group=one>", "WSGIPerInterpreterGIL On", "WSGISwitchInterval 0.25",
            "</WSGIInterpreterOptions>"]
    with start(conf) as server:
        write(server, "import sys\ndef application(environ, start_response):\n    start_response('200 OK', [])\n"
                      "    return [repr(sys.getswitchinterval()).encode()]\n")
        before = ask(server, mode, "main")
        assert ask(server, mode, "one") == pytest.approx(0.25) and ask(server, mode, "two") == before
        assert not server.log.lines("WSGI0199")


@pytest.mark.skipif(PYTHON >= (3, 12), reason="Python %d.%d can have more than one GIL" % PYTHON)
def test_an_older_python_says_that_it_cannot(mode):
    with start(["WSGIPerInterpreterGIL On"]) as server:
        ask(server, mode, "one")
        server.log.wait_for("WSGI0198.*WSGIPerInterpreterGIL needs Python 3.12 or newer")


# MARK: extension modules

REFUSALS = {
    "by name": ("raise ImportError('module _sample._native does not support loading in subinterpreters')",
                "Module '_sample._native'"),
    "by import": ("import refusing", "Module 'refusing'"),
}


@pytest.mark.parametrize("when", ["load", "request"])
@pytest.mark.parametrize("how", REFUSALS)
def test_a_module_that_refuses_sub_interpreters(mode, how, when):
    statement, named = REFUSALS[how]
    with start([]) as server:
        with open(os.path.join(server.root, "lib", "refusing.py"), "w") as module:
            module.write("raise ImportError('PyO3 modules compiled for CPython 3.8 or older may only be initialized once per '\n"
                         "                  'interpreter process')\n")
        body = "def application(environ, start_response):\n    %s\n    start_response('200 OK', [])\n    return [b'fine']\n"
        write(server, statement + "\n" if when == "load" else body % statement)
        mark = server.log.mark()
        assert server.get("/%s-one" % mode).status == 500
        (line,) = server.log.wait_for("WSGI0501", mark)
        assert server.log.lines("ImportError", mark) and len(server.log.lines("WSGI0501", mark)) == 1
        assert named in line and "application group 'one'" in line and "WSGIApplicationGroup %{GLOBAL}" in line
        # In the main interpreter it is an error like any other.
        mark = server.log.mark()
        assert server.get("/%s-main" % mode).status == 500
        server.log.wait_for("ImportError", mark)
        assert not server.log.lines("WSGI0501", mark)


@OWN_GIL
def test_a_real_module_that_refuses_a_gil_of_its_own(mode):
    script = ("import _testsinglephase\ndef application(environ, start_response):\n"
              "    start_response('200 OK', [])\n    return [b'0']\n")
    with start(["WSGIPerInterpreterGIL On"]) as server:
        write(server, script)
        mark = server.log.mark()
        answer = server.get("/%s-one" % mode)
        if server.log.lines("ModuleNotFoundError", mark):
            pytest.skip("this Python comes without _testsinglephase")
        assert answer.status == 500
        (line,) = server.log.wait_for("WSGI0501", mark)
        assert "Module '_testsinglephase'" in line and "WSGIPerInterpreterGIL Off" in line
    # With the GIL of all it works. (In the same process CPython 3.12 would crash after the refusal, by itself.)
    with start(["WSGIPerInterpreterGIL Off"]) as server:
        write(server, script)
        assert ask(server, mode, "one") == 0
