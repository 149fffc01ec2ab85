"""No request and no application takes a process down; the client gets a well-formed answer or a cut one."""
import re

import pytest

from httpd_env import MODES, Site, run_together


def SITE():
    conf = []
    for mode in MODES:
        for name in ("Application", "none", "number", "takes_none", "coroutine"):
            conf += ["<Location /%s-%s>" % (mode, name), "WSGICallableObject " + name, "WSGIApplicationGroup %{GLOBAL}",
                     "WSGIProcessGroup %s" % ("site" if mode == "daemon" else "%{GLOBAL}"), "</Location>",
                     "WSGIScriptAlias /%s-%s {apps}/app.wsgi" % (mode, name)]
    return Site("robust", conf="\n".join(conf))


@pytest.fixture(autouse=True)
def same_processes(site):
    """Every test leaves the processes that it found."""
    before = site.httpd.children()
    yield
    assert site.httpd.get("/" + MODES[0] + "/sentinel?alive").text == "logged"
    assert site.httpd.children() == before, site.log.text()[-3000:]


# MARK: applications

FINE = ["environ_cleared", "streams_removed", "headers_changed_later", "failing_del", "deep_recursion", "recursion_in_close",
        "audit", "environ_kept", "headers_changed_by_their_items"]


@pytest.mark.parametrize("case", FINE)
def test_odd_but_answered(site, mode, case):
    answer = site.get(mode, "/" + case)
    assert (answer.status, answer.body, answer.complete) == (200, b"body", True), answer
    assert answer.header("X-Late") is None


FAIL = ["long_status", "stderr_removed_and_raises", "traceback_removed", "bad_str", "huge_message", "message_with_controls",
        "exception_group", "self_caused", "generator_reentered", "infinite_recursion_in_iteration", "memory_error",
        "bytes_header"]


@pytest.mark.parametrize("case", FAIL)
def test_wrong_and_refused(site, mode, case):
    mark = site.log.mark()
    answer = site.get(mode, "/" + case)
    site.get(mode, "/restore")
    if case == "long_status":
        assert answer.status in (200, 500)
    else:
        assert answer.status == 500 and answer.complete, answer
        site.log.wait_for(r"WSGI017[45]", mark)


@pytest.mark.parametrize("case", ["list_changed_while_sent", "list_changed_by_its_items", "generator_closed_by_itself",
                                  "memory_error_in_read", "odd_numbers", "instances_outlive", "types_called", "use_all_kept",
                                  "thread_uses_the_request", "chunked_by_hand", "hop_by_hop", "odd_names"])
def test_anything_but_a_crash(site, mode, case):
    answer = site.get(mode, "/" + case)
    assert answer.status in (200, 500, 502), answer


def test_a_forged_log_line(site, mode):
    mark = site.log.mark()
    site.get(mode, "/message_with_controls")
    site.log.wait_for("forged", mark)
    assert not [line for line in site.log.text(mark).splitlines() if line.startswith("[Mon Jan 01 00:00:00 2024]")]


@pytest.mark.parametrize("status", [100, 101, 102, 103, 199])
def test_informational_statuses(site, mode, status):
    with site.httpd.client(timeout=5) as client:
        client.send(client.head("GET", "/%s/informational?status=%d" % (mode, status), [("Connection", "close")]))
        try:
            client.read_response()
        except (OSError, ValueError):
            pass  # what the application asked for is no response


@pytest.mark.parametrize("count", [1000, 1000000])
def test_many_headers(site, mode, count):
    with site.httpd.client(timeout=60) as client:
        answer = client.request("GET", "/%s/million_headers?count=%d" % (mode, count))
    if count == 1000:
        assert answer.status == 200 and len([name for name, _ in answer.headers if name.startswith("X-")]) == count
    else:
        assert answer.status in (200, 500), answer.status


@pytest.mark.parametrize("size", [10000, 5000000])
def test_a_long_header(site, mode, size):
    answer = site.get(mode, "/long_header?size=%d" % size)
    if size == 10000:
        assert answer.header("X-Long") == "v" * size
    else:
        assert answer.status in (200, 500)


def test_an_application_that_forks(site, mode):
    assert site.get(mode, "/fork").text == "7"


def test_a_class_as_the_application(site, mode):
    assert site.httpd.get("/%s-Application" % mode).body == b"from a class"


@pytest.mark.parametrize("name", ["none", "number", "takes_none", "coroutine"])
def test_callables_that_are_none(site, mode, name):
    mark = site.log.mark()
    assert site.httpd.get("/%s-%s" % (mode, name)).status == 500
    site.log.wait_for("TypeError", mark)


def test_a_request_that_several_threads_use(site, mode):
    """The client may get a mixture, but the server takes no harm."""
    def use(_):
        try:
            return site.request(mode, "POST", "/two_threads_write", body=b"0123456789\n" * 20000).status
        except OSError:
            return 200  # the connection ended before all of the body was sent
    assert set(run_together(8, use)) <= {200, 500}


def test_all_of_it_at_once(site, mode):
    cases = FINE + FAIL + ["list_changed_by_its_items", "use_all_kept", "types_called", "odd_numbers"]
    cases = [case for case in cases if case not in ("streams_removed", "stderr_removed_and_raises", "traceback_removed")]
    answers = run_together(60, lambda index: site.get(mode, "/" + cases[index % len(cases)]))
    assert not [answer for answer in answers if getattr(answer, "status", 0) not in (200, 500)], answers


