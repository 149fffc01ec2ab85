"""response-spool: httpd keeps the rest of a response for a client that reads slowly, so that it keeps no thread of a process."""
import hashlib
import os
import socket
import subprocess

import pytest

from httpd_env import MODES, Httpd, run_together, wait_until
from processes import children, name_of, open_files

pytestmark = pytest.mark.skipif("daemon" not in MODES, reason="daemon mode is not tested here")

SCRIPT = """
import hashlib, os, time
def data(size):
    return b"".join(hashlib.md5(b"%d" % number).digest() for number in range(size // 16))
def application(environ, start_response):
    kind, _, size = environ["PATH_INFO"][1:].partition("/")
    size = int(size or 0)
    if kind == "list":
        start_response("200 OK", [("Content-Length", str(size))])
        return [data(size)]
    start_response("200 OK", [])
    if kind == "pid":
        return [b"%d" % os.getpid()]
    def blocks():
        whole = data(size)
        for start in range(0, size, 5000):
            yield whole[start:start + 5000]
        if kind == "crash":
            time.sleep(0.5)
            os.kill(os.getpid(), 9)
        open(environ["QUERY_STRING"], "w").close()
    return blocks()
"""
GROUPS = {
    # With one thread: whoever keeps it keeps everybody out.
    "usual": "threads=1",
    "none": "threads=1 response-spool=0",
    "timed": "threads=1 response-socket-timeout=1",
}
CONF = "".join(
    "WSGIDaemonProcess {0} {1}\nWSGIScriptAlias /{0} {{docs}}/app.wsgi process-group={0} application-group=%{{GLOBAL}}\n".format(
        *pair) for pair in GROUPS.items()) + "SendBufferSize 65536\n"
SIZE = 800_000


def data(size):
    return b"".join(hashlib.md5(b"%d" % number).digest() for number in range(size // 16))


def make_server(name):
    running = Httpd(CONF, name=name, threads=80)
    # Files that should have no name would be seen here.
    running.temporary = running.make_directory("temporary", 0o777)
    running.environment["TMPDIR"] = running.temporary
    with open(os.path.join(running.docs, "app.wsgi"), "w") as script:
        script.write(SCRIPT)
    return running


@pytest.fixture(scope="module")
def server():
    with make_server("spool") as running:
        yield running


def ask(server, path):
    """A client that has sent its request, and reads nothing yet."""
    client = server.client(timeout=60)
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    client.send(client.head("GET", path))
    return client


@pytest.mark.parametrize("kind", ["list", "blocks"])
def test_a_client_that_reads_nothing_keeps_no_thread(server, kind):
    done = server.unused_path("done")
    with ask(server, "/usual/%s/%d?%s" % (kind, SIZE, done)) as client:
        assert server.get("/usual/pid").status == 200
        if kind == "blocks":
            wait_until(lambda: os.path.exists(done), "the last block of the generator")
        answer = client.read_response()
        assert answer.status == 200 and answer.complete and answer.body == data(SIZE)
    assert os.listdir(server.temporary) == []


@pytest.mark.parametrize("group", ["usual", "none"])
@pytest.mark.parametrize("kind", ["list", "blocks"])
def test_what_finds_no_room_waits_for_the_client(server, group, kind):
    done = server.unused_path("done")
    size = 5_000_000
    with ask(server, "/%s/%s/%d?%s" % (group, kind, size, done)) as client:
        assert client.socket.recv(1, socket.MSG_PEEK) and not os.path.exists(done)
        answer = client.read_response()
        assert answer.complete and answer.body == data(size)


def test_many_slow_clients_get_what_is_theirs(server):
    def work(index):
        with ask(server, "/usual/%s/%d?%s" % ("blocks" if index % 2 else "list", SIZE, server.unused_path("done"))) as client:
            assert server.get("/usual/pid").status == 200
            return client.read_response().body == data(SIZE)
    assert run_together(15, work) == [True] * 15
    assert os.listdir(server.temporary) == []


def test_a_client_that_takes_nothing_is_given_up(server):
    mark = server.log.mark()
    with ask(server, "/timed/list/%d" % SIZE) as client:
        assert server.get("/timed/pid").status == 200
        server.log.wait_for("WSGI0118", mark)
        assert not client.read_response().complete
    assert server.get("/timed/pid").status == 200


def test_a_client_that_goes_away_leaves_nothing(server):
    client = ask(server, "/usual/list/%d" % SIZE)
    assert server.get("/usual/pid").status == 200
    child, = [pid for pid in children(server.pid) if name_of(pid) != "wsgi-supervisor"]

    def spools():
        return [name for name in open_files(child) if name.startswith(server.temporary)]
    wait_until(spools, "the file of the response")
    client.reset()
    wait_until(lambda: not spools(), "the file to be closed")
    assert server.get("/usual/pid").status == 200


def test_what_came_before_a_crash_reaches_a_slow_client(server):
    server.expected_crashes = True
    with ask(server, "/usual/crash/%d" % SIZE) as client:
        server.log.wait_for("WSGI0451")
        answer = client.read_response()
        assert not answer.complete and answer.body == data(SIZE)
    server.log.wait_for("WSGI0119")


@pytest.mark.skipif(os.getuid() != 0, reason="only root may mount a small file system")
def test_a_full_file_system_costs_no_response():
    running = make_server("full")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=1777", "tmpfs", running.temporary],
                             capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip("no small file system can be mounted here: " + mounted.stderr.strip())
    try:
        with running:
            with ask(running, "/usual/list/%d" % SIZE) as client:
                line = running.log.wait_for("WSGI0745")[0]
                assert "process group 'usual'" in line and "No space left on device" in line and "TMPDIR" in line
                assert client.read_response().body == data(SIZE)
            # Once for a response, however many of its pieces find no room.
            assert len(running.log.lines("WSGI0745")) == 1
            assert running.get("/usual/pid").status == 200
    finally:
        subprocess.run(["umount", "-l", running.temporary], check=True)
