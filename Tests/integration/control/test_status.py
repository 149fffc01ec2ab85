"""wsgictl status: groups and processes as they stand, by name, for root and for their users; exit codes; the socket's file."""
import os
import signal
import stat
import subprocess

import pytest

import command
from httpd_env import Httpd, wait_until
from processes import children, name_of

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="groups of other users need root")

CONF = """
WSGIDaemonProcess shop user=games processes=2 threads=3
WSGIDaemonProcess wiki user=daemon processes=1 threads=2
WSGIDaemonProcess asleep user=games processes=0-1 idle-timeout=1 threads=1
WSGIDaemonProcess jobs user=games threads=0
WSGIDaemonProcess broken user=daemon threads=1 python-home=/nonexistent
WSGIScriptAlias /shop {apps}/app.wsgi process-group=shop application-group=%{GLOBAL}
WSGIScriptAlias /wiki {apps}/app.wsgi process-group=wiki application-group=%{GLOBAL}
WSGIScriptAlias /asleep {apps}/app.wsgi process-group=asleep application-group=%{GLOBAL}
WSGIScriptAlias /broken {apps}/app.wsgi process-group=broken application-group=%{GLOBAL}
"""
NOBODY = 65534


@pytest.fixture(scope="module")
def server():
    httpd = Httpd(CONF, name="control")
    command.write_script(httpd)
    httpd.expected_crashes = True  # the group that cannot start
    with httpd:
        yield httpd


def test_states(server):
    shop = command.wait_for_state(server, "shop", "serving")
    assert shop["user"] == "games" and shop["wanted"] == 2 and shop["threads"] == 3
    assert [process["state"] for process in shop["processes"]] == ["ready", "ready"]
    assert all(process["idle"] == 3 and process["busy"] == 0 and process["rss"] > 1 << 20 for process in shop["processes"])
    assert shop["python"].startswith("3.")
    command.wait_for_state(server, "jobs", "service")
    command.wait_for_state(server, "broken", "down")
    command.wait_for_state(server, "asleep", "sleeping")
    with server.client() as client:
        client.send(b"GET /asleep/wait/awake HTTP/1.1\r\nHost: localhost\r\n\r\n")
        pid, = command.ready(server, "asleep", 1)
        open(os.path.join(server.apps, "awake"), "w").close()
        assert client.read_response("GET").text.split()[0] == str(pid)
    command.wait_for_state(server, "asleep", "sleeping")


def test_requests_are_counted(server):
    before = sum(process["requests"] for process in command.group(server, "wiki")["processes"])
    command.answer(server, "/wiki")
    wait_until(lambda: sum(process["requests"] for process in command.group(server, "wiki")["processes"]) == before + 1,
               "the request to be counted")


