"""wsgi.input: reading, line by line and whole, chunked, interrupted, unread, and 100-continue."""
import hashlib
import re
import urllib.parse

import pytest

from httpd_env import MODES, QUEUE, Site, run_together, wait_until

BODY = b"first\nsecond\n\nfourth"


def SITE():
    conf = []
    for mode in MODES:
        conf += ["<Location /%s>" % mode, "WSGIChunkedRequest On", "</Location>",
                 "<Location /%s/read/unchunked>" % mode, "WSGIChunkedRequest Off", "</Location>",
                 "<Location /%s/read/limited>" % mode, "LimitRequestBody 10", "</Location>"]
    return Site("input", conf="\n".join(conf))


def read(site, mode, how, body=BODY, headers=()):
    return site.request(mode, "POST", "/read?how=" + urllib.parse.quote(how), headers, body).text


WAYS = {
    "all": ("i.read()", repr(BODY)),
    "all, -1": ("i.read(-1)", repr(BODY)),
    "all, None": ("i.read(None)", repr(BODY)),
    "all, then nothing": ("[i.read(), i.read(), i.read(5), i.readline(), list(i)]", repr([BODY, b"", b"", b"", []])),
    "some": ("i.read(5)", repr(BODY[:5])),
    "some and some and the rest": ("[i.read(5), i.read(3), i.read()]", repr([BODY[:5], BODY[5:8], BODY[8:]])),
    "more than there is": ("i.read(1000)", repr(BODY)),
    "none": ("[i.read(0), i.read()]", repr([b"", BODY])),
    "a line": ("i.readline()", repr(b"first\n")),
    "all lines": ("[i.readline() for _ in range(5)]", repr([b"first\n", b"second\n", b"\n", b"fourth", b""])),
    "a line, limited": ("[i.readline(3), i.readline(3), i.readline(100)]", repr([b"fir", b"st\n", b"second\n"])),
    "a line, limited to none": ("[i.readline(0), i.readline()]", repr([b"", b"first\n"])),
    "a line, -1": ("i.readline(-1)", repr(b"first\n")),
    "a line, then read": ("[i.readline(), i.read(4), i.readline(), i.read()]", repr([b"first\n", b"seco", b"nd\n", BODY[13:]])),
    "lines": ("i.readlines()", repr([b"first\n", b"second\n", b"\n", b"fourth"])),
    "lines up to a hint": ("i.readlines(7)", repr([b"first\n", b"second\n"])),
    "lines, hint 0": ("i.readlines(0)", repr([b"first\n", b"second\n", b"\n", b"fourth"])),
    "iteration": ("list(i)", repr([b"first\n", b"second\n", b"\n", b"fourth"])),
    "iteration is of itself": ("iter(i) is i", "True"),
    "next": ("[next(i), i.read(3)]", repr([b"first\n", b"sec"])),
    "close": ("[i.close(), i.read()]", repr([None, BODY])),
    "no seek": ("[n for n in ('seek', 'tell', 'fileno', 'closed') if hasattr(i, n)]", "[]"),
}


@pytest.mark.parametrize("row", [row for row in WAYS if row != "all, None"])
@pytest.mark.parametrize("transfer", ["length", "chunked"])
def test_reading(site, mode, row, transfer):
    how, expected = WAYS[row]
    if transfer == "length":
        assert read(site, mode, how) == expected
    else:
        # Chunk borders are no borders to the application.
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (BODY[:4], BODY[4:9], BODY[9:])) + b"0\r\n\r\n"
        assert read(site, mode, how, chunks, [("Transfer-Encoding", "chunked")]) == expected


@pytest.mark.parametrize("how, expected", [("i.read()", "b''"), ("i.read(10)", "b''"), ("i.readline()", "b''"), ("list(i)", "[]"),
                                           ("i.readlines()", "[]")])
@pytest.mark.parametrize("body", [None, b""])
def test_without_a_body(site, mode, how, expected, body):
    assert read(site, mode, how, body) == expected


def test_content_length_does_not_limit(site, mode):
    assert read(site, mode, "environ.update(CONTENT_LENGTH='3') or i.read()") == repr(BODY)


