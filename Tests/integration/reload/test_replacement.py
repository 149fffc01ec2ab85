"""Daemon processes that are replaced under requests: by touched scripts, by kill -9, without their supervisor."""
import os
import re
import signal
import threading

import pytest

from httpd_env import MODES, Httpd, wait_until
from http_client import Client
from processes import called, stop_process, supervisors

pytestmark = pytest.mark.skipif("daemon" not in MODES, reason="daemon mode is not tested here")

CONF = """
WSGIDaemonProcess site{port} processes=2 threads=4 python-path={lib} %s
WSGIDaemonProcess other processes=1 threads=2 python-path={lib}
WSGIScriptAlias /site {apps}/app.wsgi process-group=site{port} application-group=%%{GLOBAL}
WSGIScriptAlias /other {apps}/other.wsgi process-group=other application-group=%%{GLOBAL}
WSGIScriptAlias /second {apps}/other.wsgi process-group=site{port} application-group=%%{GLOBAL}
"""


class Clients:
    """Clients that ask for /site/pid on kept connections until told to stop. `answers` has what came, in order."""

    def __init__(self, server, count=4, path="/site/pid"):
        self.server, self.path, self.answers, self.failures = server, path, [], []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self):
        client = Client(self.server.port)
        while not self.over.is_set():
            try:
                answer = client.request("GET", self.path)
            except OSError as failure:
                self.failures.append(repr(failure))
                client.close()
                client = Client(self.server.port)
                continue
            if answer.status == 200 and answer.complete:
                self.answers.append(answer.text)
            else:
                self.failures.append(answer)
            if answer.header("Connection") == "close":
                client.close()
                client = Client(self.server.port)
        client.close()

    def wait_for(self, more):
        target = len(self.answers) + more
        wait_until(lambda: len(self.answers) >= target, lambda: "%d answers; failures: %s\n%s" % (
            target, self.failures[:5], self.server.story()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(30)


def make(options="", **more):
    server = Httpd(CONF % options, apps="daemon", name="replacement", **more)
    with open(os.path.join(server.apps, "app.wsgi")) as script:
        text = script.read()
    with open(os.path.join(server.apps, "other.wsgi"), "w") as script:
        script.write(text)
    return server


def write_version(server, version, name="app.wsgi", extra=""):
    """The script with another VERSION, put in place as a whole as an editor or a deployment does it."""
    path = os.path.join(server.apps, name)
    with open(path) as script:
        text = re.sub(r"(?m)^VERSION = .*$", "VERSION = %s%s" % (version, extra), script.read())
    with open(path + ".new", "w") as script:
        script.write(text)
    os.replace(path + ".new", path)


def workers(server):
    """The pids of the site's processes."""
    return called("wsgi-worker", "site%d" % server.port)


def supervisor(server):
    return next(iter(supervisors(server.pid)), None)


@pytest.mark.parametrize("options", ["", "reload=rolling"])
def test_touches_lose_nothing_and_are_answered_by_new_code(options):
    with make(options) as server:
        other = server.get("/other/pid").text
        before = workers(server)
        with Clients(server) as load, Client(server.port) as client:
            load.wait_for(50)
            # A process that is still starting reads whatever the script holds by then, beside others that have loaded it before.
            server.log.wait_for(r"Daemon process 'site\d+' takes requests", count=2)
            for version in range(1, 6 if options else 21):
                write_version(server, version)
                # Until the new processes have loaded, only the request that found the change waits for them.
                wait_until(lambda: client.request("GET", "/site/pid").text.endswith(" %d" % version), "version %d" % version)
                # Whoever asks from now on is answered by new code, whichever process takes the request.
                for _ in range(5):
                    assert client.request("GET", "/site/pid").text.endswith(" %d" % version)
        assert not load.failures, (load.failures[:5], server.story())
        assert server.get("/other/pid").text == other
        wait_until(lambda: len(workers(server)) == 2, lambda: "two processes: %s" % workers(server))
        assert not set(workers(server)) & set(before)


@pytest.mark.parametrize("options", ["", "reload=rolling"])
def test_the_request_after_a_touch_is_answered_by_new_code(options):
    with make(options) as server, Client(server.port) as client:
        for version in range(6):
            write_version(server, version)
            assert client.request("GET", "/site/pid").text.endswith(" %d" % version)


def test_killed_processes_lose_only_what_they_ran():
    with make() as server:
        server.expected_crashes = True
        with Clients(server, 6) as load:
            load.wait_for(50)
            for _ in range(6):
                victim = wait_until(lambda: workers(server), "a process to kill")[0]
                mark = server.log.mark()
                os.kill(victim, signal.SIGKILL)
                server.log.wait_for(r"WSGI045[12]: The process %d .*SIGKILL" % victim, mark)
                wait_until(lambda: len(workers(server)) == 2, "a replacement")
                load.wait_for(30)
        # Six kills of a process of four threads.
        assert len(load.failures) <= 24, load.failures
        for failure in load.failures:
            assert getattr(failure, "status", None) == 502, failure
        named = server.log.lines(r"WSGI0146: .*SIGKILL")
        assert len(named) == len(load.failures), (named, load.failures, server.story())


def test_requests_of_a_killed_process_are_refused_with_the_cause_and_their_id():
    with make() as server:
        server.expected_crashes = True
        server.configure(CONF % "" + 'ErrorLogFormat "[%{u}t] [%-m:%l] [request %L] %M"\n')
        server.restart()
        with server.client() as client:
            mark = server.log.mark()
            client.send(client.head("GET", "/site/identified"))
            line, = server.log.wait_for(r"blocked as \[", mark)
            identity = re.search(r"blocked as \[(\S+)\]", line).group(1)
            assert "[request %s]" % identity in line
            for pid in workers(server):
                os.kill(pid, signal.SIGKILL)
            answer = client.read_response()
        assert answer.status == 502, answer
        line, = server.log.wait_for(r"WSGI0146", mark)
        assert "was killed by signal 9 (SIGKILL)" in line and "[request %s]" % identity in line, line
        # The access log's %L is the same.
        server.access_log.wait_for(r"/site/identified.* 502 .* %s$" % re.escape(identity))
        wait_until(lambda: server.get("/site/pid").status == 200, "the group's return")


def test_workers_outlive_their_supervisor():
    with make() as server:
        server.expected_crashes = True
        with Clients(server) as load:
            load.wait_for(50)
            # Those that are still starting are no processes yet that could be continued with.
            server.log.wait_for(r"Daemon process 'site\d+' takes requests", count=2)
            before = sorted(workers(server))
            for count in range(1, 4):
                old = wait_until(lambda: supervisor(server), "a supervisor")
                os.kill(old, signal.SIGKILL)
                load.wait_for(50)
                wait_until(lambda: supervisor(server) not in (None, old), lambda: "another supervisor:\n" + server.story())
                server.log.wait_for("continues with 2 processes", count=count)
                load.wait_for(20)
            assert sorted(workers(server)) == before
        assert not load.failures, (load.failures[:5], server.story())
        assert len(server.log.lines("WSGI0358")) == 3
        # The new one does its work: it reloads, and replaces what dies.
        write_version(server, 5)
        assert server.get("/site/pid").text.split()[1] == "5"
        mark = server.log.mark()
        wait_until(lambda: len(workers(server)) == 2, "two processes")
        victim = int(server.get("/site/pid").text.split()[0])
        os.kill(victim, signal.SIGKILL)
        server.log.wait_for(r"WSGI045[12]: The process %d " % victim, mark)
        assert server.get("/site/pid").status == 200


# What a script does while it is loaded: it says who does, and waits for `go`.
WAITS = """; import os, time
open(os.path.join(%r, str(os.getpid())), 'w').close()
while not os.path.exists(os.path.join(%r, 'go')): time.sleep(0.01)
"""


def test_a_request_that_waits_for_new_code_outlives_its_supervisor():
    with make() as server:
        server.expected_crashes = True
        server.log.wait_for("Daemon process 'site%d' takes requests" % server.port, count=2)
        left = server.make_directory("left", 0o777)
        write_version(server, 1, extra=WAITS % (left, left))
        with server.client() as client:
            client.send(client.head("GET", "/site/pid"))
            wait_until(lambda: len(os.listdir(left)) == 2, "both processes that load the new code")
            # Nobody is there to see the end of that process, and the next supervisor knows nothing of the request.
            old = supervisor(server)
            stop_process(old)
            for pid in os.listdir(left):
                os.kill(int(pid), signal.SIGKILL)
            os.kill(old, signal.SIGKILL)
            server.log.wait_for("continues with 2 processes")
            open(os.path.join(left, "go"), "w").close()
            assert client.read_response("GET").text.endswith(" 1")


def test_a_stop_without_a_supervisor_leaves_no_process():
    with make() as server:
        assert server.get("/site/pid").status == 200
        server.expected_crashes = True
        os.kill(supervisor(server), signal.SIGKILL)
        server.stop()
        wait_until(lambda: not workers(server), lambda: "the end of %s" % workers(server))


def test_rolling_keeps_old_code_that_works():
    with make("reload=rolling") as server:
        # A process that starts later has no old code to keep.
        server.log.wait_for("Daemon process 'site%d' takes requests" % server.port, count=2)
        with Clients(server) as load:
            load.wait_for(20)
            before = sorted(workers(server))
            write_version(server, 1, extra="; raise RuntimeError('broken deployment')")
            line, = server.log.wait_for("WSGI0460")
            assert "app.wsgi" in line and "does not load" in line
            load.wait_for(50)
            assert {answer.split()[1] for answer in load.answers} == {"0"}
            wait_until(lambda: sorted(workers(server)) == before, lambda: "the old processes alone: %s" % workers(server))
            server.log.wait_for("RuntimeError: broken deployment")
            # Another script of the group is not held up, and the next version is taken.
            assert server.get("/second/pid").text.endswith(" 0")
            write_version(server, 2)
            wait_until(lambda: server.get("/site/pid").text.endswith(" 2"), "the next version")
        # The request that found the change, one a process at most, is told.
        assert len(load.failures) <= 2 and all(failure.status == 500 for failure in load.failures), load.failures
        assert len(server.log.lines("WSGI0460")) == 1


def test_code_that_does_not_load_answers_500_without_rolling():
    with make() as server:
        assert server.get("/site/pid").status == 200
        write_version(server, 1, extra="; raise RuntimeError('broken deployment')")
        assert server.get("/site/pid").status == 500
        server.log.wait_for("RuntimeError: broken deployment")
        write_version(server, 2)
        assert server.get("/site/pid").text.endswith(" 2")