def test_busy_and_saturated(server):
    command.wait_for_state(server, "wiki", "serving")
    clients = [server.client() for _ in range(3)]
    for number, client in enumerate(clients):
        client.send(b"GET /wiki/wait/go%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % number)
    wiki = command.wait_for_state(server, "wiki", "saturated")
    assert wiki["busy"] == 2 and wiki["idle"] == 0 and wiki["waiting"]
    for number, client in enumerate(clients):
        open(os.path.join(server.apps, "go%d" % number), "w").close()
    for client in clients:
        assert client.read_response("GET").status == 200
        client.close()
    command.wait_for_state(server, "wiki", "serving")


def test_users_see_their_own(server):
    assert set(command.groups(server)) == {"shop", "wiki", "asleep", "jobs", "broken"}
    assert set(command.groups(server, user="games")) == {"shop", "asleep", "jobs"}
    assert set(command.groups(server, user="daemon")) == {"wiki", "broken"}
    assert command.groups(server, user="news") == {}
    assert command.do(server, "status", user="news") == "No process groups.\n"


def test_unknown_and_foreign_groups_look_alike(server):
    answers = {command.run(server, "status", name, user="daemon")[2].replace(name, "?") for name in ("shop", "nosuchgroup")}
    assert len(answers) == 1
    for verb in ("status", "reload", "restart", "stop", "start", "drain"):
        for name in ("shop", "nosuchgroup"):
            code, output, errors = command.run(server, verb, name, user="daemon")
            assert (code, output) == (4, "") and "no process group" in errors, (verb, name)
    own = min(command.ready(server, "shop", 2))
    for pid in (own, os.getpid(), 1):
        assert command.run(server, "restart", str(pid), user="daemon")[0] == 4
    assert own in command.pids(server, "shop")


def test_nobody_has_no_groups(server):
    """Users of other user namespaces all look like the same one."""
    assert command.groups(server, user=NOBODY) == {}


def test_tables(server):
    command.wait_for_state(server, "shop", "serving")
    lines = command.do(server, "status", "shop").splitlines()
    assert lines[0].split()[:4] == ["GROUP", "USER", "STATE", "PROCESSES"]
    assert lines[1].split()[:4] == ["shop", "games", "serving", "2/2"]
    assert len(lines) == 6 and lines[3].split()[0] == "PID"


def test_exit_codes(server, tmp_path):
    assert command.run(server, "status", "nosuchgroup")[0] == 4
    assert command.run(server, "status", "x" * 300)[0] == 4
    assert command.run(server, "nosuchverb")[0] == 2
    assert command.run(server, "reload")[0] == 2
    assert command.run(server, "reload", "jobs")[0] == 1
    for path in ("/nonexistent/wsgictl.sock", str(tmp_path), "/" + "x" * 200):
        done = subprocess.run([command.program(server), "status", "--socket", path], capture_output=True, text=True)
        assert done.returncode == 3 and path in done.stderr


def test_socket(server):
    about = os.stat(command.socket_path(server))
    assert stat.S_ISSOCK(about.st_mode) and stat.S_IMODE(about.st_mode) == 0o666 and about.st_uid == 0
    assert not [name for name in os.listdir(server.root) if name.startswith(".wsgictl")]


def test_restarts_of_server_and_supervisor():
    server = Httpd(CONF, name="control")
    command.write_script(server)
    server.expected_crashes = True
    with server:
        command.wait_for_state(server, "shop", "serving")
        server.graceful()
        command.wait_for_state(server, "shop", "serving")
        server.restart()
        command.wait_for_state(server, "shop", "serving")
        for pid in children(server.pid):
            if name_of(pid) == "wsgi-supervisor":
                os.kill(pid, signal.SIGKILL)
        # Those who come meanwhile wait for the next one.
        assert command.group(server, "shop")["state"] in ("serving", "degraded", "starting")
        server.stop()
        assert not os.path.exists(command.socket_path(server))
        assert command.run(server, "status")[0] == 3


@pytest.mark.parametrize("directive, access, log", [
    ("WSGIControlSocket Off", 0o755, None),
    ("WSGIControlSocket own/other.sock", 0o755, None),
    ("WSGIControlSocket open/x.sock", 0o777, "WSGI0746: There is no control socket .*others may write to the directory"),
    ("WSGIControlSocket missing/x.sock", None, "WSGI0746: There is no control socket .*No such file"),
    ("WSGIControlSocket error_log", None, "WSGI0746: There is no control socket .*another file of that name"),
])
def test_places(directive, access, log):
    server = Httpd("WSGIDaemonProcess shop user=games\n" + directive, name="control")
    name = directive.split()[1].split("/")[0]
    if access and name != "Off":
        server.make_directory(name, access)
    with server:
        if log:
            server.log.wait_for(log)
        assert not os.path.exists(command.socket_path(server))
        own = os.path.join(server.root, "own", "other.sock")
        assert os.path.exists(own) == (name == "own")
        assert command.run(server, "status")[0] == 3


def test_another_server_keeps_its_socket():
    first = Httpd("WSGIDaemonProcess shop user=games", name="control")
    with first:
        command.wait_for_state(first, "shop", "serving")
        second = Httpd("WSGIDaemonProcess wiki user=games\nWSGIControlSocket %s" % command.socket_path(first), name="control")
        with second:
            second.log.wait_for("WSGI0746: .*another server, process %d, listens there" % first.pid)
            assert set(command.groups(first)) == {"shop"}
        assert set(command.groups(first)) == {"shop"}
