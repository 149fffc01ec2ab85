"""wsgictl stacks and top: what threads do now, also while the GIL is held; live figures, worst first."""
import json
import os
import pty
import signal
import subprocess

import pytest

import command
from httpd_env import DEADLINE, Httpd, wait_until
from processes import stop_process

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="groups of other users need root")

SCRIPT = command.SCRIPT + """

def wait_here(name):
    while not os.path.exists(name):
        time.sleep(0.01)

def keep_gil(name):
    import ctypes, re
    open(name + '.began', 'w').close()
    ctypes.PyDLL(None).usleep(20000000)

def application_of_stacks(environ, start_response):
    if environ['PATH_INFO'].startswith('/gil/'):
        keep_gil(os.path.join(os.path.dirname(__file__), environ['PATH_INFO'][5:]))
    return original(environ, start_response)

original, application = application, application_of_stacks
"""


@pytest.fixture(scope="module")
def server():
    httpd = Httpd("""
        WSGIDaemonProcess shop user=games processes=2 threads=2
        WSGIDaemonProcess wiki user=news processes=1 threads=1
        WSGIScriptAlias /shop {apps}/app.wsgi process-group=shop application-group=%{GLOBAL}
        WSGIScriptAlias /wiki {apps}/app.wsgi process-group=wiki application-group=%{GLOBAL}
        """, name="control")
    command.write_script(httpd, text=SCRIPT)
    with httpd:
        for name in ("shop", "wiki"):
            command.wait_for_state(httpd, name, "serving")
        yield httpd


def hold(server, path, name):
    client = server.client()
    client.send(b"GET %s/%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (path.encode(), name.encode()))
    wait_until(lambda: os.path.exists(os.path.join(server.apps, name + ".began")), "the request to run")
    return client


@pytest.mark.parametrize("user", [None, "games"])
def test_stacks(server, user):
    name = "go-%s" % user
    command.ready(server, "shop", 2)
    client = hold(server, "/shop/wait", name)
    text = command.do(server, "stacks", "shop", user=user)
    processes = [int(line.split()[1]) for line in text.splitlines() if line.startswith("Process ")]
    assert set(processes) == command.pids(server, "shop")
    assert "app.wsgi" in text and "application" in text
    # An earlier request may count as running for a moment yet.
    busy, = wait_until(lambda: (lambda found: found if len(found) == 1 else None)(
        [process["pid"] for process in command.group(server, "shop")["processes"] if process["busy"]]), "one busy process")
    one = command.do(server, "stacks", str(busy), user=user)
    assert one.startswith("Process %d\n" % busy) and "app.wsgi" in one and one.count("Process ") == 1
    assert command.run(server, "stacks", str(busy), user="news")[0] == 4
    open(os.path.join(server.apps, name), "w").close()
    assert client.read_response("GET").status == 200
    client.close()


def test_stacks_while_the_gil_is_held(server):
    client = hold(server, "/wiki/gil", "held")
    text = command.do(server, "stacks", "wiki")
    assert "GIL" in text or "app.wsgi" in text
    pid, = command.ready(server, "wiki", 1)
    os.kill(pid, signal.SIGKILL)
    client.close()
    server.expected_crashes = True
    command.ready(server, "wiki", 1, [pid])


def test_stopped_process_is_not_waited_for_for_long(server):
    pid, = command.ready(server, "wiki", 1)
    stop_process(pid)
    try:
        assert "does not answer" in command.do(server, "stacks", "wiki")
    finally:
        os.kill(pid, signal.SIGCONT)


def test_top_once(server):
    command.do(server, "stop", "wiki")
    lines = command.do(server, "top").splitlines()
    assert [line.split()[0] for line in lines] == ["GROUP", "shop", "wiki"]
    assert [group["name"] for group in json.loads(command.do(server, "top", "--json"))["groups"]] == ["shop", "wiki"]
    assert set(group["name"] for group in json.loads(command.do(server, "top", "--json", user="news"))["groups"]) == {"wiki"}
    command.do(server, "start", "wiki")
    assert command.run(server, "top", "--interval", "0")[0] == 2


def test_top_on_a_terminal(server):
    ours, theirs = pty.openpty()
    # These tests may run where SIGINT is ignored, as a shell has it for what runs in the background.
    process = subprocess.Popen([command.program(server), "top", "--interval", "1", "--socket", command.socket_path(server)],
                               stdin=theirs, stdout=theirs, stderr=theirs,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    os.close(theirs)
    text = b""
    try:
        while text.count(b"GROUP") < 2:
            text += os.read(ours, 4096)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(DEADLINE)
        os.close(ours)
    assert b"\x1b[H\x1b[J" in text and b"shop" in text and process.returncode == -signal.SIGINT
