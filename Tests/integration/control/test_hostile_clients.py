"""Clients of the control socket that stall, flood, lie, or pass descriptors: the supervisor goes on replacing crashed processes,
others go on commanding, and nothing is left of those clients."""
import os
import signal
import subprocess

import pytest

import command
from httpd_env import Httpd, wait_until
from processes import children, name_of

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="clients of several users need root")

CLIENT = r"""
import array, os, random, resource, socket, struct, sys, time
path, kind = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_NOFILE, (4000, 4000))
def connect():
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(5)
    client.connect(path)
    return client
def request(verb=1, name=b"", rest=b""):
    head = struct.pack("=IIIII", 0x6c746377, 1, verb, 0, len(name)) + name + struct.pack("=I", 0xffffffff)
    return (head + rest).ljust(640, b"\0")
def tell():
    print("begun", flush=True)
held = []
rounds = 0
while True:
    try:
        client = connect()
        if kind == "stall":
            held.append(client)
        elif kind == "half":
            client.send(request()[:random.randrange(1, 640)])
            held.append(client)
        elif kind == "flood":
            client.close()
        elif kind == "unread":
            client.send(request())
            held.append(client)
        elif kind == "lies":
            choice = random.randrange(5)
            client.send([request(random.randrange(2**32)), os.urandom(640), request() + b"x" * 100000,
                         request(1, b"x" * 200)[:16] + struct.pack("=I", random.randrange(2**32)) + b"x" * 620,
                         request(1, b"", b"\xff" * 100)][choice])
            client.close()
        elif kind == "descriptors":
            try:
                socket.send_fds(client, [request()[:random.randrange(1, 641)]], [0, 1, client.fileno()])
            except PermissionError:
                client.send(request())
            client.close()
    except OSError:
        time.sleep(0.01)
    rounds += 1
    if len(held) > 3000:
        held.clear()
    if rounds == 300 or rounds == 60 and held:
        tell()
"""


@pytest.fixture(scope="module")
def server():
    httpd = Httpd("""
        WSGIDaemonProcess shop user=games processes=1 threads=2
        WSGIDaemonProcess wiki user=news processes=1 threads=2
        WSGIScriptAlias /shop {apps}/app.wsgi process-group=shop application-group=%{GLOBAL}
        """, name="control")
    command.write_script(httpd)
    httpd.expected_crashes = True
    with httpd:
        command.wait_for_state(httpd, "shop", "serving")
        yield httpd


def supervisor(server):
    found = [pid for pid in children(server.pid) if name_of(pid) == "wsgi-supervisor"]
    assert len(found) == 1
    return found[0]


def open_files(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


@pytest.mark.parametrize("kind", ["stall", "half", "flood", "unread", "lies", "descriptors"])
def test_hostile(server, kind):
    one = supervisor(server)
    before = open_files(one)
    clients = [subprocess.Popen(["/usr/bin/python3", "-c", CLIENT, command.socket_path(server), kind], stdout=subprocess.PIPE,
                                user="news", group="news", extra_groups=[], cwd="/") for _ in range(2)]
    try:
        for client in clients:
            assert client.stdout.readline() == b"begun\n"
        for _ in range(3):
            old, = command.ready(server, "shop", 1)
            os.kill(old, signal.SIGKILL)
            assert command.answer(server, "/shop")[0] != old
            assert set(command.groups(server, user="games")) == {"shop"}
            command.do(server, "restart", "shop", user="games")
            wait_until(lambda: len(command.pids(server, "shop")) == 1, "another process")
    finally:
        for client in clients:
            client.kill()
            client.wait()
            client.stdout.close()
    assert supervisor(server) == one
    # What they have left goes, and the hostile user's commands are heard again.
    wait_until(lambda: open_files(one) <= before, lambda: "%d descriptors, there were %d" % (open_files(one), before))
    wait_until(lambda: command.run(server, "status", user="news")[0] == 0, "a command of that user")
    wait_until(lambda: not [pid for pid in children(one) if "--discard" in open("/proc/%d/cmdline" % pid).read()],
               "the end of all expendable processes")

