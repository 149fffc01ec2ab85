"""response-spool: httpd keeps the rest of a response for a client that reads slowly, so that it keeps no thread of a process."""
import hashlib
import os
import socket
import subprocess

import pytest

from httpd_env import MODES, Httpd, run_together, wait_until
from processes import children, memory_of, name_of, open_files

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
    if kind == "echo":
        digest = hashlib.md5()
        for block in iter(lambda: environ["wsgi.input"].read(65536), b""):
            digest.update(block)
        open(environ["QUERY_STRING"], "w").write(digest.hexdigest())
        return (b"%d" % (number % 10) * 100_000 for number in range(size // 100_000))
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
    "bound": "threads=4 response-spool=4M spool-limit=512K",
    "large": "threads=1 request-spool=300M response-spool=300M spool-limit=0",
}
# Both more than memory and sockets hold: the first is more than the limit allows beside that, the second is less.
BEYOND, WITHIN = 1_600_000, 700_000
CONF = "".join(
    "WSGIDaemonProcess {0} {1}\nWSGIScriptAlias /{0} {{docs}}/app.wsgi process-group={0} application-group=%{{GLOBAL}}\n".format(
        *pair) for pair in GROUPS.items()) + "SendBufferSize 65536\n"
SIZE = 800_000


def data(size):
    return b"".join(hashlib.md5(b"%d" % number).digest() for number in range(size // 16))


def make_server(name, conf=""):
    running = Httpd(CONF + conf, name=name, threads=80)
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


def is_kept(server, path, size):
    """Asks for a response and reads nothing of it: the client, and whether httpd has it all."""
    done = server.unused_path("done")
    return ask(server, "%s/blocks/%d?%s" % (path, size, done)), lambda: os.path.exists(done)


def serving_child(server):
    child, = [pid for pid in children(server.pid) if name_of(pid) != "wsgi-supervisor"]
    return child


def test_the_responses_of_a_group_share_its_room(server):
    mark = server.log.mark()
    first, has_first = is_kept(server, "/bound", BEYOND)
    with first:
        line = server.log.wait_for("WSGI0680", mark)[0]
        assert "process group 'bound'" in line and "spool-limit" in line
        second, has_second = is_kept(server, "/bound", WITHIN)
        with second:
            # Another group has room of its own.
            other, has_other = is_kept(server, "/usual", WITHIN)
            with other:
                wait_until(has_other, "the other group's response")
            assert not has_first() and not has_second()
            assert first.read_response().body == data(BEYOND)
            assert second.read_response().body == data(WITHIN)
    third, has_third = is_kept(server, "/bound", WITHIN)
    with third:
        wait_until(has_third, "room for another response")
    assert len(server.log.lines("WSGI0680", mark)) == 1


def test_a_child_that_dies_takes_no_room_along():
    with make_server("killed") as server:
        server.expected_crashes = True
        first, _ = is_kept(server, "/bound", BEYOND)
        with first:
            server.log.wait_for("WSGI0680")
            os.kill(serving_child(server), 9)
        wait_until(lambda: server.answers(), "another child")
        second, has_second = is_kept(server, "/bound", WITHIN)
        with second:
            wait_until(has_second, "room for another response")
            assert second.read_response().body == data(WITHIN)
        assert os.listdir(server.temporary) == []


def test_all_groups_share_the_room_of_the_server():
    with make_server("shared", "WSGISpoolLimit 512K\n") as server:
        first, has_first = is_kept(server, "/usual", BEYOND)
        with first:
            line = server.log.wait_for("WSGI0681")[0]
            assert "group 'usual'" in line and "WSGISpoolLimit" in line
            second, has_second = is_kept(server, "/bound", WITHIN)
            with second:
                server.log.wait_for("WSGI0681.*group 'bound'")
                assert first.read_response().body == data(BEYOND)
                assert second.read_response().body == data(WITHIN)
                assert not has_first() or has_second()


@pytest.mark.unsanitized("its allocator keeps what has been freed")
def test_memory_does_not_grow_with_bodies_in_both_directions(server):
    size, piece = 200_000_000, os.urandom(1_000_000)
    child, digest, done = serving_child(server), hashlib.md5(), server.unused_path("done")
    worker = int(server.get("/large/pid").text)
    before = [memory_of(pid) for pid in (child, worker)]
    with server.client(timeout=120) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        client.send(client.head("POST", "/large/echo/%d?%s" % (size, done), [("Content-Length", str(size))]))
        for _ in range(size // len(piece)):
            client.send(piece)
            digest.update(piece)
        wait_until(lambda: os.path.exists(done), "the whole body to be read", 60)
        # The application has sent all of its response when it takes another request.
        assert server.get("/large/pid").text == str(worker)
        after = [memory_of(pid) for pid in (child, worker)]
        answer = client.read_response()
    with open(done) as file:
        assert file.read() == digest.hexdigest()
    assert answer.complete and len(answer.body) == size and answer.body[-100_000:] == b"9" * 100_000
    assert all(now < then + 20_000_000 for then, now in zip(before, after)), (before, after)
    assert os.listdir(server.temporary) == []


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