@pytest.mark.parametrize("size, block", [(1 << 20, 65536), (3 << 20, 1000), (1 << 20, 1 << 24), (70000, 7)])
def test_large_bodies(site, mode, size, block):
    body = bytes(range(256)) * (size // 256) + b"tail"
    answer = site.request(mode, "POST", "/digest?block=%d" % block, (), body)
    assert answer.text == "%d %s" % (len(body), hashlib.sha256(body).hexdigest())


def test_a_large_chunked_body(site, mode):
    part = bytes(range(256)) * 300
    chunks = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(part), part) for _ in range(20)) + b"0\r\nX-Trailer: t\r\n\r\n"
    answer = site.request(mode, "POST", "/digest", [("Transfer-Encoding", "chunked")], chunks)
    assert answer.text == "%d %s" % (20 * len(part), hashlib.sha256(part * 20).hexdigest())


@pytest.mark.parametrize("size", [5, 200000])
def test_an_unread_body_leaves_the_connection_in_step(site, mode, size):
    with site.httpd.client() as client:
        for _ in range(3):
            answer = client.request("POST", "/%s/ignore" % mode, (), b"x" * size)
            assert answer.text == "ignored"


def test_use_after_the_request(site, mode):
    site.request(mode, "POST", "/keep", (), BODY)
    lines = site.get(mode, "/use_kept").text.split("\n")
    assert [bool(re.match(r"RuntimeError: .*after request completed", line)) for line in lines] == [True] * 6, lines


def test_objects_of_an_earlier_request_of_the_same_thread(make_httpd, mode):
    conf = "WSGIScriptAlias /app {apps}/app.wsgi\nWSGIApplicationGroup %{GLOBAL}\n"
    if mode == "daemon":
        conf += "WSGIDaemonProcess site threads=1 python-path={lib} %s\nWSGIProcessGroup site\n" % QUEUE
    server = make_httpd(conf, apps="input", threads=1)
    assert server.request("POST", "/app/keep", (), BODY).text == "kept"
    lines = server.request("POST", "/app/use_kept", (), b"the body of another").text.split("\n")
    assert [bool(re.match(r"RuntimeError: .*after request completed", line)) for line in lines] == [True] * 6, lines


# MARK: bodies that do not come whole

def unfinished(site, mode, payload, how="close"):
    site.get(mode, "/results?clear=1")
    with site.httpd.client() as client:
        client.send(payload)
        if how == "reset":
            client.reset()
        elif how == "half":
            import socket
            client.socket.shutdown(socket.SHUT_WR)
            try:
                client.read_response()
            except ConnectionError:
                pass
    return wait_until(lambda: site.get(mode, "/results").text, "the application's account of it").split("\n")


# `close` would reach httpd only as a reset once it answers; a half-closed connection is the clean end of what the client sends.
@pytest.mark.parametrize("how", ["half", "reset"])
@pytest.mark.parametrize("kind", ["length", "chunked", "mid-chunk"])
def test_a_body_cut_short_is_an_oserror_and_stays_one(site, mode, how, kind):
    head = "POST /%s/fail_twice HTTP/1.1\r\nHost: localhost\r\n" % mode
    payload = {"length": head + "Content-Length: 100\r\n\r\nonly this",
               "chunked": head + "Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
               "mid-chunk": head + "Transfer-Encoding: chunked\r\n\r\n50\r\n12345"}[kind]
    first, second = unfinished(site, mode, payload.encode(), how)
    assert first.startswith("OSError: mod_wsgi request data read error"), first
    assert second.startswith("OSError: mod_wsgi request data read error"), second


def test_a_bad_chunk_is_an_oserror(site, mode):
    head = "POST /%s/fail_twice HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" % mode
    payload = head.encode() + b"zz\r\n12345\r\n"
    first, second = unfinished(site, mode, payload, "half")
    assert first.startswith("OSError: mod_wsgi request data read error"), first
    assert second.startswith("OSError"), second


def test_the_process_serves_on(site, mode):
    assert read(site, mode, "i.read()") == repr(BODY)


