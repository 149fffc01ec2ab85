"""What frames a response is httpd's to say: whatever an application sends, its response ends where it ends, and the next response
on the connection belongs to the next request, also behind a proxy that other clients share."""
import re
import urllib.parse

import pytest

from httpd_env import MODES, REFERENCE, Httpd, Site

pytestmark = pytest.mark.skipif(REFERENCE, reason="the reference passes these on")
STOLEN = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nContent-Type: text/plain\r\n\r\nstolen"
PLAIN = ("Content-Type", "text/plain")

ATTACKS = {
    "Transfer-Encoding": ("200 OK", [PLAIN, ("Transfer-Encoding", "chunked")], [b"0\r\n\r\n" + STOLEN]),
    "Transfer-Encoding and a length": (
        "200 OK", [("Transfer-Encoding", "chunked"), ("Content-Length", str(5 + len(STOLEN)))], [b"0\r\n\r\n" + STOLEN]),
    "transfer-encoding in lower case": ("200 OK", [("transfer-encoding", "identity, chunked")], [b"0\r\n\r\n" + STOLEN]),
    "Transfer-Encoding with a colon": ("200 OK", [("Transfer-Encoding:", "chunked")], [b"0\r\n\r\n" + STOLEN]),
    "100": ("100 Continue", [], [STOLEN]),
    "101": ("101 Switching Protocols", [("Upgrade", "x"), ("Connection", "Upgrade")], [STOLEN]),
    "103": ("103 Early Hints", [("Link", "</x>")], [STOLEN]),
    "199": ("199 Odd", [], [STOLEN]),
    "204 with a body": ("204 No Content", [], [STOLEN]),
    "304 with a body": ("304 Not Modified", [], [STOLEN]),
    "more than its length": ("200 OK", [("Content-Length", "3")], [b"abc" + STOLEN]),
    "two lengths": ("200 OK", [("Content-Length", "3"), ("Content-Length", "80")], [b"abc" + STOLEN]),
    "a malformed length": ("200 OK", [("Content-Length", "+3")], [b"abc" + STOLEN]),
    "Connection names a field": ("200 OK", [("Connection", "keep-alive, Content-Length")], [STOLEN]),
    "Upgrade": ("200 OK", [("Upgrade", "websocket"), ("Connection", "upgrade")], [STOLEN]),
    "Trailer": ("200 OK", [("Trailer", "X-A"), ("TE", "trailers"), ("Keep-Alive", "timeout=1")], [b"abc"]),
    "a line end in a value": ("200 OK", [("X-A", "a\r\nTransfer-Encoding: chunked")], [b"0\r\n\r\n" + STOLEN]),
    "a line end in the reason": ("200 OK\r\nTransfer-Encoding: chunked", [], [b"0\r\n\r\n" + STOLEN]),
}


def SITE():
    # Imported when no request is there, the script can tell the descriptors of one.
    conf = "WSGIImportScript {apps}/app.wsgi process-group=site application-group=%{GLOBAL}" if "daemon" in MODES else ""
    return Site("framing", daemon_options="threads=1", conf=conf)


@pytest.fixture(scope="module")
def proxy(site):
    """Another httpd before the site's; its clients share one connection to each mode's."""
    conf = "\n".join("ProxyPass /%s http://127.0.0.1:%d/%s max=1 ttl=60 disablereuse=Off" % (mode, site.httpd.port, mode)
                     for mode in MODES)
    with Httpd(conf, modules=["proxy", "proxy_http"], name="proxy") as server:
        yield server


def query(call):
    return "call=" + urllib.parse.quote(repr(call))


@pytest.mark.parametrize("whole", ["", "&whole=1"])
@pytest.mark.parametrize("name", ATTACKS)
def test_no_client_of_a_proxy_gets_what_is_meant_for_another(site, proxy, mode, name, whole):
    answer = proxy.get("/%s/give?%s%s" % (mode, query(ATTACKS[name]), whole))
    assert answer.status >= 200 and answer.interim == []
    for number in range(6):
        own = proxy.get("/%s/victim/%d" % (mode, number))
        assert (own.status, own.text) == (200, "victim %d" % number), (answer, own)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("name", ATTACKS)
def test_the_connection_stays_in_step(site, mode, name, method):
    with site.httpd.client() as client:
        try:
            answer = client.request(method, "/%s/give?%s" % (mode, query(ATTACKS[name])))
            assert answer.status >= 200 and answer.interim == []
            if not answer.complete or answer.framing == "close" or "close" in (answer.header("Connection") or ""):
                return
            own = client.request("GET", "/%s/victim/x" % mode)
        except ConnectionError:
            return  # closed after a response that was cut: nothing else comes on it
        assert (own.status, own.text) == (200, "victim x"), (answer, own)


