"""Large bodies both ways through a daemon process, responses that are cut, and answers that do not wait for the body."""
import hashlib
import os
import re
import shutil
import subprocess
import threading

import pytest

from httpd_env import MODES, Httpd, query_apxs

pytestmark = pytest.mark.skipif("daemon" not in MODES, reason="daemon mode is not tested here")

BLOCK = bytes(range(256)) * 256
COUNT = 800
SIZE = len(BLOCK) * COUNT
# What a process may grow by for a body of any size, in KiB.
GROWTH = 16 * 1024


@pytest.fixture(scope="module")
def server():
    conf = """
WSGIDaemonProcess site processes=1 threads=4 python-path={lib}
WSGIScriptAlias /site {apps}/app.wsgi process-group=site application-group=%{GLOBAL}
WSGIChunkedRequest On
"""
    modules = []
    if os.path.exists(os.path.join(query_apxs("LIBEXECDIR"), "mod_http2.so")):
        modules, conf = ["http2"], conf + "Protocols h2c http/1.1\n"
    with Httpd(conf, apps="daemon", modules=modules, name="transfers") as running:
        yield running


def digest():
    total = hashlib.md5()
    for _ in range(COUNT):
        total.update(BLOCK)
    return total.hexdigest()


def peak(server):
    return int(server.get("/site/peak_memory").text)


@pytest.mark.unsanitized("memory that is freed is kept for a while")
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_upload(server, framing):
    before = peak(server)
    with server.client(timeout=60) as client:
        if framing == "length":
            client.send(client.head("POST", "/site/upload", [("Content-Length", str(SIZE))]))
            for _ in range(COUNT):
                client.send(BLOCK)
        else:
            client.send(client.head("POST", "/site/upload", [("Transfer-Encoding", "chunked")]))
            frame = b"%x\r\n%s\r\n" % (len(BLOCK), BLOCK)
            for _ in range(COUNT):
                client.send(frame)
            client.send(b"0\r\n\r\n")
        answer = client.read_response()
    assert answer.status == 200, answer
    md5, size, after = answer.text.split()
    assert (md5, int(size)) == (digest(), SIZE)
    assert int(after) - before < GROWTH


def test_download_of_a_generator(server):
    before = peak(server)
    answer = server.get("/site/download/%d" % COUNT)
    assert answer.complete and len(answer.body) == SIZE and hashlib.md5(answer.body).hexdigest() == digest()
    assert peak(server) - before < GROWTH


def test_download_of_a_file(server):
    path = os.path.join(server.docs, "large")
    with open(path, "wb") as file:
        for _ in range(COUNT):
            file.write(BLOCK)
    before = peak(server)
    answer = server.get("/site/file?file=" + path)
    assert answer.complete and len(answer.body) == SIZE and hashlib.md5(answer.body).hexdigest() == digest()
    assert peak(server) - before < GROWTH


def test_both_directions_at_once(server):
    """The response to an upload may be larger than all buffers while the body still arrives."""
    with server.client(timeout=60) as client:
        client.send(client.head("POST", "/site/download/%d" % COUNT, [("Content-Length", str(SIZE))]))

        def upload():
            try:
                for _ in range(COUNT):
                    client.send(BLOCK)
            except OSError:
                pass  # the server need not take a body that nobody reads
        sender = threading.Thread(target=upload, daemon=True)
        sender.start()
        answer = client.read_response()
        sender.join(60)
        assert not sender.is_alive()
    assert answer.complete and len(answer.body) == SIZE


def test_an_early_answer(server):
    with server.client() as client:
        client.send(client.head("POST", "/site/early", [("Content-Length", str(SIZE))]) + BLOCK)
        answer = client.read_response()
    assert (answer.status, answer.text) == (413, "too large")


def test_a_cut_response_over_http_1(server):
    answer = server.get("/site/cut")
    assert answer.status == 200 and answer.body == b"begun" and not answer.complete


@pytest.mark.parametrize("path", ["cut", "interrupted"])
def test_a_cut_response_over_http_2(server, path):
    if "http2" not in server.modules:
        pytest.skip("no mod_http2")
    if not shutil.which("nghttp"):
        pytest.skip("no nghttp")
    server.expected_crashes = True
    done = subprocess.run(["nghttp", "-v", "http://127.0.0.1:%d/site/%s" % (server.port, path)], capture_output=True, text=True,
                          timeout=60)
    # A reset may overtake what was sent before it; what must not come is the flag that says the response is whole.
    flags = [int(flags, 16) for flags in re.findall(r"recv (?:DATA|HEADERS) frame <length=\d+, flags=0x(\w+)", done.stdout)]
    assert "recv SETTINGS" in done.stdout and not any(flag & 1 for flag in flags), done.stdout
    assert "recv RST_STREAM" in done.stdout or "not processed" in done.stderr, done


def test_a_large_transfer_over_http_2(server):
    if "http2" not in server.modules or not shutil.which("curl"):
        pytest.skip("no mod_http2 or no curl")
    body = os.path.join(server.root, "body")
    with open(body, "wb") as file:
        for _ in range(COUNT):
            file.write(BLOCK)
    done = subprocess.run(["curl", "-s", "--http2-prior-knowledge", "--data-binary", "@" + body, "-w", " %{http_version}",
                           "http://127.0.0.1:%d/site/upload" % server.port], capture_output=True, text=True, timeout=60)
    assert done.stdout.split()[:2] == [digest(), str(SIZE)] and done.stdout.split()[-1] == "2", done


def test_repeated_headers(server):
    answer = server.get("/site/repeated")
    assert answer.all("Link") == ["<a>", "<b>"] and answer.all("Set-Cookie") == ["a=1", "b=2"]


def test_continue_is_sent_when_the_body_is_read(server):
    for path, status, interim in (("read_one", 200, [100]), ("early", 413, [])):
        with server.client() as client:
            client.send(client.head("POST", "/site/" + path, [("Content-Length", "1"), ("Expect", "100-continue")]))
            if interim:
                line = client.file.readline()
                assert line.split()[1] == b"100" and client.file.readline() == b"\r\n"
                client.send(b"x")
            answer = client.read_response()
            assert (answer.status, answer.interim) == (status, []), answer


@pytest.mark.skipif(os.getuid() != 0, reason="a lease is for a file of the group's user: root makes one")
def test_a_lease_on_a_file_holds_no_thread_of_httpd(server):
    path = os.path.join(server.root, "leased")
    with open(path, "wb") as file:
        file.write(BLOCK)
    shutil.chown(path, "www-data")
    # For a request with a range httpd gets the file's descriptor.
    answer = server.get("/site/leased?file=" + path, [("Range", "bytes=0-9")])
    assert (answer.status, answer.body) == (206, BLOCK[:10])