# MARK: refusals before the application runs

def test_chunked_needs_its_directive(site, mode):
    mark = site.log.mark()
    answer = site.request(mode, "POST", "/read/unchunked?how=i.read()", [("Transfer-Encoding", "chunked")], b"0\r\n\r\n")
    assert answer.status == 411
    site.log.wait_for("WSGI0139", mark)


def test_an_unknown_transfer_coding(site, mode):
    answer = site.request(mode, "POST", "/read?how=i.read()", [("Transfer-Encoding", "frobnicate")], b"")
    assert answer.status in (400, 501)  # httpd refuses it itself where it can


@pytest.mark.parametrize("length", ["abc", "-1", "1 2", "0x10", "+5"])
def test_a_malformed_content_length(site, mode, length):
    assert site.request(mode, "POST", "/read?how=i.read()", [("Content-Length", length)], b"").status == 400


def test_a_body_over_the_limit(site, mode):
    site.get(mode, "/results?clear=1")
    assert site.request(mode, "POST", "/read/limited?how=i.read()", (), b"x" * 11).status == 413
    assert site.get(mode, "/results").text == ""
    assert site.request(mode, "POST", "/read/limited?how=len(i.read())", (), b"x" * 10).text == "10"


def test_a_chunked_body_over_the_limit(site, mode):
    answer = site.request(mode, "POST", "/read/limited?how=i.read()", [("Transfer-Encoding", "chunked")],
                          b"14\r\n01234567890123456789\r\n0\r\n\r\n")
    assert answer.status == 413 or answer.text.startswith("OSError"), answer


# MARK: 100-continue

EXPECT = [("Expect", "100-continue"), ("Content-Length", "5")]


def test_continue_is_sent_when_the_application_reads(site, mode):
    with site.httpd.client() as client:
        client.send(client.head("POST", "/%s/read?how=i.read()" % mode, EXPECT))
        assert client.file.readline().startswith(b"HTTP/1.1 100 ")
        client.file.readline()
        client.send(b"12345")
        assert client.read_response().text == "b'12345'"


@pytest.mark.difference("the reference's daemon mode always asks for the body")
def test_continue_is_not_sent_when_it_does_not(site, mode):
    with site.httpd.client() as client:
        client.send(client.head("POST", "/%s/ignore" % mode, EXPECT))
        answer = client.read_head()
        assert answer.status == 200 and answer.interim == []


@pytest.mark.difference("the reference's daemon mode always asks for the body")
def test_reading_nothing_asks_for_the_body(site, mode):
    with site.httpd.client() as client:
        client.send(client.head("POST", "/%s/read?how=[i.read(0),i.read()]" % mode, EXPECT))
        assert client.file.readline().startswith(b"HTTP/1.1 100 ")
        client.file.readline()
        client.send(b"12345")
        assert client.read_response().text == "[b'', b'12345']"


# MARK: both directions at once

@pytest.mark.difference("the reference's daemon mode sends the whole body before it reads the response")
def test_answering_before_the_body_has_come(site, mode):
    with site.httpd.client() as client:
        client.send(client.head("POST", "/%s/answer_first" % mode, [("Transfer-Encoding", "chunked")]))
        head = client.read_head()
        assert head.status == 200 and client.read_chunk() == b"ready"
        for word in (b"one\n", b"two\n"):
            client.send(b"%x\r\n%s\r\n" % (len(word), word))
            assert client.read_chunk() == b"echo " + word
        client.send(b"0\r\n\r\n")
        assert client.read_chunk() == b""


def test_reading_and_writing_in_a_thread_of_the_application(site, mode):
    answers = run_together(16, lambda _: site.request(mode, "POST", "/in_a_thread", (), BODY).body)
    assert answers == [BODY[:5] + b"|" + BODY[5:10] + b"|" + BODY[10:15] + b"|" + BODY[15:] + b" done"] * 16


def test_reading_after_answering(site, mode):
    assert site.request(mode, "POST", "/read_after_answer", (), BODY).body == b"answer " + BODY
