"""The modules that a process imports before an application does, and those that are changed when an application imports them."""
import ast
import re
import subprocess

import pytest

from httpd_env import Httpd

SCRIPT = '''
import sys

import mod_wsgi


def modules():
    return sys.executable, sorted(sys.modules)


def main_thread():
    import threading
    return threading.main_thread() is not threading.current_thread(), type(threading.main_thread()).__name__


def signals():
    import importlib
    import signal
    before = signal.getsignal(signal.SIGTERM)

    def handler(*_):
        pass
    result = [type(signal.signal).__name__, signal.signal(signal.SIGTERM, handler) is handler,
              signal.getsignal(signal.SIGTERM) == before, type(signal.__loader__).__name__,
              signal.__spec__.loader is signal.__loader__]
    return result + [type(importlib.reload(signal).signal).__name__]


def programs():
    import os
    os.environ["OF_THIS_INTERPRETER"] = "yes"
    import subprocess
    return subprocess.run(["/bin/sh", "-c", "printf %s $OF_THIS_INTERPRETER"], capture_output=True, text=True).stdout


class Through:
    """A finder that asks another one, as Mercurial puts one around each."""

    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return self.finder.find_spec(name, path, target)


def wrapped():
    sys.meta_path[:] = map(Through, sys.meta_path)
    return programs(), signals()[1:3]


def handler():
    from threading import Barrier, Thread
    barrier, found, names = Barrier(8), [], {}

    def find():
        barrier.wait()
        found.append(mod_wsgi.LogHandler)
    threads = [Thread(target=find) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    exec("from mod_wsgi import *", names)
    import logging
    return (len({id(one) for one in found}), names["LogHandler"] is found[0], issubclass(found[0], logging.Handler),
            found[0].__qualname__, found[0].__module__)


def names():
    try:
        mod_wsgi.missing
    except AttributeError as error:
        return "LogHandler" in dir(mod_wsgi), "LogHandler" in sys.modules["mod_wsgi"].__all__, str(error)


def application(environ, start_response):
    asked = globals().get(environ["PATH_INFO"][1:])
    start_response("200 OK" if asked else "404 Not Found", [("Content-Type", "text/plain")])
    return [repr(asked and asked()).encode()]
'''
GROUPS = {"embedded": "", "daemon": "WSGIDaemonProcess site threads=8\nWSGIProcessGroup site\n"}


@pytest.fixture(params=["%{GLOBAL}", "another"], ids=["main", "another"])
def ask(request, mode):
    server = Httpd(name="modules")
    with open(server.apps + "/app.wsgi", "w") as script:
        script.write(SCRIPT)
    server.configure(GROUPS[mode] + "WSGIApplicationGroup %s\nWSGIScriptAlias / {apps}/app.wsgi\n" % request.param)
    with server:
        def ask(name):
            answer = server.get("/" + name)
            assert answer.status == 200, (answer, server.log.text()[-2000:])
            return ast.literal_eval(answer.text)
        yield ask


def imported_by(python):
    """What Python has imported when it has started, and what `gc` and `threading` need."""
    said = subprocess.run([python, "-c", "import gc, sys, threading\nprint(sorted(sys.modules))"], capture_output=True, text=True,
                          check=True, cwd="/", env={"PATH": "/usr/bin:/bin"}).stdout
    return set(ast.literal_eval(said))


@pytest.mark.difference("imports logging, traceback and more before any application asks for them")
def test_a_fresh_process_has_imported_what_it_needs(ask):
    python, found = ask("modules")
    own = {re.sub("^_mod_wsgi_.*", "a script", name) for name in found if name not in imported_by(python)}
    assert own - {"_md5", "_datetime"} == {"mod_wsgi", "apache", "a script"}


def test_finders_of_the_application_may_stand_around_all_others(ask):
    assert ask("wrapped") == ("yes", [True, True])


@pytest.mark.parametrize("ask", ["%{GLOBAL}"], indirect=True, ids=["main"])
def test_the_main_thread_is_not_one_of_a_request(ask):
    assert ask("main_thread") == (True, "_MainThread")


def test_signal_is_restricted_when_it_is_imported(ask):
    assert ask("signals") == ["SignalIntercept", True, True, "SourceFileLoader", True, "SignalIntercept"]


def test_programs_have_the_environment_of_the_interpreter(ask):
    assert ask("programs") == "yes"


def test_there_is_one_log_handler(ask):
    assert ask("handler") == (1, True, True, "LogHandler", "mod_wsgi")


def test_names_of_the_module(ask):
    assert ask("names") == (True, True, "module 'mod_wsgi' has no attribute 'missing'")
