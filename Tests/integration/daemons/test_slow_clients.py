"""Clients that read, or send, two kilobytes a second: they hold what they use, and nobody else waits for them."""
import hashlib
import socket
import threading
import time

import pytest

from httpd_env import MODES, Httpd

pytestmark = pytest.mark.skipif("daemon" not in MODES, reason="daemon mode is not tested here")

CLIENTS = 50
# In pieces of so many bytes, and as many of them in a second as makes 2 KB.
PIECE = 205
PAUSE = 0.1
BLOCK = bytes(range(256)) * 256
COUNT = 16
CONF = """
WSGIDaemonProcess site processes=1 threads=60 python-path={lib}
WSGIDaemonProcess other processes=1 threads=2 python-path={lib}
WSGIScriptAlias /site {apps}/app.wsgi process-group=site application-group=%{GLOBAL}
WSGIScriptAlias /other {apps}/app.wsgi process-group=other application-group=%{GLOBAL}
WSGIChunkedRequest On
"""


@pytest.fixture(scope="module")
def server():
    with Httpd(CONF, apps="daemon", name="slow", threads=80) as running:
        with open(running.docs + "/static.txt", "w") as file:
            file.write("static")
        yield running


def connect(server, request):
    client = server.client(timeout=60)
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
    client.send(request)
    return client


def check_neighbours(server):
    assert server.get("/static.txt").text == "static"
    assert server.get("/other/pid").status == 200
    assert server.get("/site/pid").status == 200


def finish(clients, work):
    """Runs work(client) for all at once: a client that has been slow for long enough is quick now."""
    results = []

    def one(client):
        results.append(work(client))
        client.close()
    threads = [threading.Thread(target=one, args=(client,), daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(results) == len(clients)
    return results


def test_slow_readers(server):
    head = b"GET /site/download/%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % COUNT
    clients = [connect(server, head) for _ in range(CLIENTS)]
    for client in clients:
        client.got = b""
    for _ in range(20):
        for client in clients:
            client.got += client.socket.recv(PIECE)
        check_neighbours(server)
        time.sleep(PAUSE)  # the pace of a slow client
    assert all(client.got.startswith(b"HTTP/1.1 200") for client in clients)

    def rest(client):
        # What has been read is put in front of the rest: the response as it crossed the wire.
        data = client.got
        while not data.endswith(b"0\r\n\r\n"):
            block = client.socket.recv(1 << 20)
            assert block
            data += block
        body = data.partition(b"\r\n\r\n")[2]
        digest = hashlib.md5()
        while body:
            line, _, body = body.partition(b"\r\n")
            size = int(line, 16)
            digest.update(body[:size])
            body = body[size + 2:]
        return digest.hexdigest()
    assert set(finish(clients, rest)) == {hashlib.md5(BLOCK * COUNT).hexdigest()}


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_slow_senders(server, framing):
    size = 20 * PIECE + len(BLOCK)
    length = [("Content-Length", str(size))] if framing == "length" else [("Transfer-Encoding", "chunked")]
    with server.client() as one:
        head = one.head("POST", "/site/upload", length)

    def framed(data):
        return data if framing == "length" else b"%x\r\n%s\r\n" % (len(data), data)
    piece = b"s" * PIECE
    clients = [connect(server, head) for _ in range(CLIENTS)]
    for _ in range(20):
        for client in clients:
            client.send(framed(piece))
        check_neighbours(server)
        time.sleep(PAUSE)  # the pace of a slow client

    def rest(client):
        client.send(framed(BLOCK) + (b"" if framing == "length" else b"0\r\n\r\n"))
        return client.read_response().text.rsplit(" ", 1)[0]
    expected = "%s %d" % (hashlib.md5(piece * 20 + BLOCK).hexdigest(), size)
    assert set(finish(clients, rest)) == {expected}
