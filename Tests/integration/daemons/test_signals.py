"""The signals that a daemon process takes, the stacks that SIGQUIT shows, and that lines about a process name it."""
import contextlib
import os
import re
import signal
import threading

import pytest

from documents import chapter
from httpd_env import MODES, REFERENCE, Httpd, wait_until

pytestmark = [pytest.mark.skipif(REFERENCE, reason="mod_wsgi 6.1.1 logs in the process itself"),
              pytest.mark.skipif("daemon" not in MODES, reason="daemon mode is not tested here")]


def test_every_line_about_a_process_names_it():
    conf = """
WSGIDaemonProcess site processes=2 threads=2 startup-timeout=60 python-path={lib}
WSGIScriptAlias / {apps}/app.wsgi process-group=site
"""
    with Httpd(conf, apps="signals", name="named") as server:
        pids = set()

        def serve():
            pids.add(int(server.get("/pid").text))
            return len(pids) >= 2
        wait_until(serve, "both processes")
        os.kill(min(pids), signal.SIGUSR1)
        server.log.wait_for(r"Exiting process 'site' \(pid=%d\)" % min(pids))
        os.kill(max(pids), signal.SIGTERM)
        server.log.wait_for(r"Exiting process 'site' \(pid=%d\)" % max(pids))
        said = [line for line in server.log.text().splitlines() if re.search(r":info\].*'site'", line)]
    for words in ("takes requests", "Creating", "Loading WSGI script", "startup timer .* started", "startup timer .* cancelled",
                  "restart of 'site'", "Shutdown requested", "Stopping process", "Exiting process"):
        assert any(re.search(words, line) for line in said), (words, said)
    for line in said:
        assert re.search(r"\(pid=\d+\)|process \d+ of process group 'site'", line), line
    for pid in pids:
        assert [line for line in said if "(pid=%d)" % pid in line]


SITES = """
WSGIDaemonProcess site threads=4 python-path={lib}
WSGIScriptAlias /site {apps}/app.wsgi process-group=site application-group=%{GLOBAL}
WSGIDaemonProcess alone threads=1 python-path={lib}
WSGIScriptAlias /alone {apps}/app.wsgi process-group=alone application-group=%{GLOBAL}
WSGIScriptAlias /sub {apps}/app.wsgi process-group=site application-group=sub
"""


@pytest.fixture(scope="module")
def server():
    with Httpd(SITES, apps="signals", name="signals") as running:
        yield running


def pid_of(server):
    return int(server.get("/site/pid").text)


@contextlib.contextmanager
def held(server, *paths):
    """Requests that wait for a file until the block ends; they must be answered then."""
    gate = server.unused_path("open")
    answers = []
    threads = [threading.Thread(target=lambda path=path: answers.append(server.get("%s?file=%s" % (path, gate)).status))
               for path in paths]
    for thread in threads:
        thread.start()
    try:
        yield gate
    finally:
        open(gate, "w").close()
        for thread in threads:
            thread.join(30)
    assert answers == [200] * len(paths), answers


def stacks(server, pid, wanted, first="SIGQUIT"):
    """Sends SIGQUIT until the report has the wanted lines (the requests may not have got there yet): its lines."""
    def report():
        mark = server.log.mark()
        os.kill(pid, signal.SIGQUIT)
        server.log.wait_for("WSGI0650: %s" % first, mark)
        server.log.wait_for("WSGI0650: .*(:|\\.)$|WSGI0650: called from", mark)
        text = server.log.text(mark)
        return text if all(re.search(pattern, text) for pattern in wanted) else None
    return wait_until(report, lambda: "%s in:\n%s" % (wanted, server.log.text()[-3000:]))


def test_quit_shows_the_stacks_of_all_threads(server):
    pid = pid_of(server)
    with held(server, "/site/wait_for", "/sub/wait_for", "/site/deep") as gate:
        assert server.get("/sub/thread?file=" + gate).status == 200
        text = stacks(server, pid, [
            r"WSGI0650: SIGQUIT: stacks of the threads of daemon process 'site' \(pid=%d\):\n" % pid,
            r"WSGI0650: Thread \d+, request \S+, in the main interpreter executing file .*app\.wsgi.*, in wait_until_there\n"
            r".*WSGI0650: called from file .* in wait_for\n",
            r"WSGI0650: Thread \d+, request \S+, in the sub-interpreter 'sub' executing file .* in wait_until_there\n",
            r"WSGI0650: Thread 'beside' in the sub-interpreter 'sub' executing file .* in wait_until_there\n",
            r"in descend\n"])
        # A stack without end is cut.
        assert text.count(" in descend") < 250
    assert pid_of(server) == pid


