"""request-spool: httpd receives a request's body before a process is asked for it, so that a slow client keeps no thread."""
import hashlib
import json
import os
import shutil
import subprocess
import time

import pytest

from httpd_env import MODES, Httpd, wait_until
from processes import children, name_of, open_files

pytestmark = pytest.mark.skipif("daemon" not in MODES, reason="daemon mode is not tested here")

SCRIPT = """
import hashlib
def application(environ, start_response):
    path = environ["PATH_INFO"]
    data = environ["wsgi.input"]
    body = b"none"
    if path == "/first":
        body = data.read(1) + b" of " + environ.get("CONTENT_LENGTH", "?").encode()
    elif path == "/hash":
        digest, size = hashlib.md5(), 0
        while True:
            block = data.read(10000)
            if not block:
                break
            digest.update(block)
            size += len(block)
        body = b"%s %d" % (digest.hexdigest().encode(), size)
    elif path == "/caught":
        try:
            data.read()
        except Exception as error:
            environ["wsgi.errors"].write("the body failed: %r" % error)
    elif path == "/early":
        start_response("413 Request Entity Too Large", [("Content-Length", "4")])
        return [b"much"]
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
GROUPS = {
    # With one thread: whoever keeps it keeps everybody out.
    "usual": "threads=1",
    "none": "threads=1 request-spool=0",
    "large": "threads=1 request-spool=1M",
    "timed": "threads=1 queue-timeout=1",
    "sticky": "processes=2 threads=1 sticky-cookie=slot",
}
CONF = "".join(
    "WSGIDaemonProcess {0} {1}\nWSGIScriptAlias /{0} {{docs}}/app.wsgi process-group={0} application-group=%{{GLOBAL}}\n".format(
        *pair) for pair in GROUPS.items()) + """