@pytest.mark.parametrize("name, value", [
    ("Transfer-Encoding", "chunked"), ("Keep-Alive", "timeout=5"), ("TE", "trailers"), ("Trailer", "X-A"), ("Upgrade", "h2c"),
    ("Proxy-Connection", "keep-alive"), ("Proxy-Authenticate", "Basic"), ("Connection", "keep-alive"), ("Connection", "X-A")])
def test_fields_of_the_connection_are_dropped(site, mode, name, value):
    answer = site.get(mode, "/give?" + query(("200 OK", [(name, value), ("X-B", "1"), ("Content-Length", "4")], [b"body"])))
    assert (answer.status, answer.body, answer.header("X-B"), answer.framing) == (200, b"body", "1", "length")
    assert value not in (answer.header(name) or "")


def test_that_is_logged_once(make_httpd, mode):
    conf = "WSGIScriptAlias /app {apps}/app.wsgi\nWSGIApplicationGroup %{GLOBAL}\n"
    if mode == "daemon":
        conf += "WSGIDaemonProcess one python-path={lib}\nWSGIProcessGroup one\n"
    server = make_httpd(conf, apps="framing")
    for _ in range(3):
        server.get("/app/give?" + query(("200 OK", [("Keep-Alive", "timeout=5"), ("Upgrade", "x")], [b"body"])))
    server.get("/app/sentinel?end-of-test")
    server.log.wait_for("end-of-test")
    lines = server.log.lines("WSGI0641")
    assert len(lines) == 1 and "Keep-Alive" in lines[0] and "timeout=5" in lines[0] and "app.wsgi" in lines[0], lines


@pytest.mark.parametrize("value", ["close", "Close", "close, X-A"])
def test_connection_close_is_honoured(site, mode, value):
    with site.httpd.client() as client:
        answer = client.request("GET", "/%s/give?%s" % (mode, query(("200 OK", [("Connection", value)], [b"body"]))))
        assert answer.header("Connection").lower() == "close" and answer.body == b"body"
        assert client.ended()


# MARK: a worker that speaks for itself

HEADS = {
    "a status of 100": (100, -1, b"Continue", []),
    "a status of 199": (199, -1, b"", []),
    "Transfer-Encoding": (200, -1, b"OK", [(b"Transfer-Encoding", b"chunked")]),
    "TE": (200, -1, b"OK", [(b"te", b"x")]),
    "Keep-Alive": (200, -1, b"OK", [(b"X-A", b"1"), (b"Keep-Alive", b"timeout=5")]),
    "Connection": (200, -1, b"OK", [(b"Connection", b"close, Content-Length")]),
    "Upgrade": (200, -1, b"OK", [(b"Upgrade", b"x")]),
    "a line end in a value": (200, -1, b"OK", [(b"X-A", b"a\r\nX-B: b")]),
    "a line end in a name": (200, -1, b"OK", [(b"X-A\r\nX-B", b"a")]),
    "a NUL in a value": (200, -1, b"OK", [(b"X-A", b"a\0b")]),
    "a colon in a name": (200, -1, b"OK", [(b"X-A:", b"a")]),
    "a line end in the reason": (200, -1, b"OK\r\nX-B: b", []),
    "two lengths": (200, 7, b"OK", [(b"Content-Length", b"7"), (b"Content-Length", b"8")]),
    "a length of its own": (200, -1, b"OK", [(b"Content-Length", b"3")]),
    "a malformed length": (200, 7, b"OK", [(b"Content-Length", b"7,7")]),
}


@pytest.mark.skipif("daemon" not in MODES, reason="there is no worker")
@pytest.mark.parametrize("name", HEADS)
def test_httpd_refuses_a_worker_s_head(site, name):
    mark = site.log.mark()
    answer = site.get("daemon", "/frame?head=" + urllib.parse.quote(repr(HEADS[name])))
    assert answer.status == 500 and b"hostile" not in answer.body and answer.header("X-B") is None, answer
    line = site.log.wait_for("WSGI0148", mark)[0]
    if HEADS[name][3]:
        assert re.search(r"b'[A-Za-z-]+", line) or "content length b'" in line, line


@pytest.mark.skipif("daemon" not in MODES, reason="there is no worker")
def test_httpd_passes_on_a_good_one(site):
    """So that the refusals above are not those of a frame that is malformed."""
    head = (200, 7, b"Fine", [(b"Content-Length", b"7"), (b"Connection", b"close"), (b"X-A", b"1")])
    answer = site.get("daemon", "/frame?head=" + urllib.parse.quote(repr(head)))
    assert (answer.status, answer.reason, answer.body, answer.header("X-A")) == (200, "Fine", b"hostile", "1")