def test_quit_where_nothing_runs(server):
    pid = pid_of(server)
    stacks(server, pid, [r"process 'site' \(pid=%d\): none runs Python code\." % pid])
    assert pid_of(server) == pid


def test_quit_while_the_gil_is_kept(server):
    pid = pid_of(server)
    assert server.get("/sub/pid").status == 200
    mark = server.log.mark()
    with held(server, "/site/gil") as gate, held(server, "/sub/wait_for"):
        server.log.wait_for("keeping the GIL", mark)
        # The second time the one who waits for the GIL waits still.
        for _ in range(2):
            text = stacks(server, pid, [r"read without the GIL, which a thread holds"])
            if "this Python cannot show it" not in text:
                server.log.wait_for(r'WSGI0650:   File ".*app\.wsgi", line \d+ in gil', mark)
        open(gate, "w").close()
    assert pid_of(server) == pid
    stacks(server, pid, [r"\): none runs Python code\."])


SIGNALS = {
    signal.SIGTERM: "shutdown_signal", signal.SIGINT: "shutdown_signal", signal.SIGUSR1: "graceful_signal",
    signal.SIGXCPU: "cpu_time_limit", signal.SIGHUP: None, signal.SIGUSR2: None, signal.SIGQUIT: None, signal.SIGPIPE: None,
}


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_every_signal_does_what_it_is_said_to(server, number):
    pid, mark = pid_of(server), server.log.mark()
    server.get("/site/signals")
    os.kill(pid, number)
    reason = SIGNALS[number]
    if reason:
        server.log.wait_for(r"process %d of process group 'site' exited \(%s\)" % (pid, reason), mark)
        assert pid_of(server) != pid
        return
    if number in (signal.SIGHUP, signal.SIGUSR2):
        wait_until(lambda: number.name in server.get("/site/signals").text.split(), "the subscriber's call")
    if number == signal.SIGQUIT:
        server.log.wait_for("WSGI0650", mark)
    assert pid_of(server) == pid


def test_the_manual_has_every_signal():
    section = chapter("reference").split("## Signals of daemon processes")[1].split("\n#")[0]
    named = {name for row in re.findall(r"(?m)^\| (`SIG.*?) \|", section) for name in re.findall(r"SIG\w+", row)}
    assert named == {number.name for number in SIGNALS}


def test_programs_that_an_application_starts_have_the_defaults(server):
    ignored, caught, blocked = re.findall(r"Sig\w+:\s*([0-9a-f]+)", server.get("/site/dispositions").text)[:3]
    assert {int(mask, 16) & ((1 << 31) - 1) for mask in (ignored, caught, blocked)} == {0}
    for number in SIGNALS:
        if number != signal.SIGPIPE:
            assert server.get("/alone/forked/%d" % number).text == str(int(number))


STARTING = """
import os, time
open({path!r} + ".%d" % os.getpid(), "w").close()
while not os.path.exists({path!r}):
    time.sleep(0.01)
"""


@pytest.mark.parametrize("threads", [1, 0], ids=["preloading", "service"])
def test_a_process_whose_script_is_loading(threads):
    """It may take long, or hang: SIGQUIT shows where, and what asks running processes for something ends nothing."""
    server = Httpd("", name="starting")
    shared = server.make_directory("shared", 0o777)
    os.chmod(shared, 0o777)
    path = os.path.join(shared, "go-on")
    with open(os.path.join(server.apps, "slow.py"), "w") as script:
        script.write(STARTING.format(path=path))
    server.configure("WSGIDaemonProcess slow threads=%d\n"
                     "WSGIImportScript {apps}/slow.py process-group=slow application-group=%%{GLOBAL}\n" % threads)
    with server:
        name, = wait_until(lambda: os.listdir(shared), "the script")
        pid = int(name.rsplit(".", 1)[1])
        for number in (signal.SIGUSR1, signal.SIGHUP, signal.SIGUSR2):
            os.kill(pid, number)
        stacks(server, pid, [r"in the main interpreter executing file \".*slow\.py\", line \d+, in <module>"])
        assert os.listdir(shared) == [name]
        if threads:
            open(path, "w").close()
            server.log.wait_for(r"takes requests \(pid=%d\)" % pid)
        else:
            os.kill(pid, signal.SIGTERM)
            server.log.wait_for("process %d of process group 'slow' exited" % pid)