# MARK: requests

REQUESTS = {
    "nothing": b"",
    "line ends": b"\r\n\r\n\r\n\r\n",
    "noise": bytes(range(256)) * 20,
    "TLS hello": bytes.fromhex("16030100c8010000c40303") + b"\0" * 200,
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /{mode}/sentinel\r\n",
    "no version": b"GET /{mode}/sentinel \r\n\r\n",
    "no host": b"GET /{mode}/sentinel HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /{mode}/sentinel HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "bad host": b"GET /{mode}/sentinel HTTP/1.1\r\nHost: a b\\c\r\n\r\n",
    "method": b"\x01\x02 /{mode}/sentinel HTTP/1.1\r\nHost: a\r\n\r\n",
    "long method": b"M" * 9000 + b" /{mode}/sentinel HTTP/1.1\r\nHost: a\r\n\r\n",
    "long path": b"GET /{mode}/" + b"a" * 20000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "path at the limit": b"GET /{mode}/sentinel?" + b"a" * 8100 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "encoded NUL": b"GET /{mode}/a%00b HTTP/1.1\r\nHost: a\r\n\r\n",
    "encoded slash": b"GET /{mode}/a%2fb HTTP/1.1\r\nHost: a\r\n\r\n",
    "bad escape": b"GET /{mode}/a%zz HTTP/1.1\r\nHost: a\r\n\r\n",
    "raw bytes in the path": b"GET /{mode}/\xff\xfe\x80 HTTP/1.1\r\nHost: a\r\n\r\n",
    "many slashes": b"GET /{mode}" + b"/" * 7000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "absolute": b"GET http://localhost/{mode}/sentinel HTTP/1.1\r\nHost: a\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "connect": b"CONNECT /{mode}/sentinel HTTP/1.1\r\nHost: a\r\n\r\n",
    "trace": b"TRACE /{mode}/sentinel HTTP/1.1\r\nHost: a\r\n\r\n",
    "header without a colon": b"GET /{mode}/sentinel HTTP/1.1\r\nHost: a\r\nNonsense\r\n\r\n",
    "header without a name": b"GET /{mode}/sentinel HTTP/1.1\r\nHost: a\r\n: value\r\n\r\n",
    "folded header": b"GET /{mode}/sentinel HTTP/1.1\r\nHost: a\r\nX-A: one\r\n two\r\n\r\n",
    "NUL in a header": b"GET /{mode}/sentinel HTTP/1.1\r\nHost: a\r\nX-A: o\0ne\r\n\r\n",
    "high bytes in a header": b"GET /{mode}/sentinel HTTP/1.1\r\nHost: a\r\nX-A: \xff\xfe\x80\r\n\r\n",
    "many headers": b"GET /{mode}/sentinel HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X-%d: v\r\n" % n for n in range(5000)) + b"\r\n",
    "long header": b"GET /{mode}/sentinel HTTP/1.1\r\nHost: a\r\nX-A: " + b"v" * 100000 + b"\r\n\r\n",
    "lengths that differ": b"POST /{mode}/sentinel HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n123456",
    "length and chunked": b"POST /{mode}/sentinel HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
                          b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "huge length": b"POST /{mode}/sentinel HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\nx",
    "overflowing length": b"POST /{mode}/sentinel HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\nx",
    "huge chunk": b"POST /{mode}/sentinel HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
    "expect nonsense": b"POST /{mode}/sentinel HTTP/1.1\r\nHost: a\r\nExpect: everything\r\nContent-Length: 1\r\n\r\nx",
    "range nonsense": b"GET /{mode}/sentinel HTTP/1.1\r\nHost: a\r\nRange: bytes=9-1,-,5-\r\n\r\n",
    "upgrade": b"GET /{mode}/sentinel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "a million header bytes": b"GET /{mode}/sentinel HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 200000,
}


@pytest.mark.parametrize("row", REQUESTS)
def test_malformed_requests(site, mode, row):
    import socket
    with site.httpd.client(timeout=10) as client:
        try:
            client.send(REQUESTS[row].replace(b"{mode}", mode.encode()))
            client.socket.shutdown(socket.SHUT_WR)
            answer = client.file.read()
        except ConnectionError:
            answer = b""
    assert answer == b"" or row in ("HTTP/0.9", "no version") or re.match(rb"HTTP/1\.[01] [1-5]\d\d ", answer), answer[:200]


def test_pipelined_requests(site, mode):
    with site.httpd.client() as client:
        client.send(b"".join(client.head("GET", "/%s/sentinel?%d" % (mode, index)) for index in range(30)))
        for _ in range(30):
            assert client.read_response().text == "logged"


def test_clients_that_leave_at_every_byte(site, mode):
    head = b"POST /%s/sentinel?gone HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n12345" % mode.encode()
    for length in range(1, len(head), 3):
        with site.httpd.client() as client:
            client.send(head[:length])
            client.reset()


def test_a_prefork_child_outlives_them_too(make_httpd):
    server = make_httpd("WSGIScriptAlias /embedded {apps}/app.wsgi", apps="robust", mpm="prefork", processes=2)
    assert server.get("/embedded/sentinel").text == "logged"
    before = server.children()
    for case in FINE + FAIL:
        assert server.get("/embedded/" + case).status in (200, 500)
        server.get("/embedded/restore")
    assert set(before) <= set(server.children())