WSGIChunkedRequest On
Timeout 20
<Location /wsgi-status>
SetHandler wsgi-status
Require local
</Location>
"""


@pytest.fixture(scope="module")
def server():
    running = Httpd(CONF, name="spool", threads=40, modules=["authz_host"])
    # Files that should have no name would be seen here.
    directory = running.make_directory("temporary", 0o777)
    running.environment["TMPDIR"] = directory
    with open(os.path.join(running.docs, "app.wsgi"), "w") as script:
        script.write(SCRIPT)
    with running:
        running.temporary = directory
        yield running


def group(server, name):
    found, = [one for one in json.loads(server.get("/wsgi-status?json").body)["groups"] if one["name"] == name]
    return found


def begin(server, path, size, part, headers=(), chunked=False):
    """A client that has sent a part of its body."""
    client = server.client(timeout=60)
    framing = [("Transfer-Encoding", "chunked")] if chunked else [("Content-Length", str(size))]
    client.send(client.head("POST", path, [*framing, *headers]))
    if part:
        client.send(b"%x\r\n%s\r\n" % (len(part), part) if chunked else part)
    return client


def wait_for_requests(server, name, count):
    return wait_until(lambda: (lambda one: one if one["requests_in_flight"] == count else None)(group(server, name)),
                      lambda: "%d requests in flight: %r" % (count, group(server, name)))


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("name", ["usual", "large"])
def test_a_slow_client_keeps_no_thread(server, name, chunked):
    data = os.urandom(60_000 if name == "usual" else 700_000)
    with begin(server, "/%s/hash" % name, len(data), data[:-5], chunked=chunked) as client:
        wait_until(lambda: (lambda one: one["requests_in_flight"] == 1 and not one["requests_waiting"] + one["threads_busy"])(
            group(server, name)), lambda: "one request, and no thread for it: %r" % group(server, name))
        assert server.get("/%s/" % name).text == "none"
        client.send(b"5\r\n%s\r\n0\r\n\r\n" % data[-5:] if chunked else data[-5:])
        assert client.read_response().text == "%s %d" % (hashlib.md5(data).hexdigest(), len(data))
    assert os.listdir(server.temporary) == []


@pytest.mark.parametrize("name, size, chunked", [
    ("usual", 65_537, False), ("none", 2, False), ("none", 2, True), ("usual", 70_000, True), ("large", (1 << 20) + 1, False)])
def test_larger_bodies_come_as_the_application_reads_them(server, name, size, chunked):
    with begin(server, "/%s/first" % name, size, b"a" * (size - 1), chunked=chunked) as client:
        # The answer comes before the last byte.
        answer = client.read_response()
        assert answer.status == 200 and answer.text.startswith("a of ")


def test_a_slow_client_with_a_session_keeps_no_thread(server):
    cookie = server.get("/sticky/").header("Set-Cookie").partition(";")[0]
    with begin(server, "/sticky/hash", 3, b"ab", headers=[("Cookie", cookie)]) as client:
        wait_for_requests(server, "sticky", 1)
        answer = server.get("/sticky/", headers=[("Cookie", cookie)])
        assert answer.text == "none" and not answer.header("Set-Cookie")
        client.send(b"c")
        answer = client.read_response()
        assert answer.text == "%s 3" % hashlib.md5(b"abc").hexdigest() and not answer.header("Set-Cookie")


@pytest.mark.parametrize("size, chunked", [(3, False), (10_000_000, False), (3, True)])
def test_a_client_that_asks_first_is_answered_before_its_body(server, size, chunked):
    with begin(server, "/usual/early", size, b"", headers=[("Expect", "100-continue")], chunked=chunked) as client:
        answer = client.read_response()
        assert answer.status == 413 and answer.interim == []


def test_an_early_answer_comes_before_a_body_that_streams(server):
    with begin(server, "/usual/early", 10_000_000, b"some") as client:
        assert client.read_response().status == 413


def test_a_client_that_waits_for_an_answer_in_the_middle_gets_one(server):
    with begin(server, "/usual/first", 0, b"question", chunked=True) as client:
        assert client.read_response().text == "q of ?"


def test_a_client_that_goes_away_leaves_the_thread_free(server):
    mark = server.log.mark()
    client = begin(server, "/usual/caught", 1000, b"some")
    wait_for_requests(server, "usual", 1)
    assert server.get("/usual/").text == "none"
    client.reset()
    server.log.wait_for("the body failed", mark)
    assert server.get("/usual/").text == "none"


def test_the_time_of_a_body_is_none_in_the_queue(server):
    # A process that is still starting would leave requests in the queue.
    wait_until(lambda: server.get("/timed/").status == 200, "the group")
    wait_for_requests(server, "timed", 0)
    with begin(server, "/timed/hash", 2, b"a") as client:
        wait_for_requests(server, "timed", 1)
        time.sleep(1.5)  # more than queue-timeout: the time is what matters here
        client.send(b"b")
        assert client.read_response().text == "%s 2" % hashlib.md5(b"ab").hexdigest()


def test_nothing_is_left_of_a_child_that_is_killed(server):
    data = os.urandom(500_000)
    with begin(server, "/large/hash", len(data), data[:-5]):
        wait_for_requests(server, "large", 1)
        child, = [pid for pid in children(server.pid) if name_of(pid) != "wsgi-supervisor"]
        wait_until(lambda: any(name.startswith(server.temporary) for name in open_files(child)), "the file of the body")
        assert os.listdir(server.temporary) == []
        server.expected_crashes = True
        os.kill(child, 9)
    wait_until(lambda: server.get("/large/").status == 200, "another child")
    assert os.listdir(server.temporary) == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root may mount a small file system")
def test_a_full_file_system_costs_no_request():
    running = Httpd(CONF, name="full", threads=20, modules=["authz_host"])
    directory = running.make_directory("temporary", 0o777)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=1777", "tmpfs", directory], capture_output=True,
                             text=True)
    if mounted.returncode:
        pytest.skip("no small file system can be mounted here: " + mounted.stderr.strip())
    try:
        running.environment["TMPDIR"] = directory
        with open(os.path.join(running.docs, "app.wsgi"), "w") as script:
            script.write(SCRIPT)
        data = os.urandom(900_000)
        with running:
            answer = running.request("POST", "/large/hash", body=data)
            assert answer.text == "%s %d" % (hashlib.md5(data).hexdigest(), len(data))
            line = running.log.wait_for("WSGI0744")[0]
            assert "process group 'large'" in line and "No space left on device" in line and "TMPDIR" in line
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


@pytest.mark.skipif(not shutil.which("curl"), reason="no curl")
def test_curl_uploads_by_itself(server):
    for size in (100, 65_536, 200_000):
        data = os.urandom(size)
        for more in ([], ["-H", "Transfer-Encoding: chunked"]):
            done = subprocess.run(["curl", "-sS", "-m", "30", "--data-binary", "@-", *more,
                                   "http://127.0.0.1:%d/usual/hash" % server.port], input=data, capture_output=True)
            assert done.stdout.decode() == "%s %d" % (hashlib.md5(data).hexdigest(), size), done.stderr
