"""What one tenant's processes, with native code, can do to the server and to other tenants: nothing."""
import fcntl
import json
import os
import pty
import signal
import stat
import subprocess
import termios

import pytest

from httpd_env import MODES, Httpd, httpd_program, wait_until
from processes import children, descendants, named, noted, remaining, supervisors
from stuck_file import StuckFile, why_not

pytestmark = pytest.mark.skipif("daemon" not in MODES, reason="daemon mode is not tested here")
root_only = pytest.mark.skipif(os.getuid() != 0, reason="only root starts processes as another user")

TENANTS = """
WSGIDaemonProcess bad user=games threads=4 shutdown-timeout=1 graceful-timeout=1 python-path={lib}
WSGIDaemonProcess good user=www-data threads=2 python-path={lib}
WSGIScriptAlias /bad {apps}/app.wsgi process-group=bad application-group=%{GLOBAL}
WSGIScriptAlias /good {apps}/app.wsgi process-group=good application-group=%{GLOBAL}
"""


def files(pid):
    """The pipes and sockets of a process, by name: the number of each in it."""
    found = {}
    for number in os.listdir("/proc/%d/fd" % pid):
        path = "/proc/%d/fd/%s" % (pid, number)
        try:
            if stat.S_ISFIFO(os.stat(path).st_mode) or stat.S_ISSOCK(os.stat(path).st_mode):
                found[os.readlink(path)] = int(number)
        except OSError:
            continue
    return found


def good_is_well(server):
    """The supervisor works: it notices that a process ends, and replaces it."""
    first = int(server.get("/good/pid").text)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: server.get("/good/pid").text != str(first), "another process")


@root_only
def test_nobody_who_matters_reads_a_pipe_that_a_tenant_writes():
    with Httpd(TENANTS, apps="tenants", name="pipes") as server:
        server.get("/good/pid")
        tenant = files(int(server.get("/bad/pid").text))
        pipes = {name for name in tenant if name.startswith("pipe:")}
        relays = set(named(server.pid, "wsgi-relay"))
        others = [pid for pid in [server.pid] + children(server.pid)]
        assert supervisors(server.pid)[0] in others and len(relays) == 2 and pipes
        for pid in others:
            assert not pipes & set(files(pid)), pid
        for pid in relays:
            with open("/proc/%d/status" % pid) as status:
                facts = dict(line.split(":", 1) for line in status)
            assert "0" not in facts["Uid"].split() and int(facts["CapEff"], 16) == int(facts["CapPrm"], 16) == 0
            assert facts["NoNewPrivs"].strip() == "1"
            # Of the supervisor's and httpd's secrets it has none, and a process of its user cannot look into it.
            assert os.stat("/proc/%d/environ" % pid).st_uid == 0


@root_only
def test_pages_that_never_come_hold_up_nobody_else(tmp_path):
    if why_not():
        pytest.skip(why_not())
    server = Httpd(TENANTS, apps="tenants", name="stuck")
    file = StuckFile(os.path.join(server.root, "stuck"))
    server.start()
    try:
        server.expected_crashes = True
        assert "socket" in server.get("/bad/stuck_writes?path=" + file.path).text
        assert file.touched.wait(20)
        # One more request for the thread that receives into such a page; nobody will answer it.
        with server.client() as client:
            client.send(b"GET /bad/pid HTTP/1.1\r\nHost: localhost\r\n\r\n")
            good_is_well(server)
            assert server.get("/no-such-file").status == 404
            server.graceful()
            good_is_well(server)
        family = noted(descendants(server.pid))
        server.signal(signal.SIGTERM)
        server.process.wait(30)
        server.process = None
    finally:
        file.close()
        if server.process is not None:
            server.process.kill()
            server.process.wait()
            raise AssertionError("httpd did not stop:\n" + server.story())
    wait_until(lambda: not remaining(family), "the end of all processes")
    server.remove()


@root_only
def test_a_descriptor_that_takes_long_to_close_is_sent_to_nobody():
    with Httpd(TENANTS, apps="tenants", name="linger") as server:
        assert server.get("/bad/lingering").text == "['EPIPE', 'EPIPE', 'ENOTSOCK']"
        server.get("/bad/leave")
        server.log.wait_for("WSGI0451")
        good_is_well(server)
        assert server.get("/bad/pid").status == 200


@root_only
def test_no_process_has_the_terminal_of_httpd():
    server = Httpd(TENANTS, apps="tenants", name="terminal")
    master, slave = pty.openpty()

    def take_terminal():
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    server.process = subprocess.Popen([httpd_program(), "-f", server.conf, "-D", "FOREGROUND"], stdin=slave, stdout=slave,
                                      stderr=slave, pass_fds=[slave], preexec_fn=take_terminal)
    os.close(slave)
    try:
        wait_until(server.answers, "httpd's start")
        pid, session, found = server.get("/bad/terminal").text.split()
        assert pid == session and found == "ENXIO"
    finally:
        family = noted(descendants(server.pid))
        server.signal(signal.SIGTERM)
        server.process.wait(30)
        server.process = None
        os.close(master)
    wait_until(lambda: not remaining(family), "the end of all processes")
    server.remove()


def test_programs_inherit_nothing_but_the_standard_descriptors():
    with Httpd(TENANTS.replace("user=games", ""), apps="tenants", name="inherited") as server:
        # The fourth is what lists them.
        assert server.get("/bad/inherited").text.split() == ["0", "1", "2", "3"]


def test_output_goes_by_name_and_by_number():
    with Httpd(TENANTS if os.getuid() == 0 else TENANTS.replace("user=games", "").replace("user=www-data", ""),
               apps="tenants", name="output") as server:
        assert server.get("/bad/output").text == "written"
        for words in ("by its path", "by the other path", "by number"):
            server.log.wait_for(words + "$")


def test_a_clean_environment_has_nothing_of_httpds_but_what_is_named():
    options = {"usual": "", "clean": "environment=clean", "named": "environment=clean pass-environment=DSN,NONE"}
    conf = "".join("WSGIDaemonProcess %s %s python-path={lib}\nWSGIScriptAlias /%s {apps}/app.wsgi process-group=%s"
                   " application-group=%%{GLOBAL}\n" % (name, more, name, name) for name, more in options.items())
    secrets = {"DSN": "postgresql:///shop", "SECRET": "of another tenant", "LC_TIME": "C"}
    with Httpd(conf, apps="tenants", name="environment", environment=secrets) as server:
        found = {name: json.loads(server.get("/%s/environment" % name).text) for name in options}
    assert secrets.items() <= found["usual"].items()
    assert set(found["clean"]) <= {"PATH", "LANG", "TZ", "HOME"} | {name for name in found["clean"] if name.startswith("LC_")}
    assert found["clean"]["LC_TIME"] == "C" and found["clean"]["PATH"] == os.environ["PATH"]
    assert {**found["clean"], "DSN": secrets["DSN"]} == found["named"]


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the tenant makes system calls by their x86-64 numbers")
def test_no_child_that_a_tenant_gives_the_supervisor_stays_a_zombie():
    with Httpd(TENANTS, apps="tenants", name="strangers") as server:
        supervisor, = supervisors(server.pid)
        made = json.loads(server.get("/bad/children_of_parent").text)
        assert len(made) == 20 and min(made) > 0
        wait_until(lambda: not set(made) & set(children(supervisor)), "the end of the supervisor's unknown children")
        assert server.get("/good/pid").status == 200 and server.get("/bad/pid").status == 200
