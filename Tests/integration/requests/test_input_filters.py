"""Request bodies that come through httpd's input filters: decompression, programs, editors and buffers, which take bytes and give
none for a while. Bodies are cut into pieces of 1, 10 and 50 bytes: chunks that arrive together, and packets of their own."""
import gzip
import hashlib
import os
import random
import shutil
import socket

import pytest

from httpd_env import Site, query_apxs, wait_until

WORDS = random.Random(1).choices("alpha beta gamma delta epsilon zeta eta theta iota kappa".split(), k=400)
TEXT = " ".join(word + ("\n" if n % 7 == 0 else "") for n, word in enumerate(WORDS)).encode() + b"\n"
FILTERS = {
    # What is sent, with which headers, and what the application reads.
    "deflate": (gzip.compress(TEXT, mtime=0), [("Content-Encoding", "gzip")], TEXT),
    "program": (TEXT, [], TEXT.replace(b"a", b"b")),
    "sed": (TEXT, [], TEXT.replace(b"alpha", b"omega")),
    "buffer": (TEXT, [], TEXT),
    "deflate_and_sed": (gzip.compress(TEXT, mtime=0), [("Content-Encoding", "gzip")], TEXT.replace(b"alpha", b"omega")),
}
MODULES = {"deflate": ["deflate"], "program": ["ext_filter"], "sed": ["sed"], "buffer": ["buffer"],
           "deflate_and_sed": ["deflate", "sed"]}


def SITE():
    have = [name for name in ("deflate", "ext_filter", "sed", "buffer") if available(name)]
    lines = ["WSGIChunkedRequest On"]
    if "ext_filter" in have:
        lines.append('ExtFilterDefine program mode=input cmd="%s a b"' % shutil.which("tr"))
    for name, chain in (("deflate", "DEFLATE"), ("program", "program"), ("sed", "Sed"), ("buffer", "BUFFER"),
                        ("deflate_and_sed", "Sed;DEFLATE")):
        if set(MODULES[name]) <= set(have):
            lines += ["<LocationMatch ^/[a-z]+/(digest|read|fail_twice|answer_first)/%s$>" % name, "SetInputFilter " + chain]
            lines += ['InputSed "s/alpha/omega/g"'] if "sed" in MODULES[name] else []
            lines += ["</LocationMatch>"]
    return Site("input", conf="\n".join(lines), modules=have)


def available(module):
    return os.path.exists(os.path.join(query_apxs("LIBEXECDIR"), "mod_%s.so" % module))


def require(name):
    missing = [module for module in MODULES[name] if not available(module)]
    if missing:
        pytest.skip("httpd has no mod_%s" % ", mod_".join(missing))


def pieces(data, size):
    return [data[start:start + size] for start in range(0, len(data), size)]


@pytest.mark.parametrize("transfer", ["chunks in one go", "packets"])
@pytest.mark.parametrize("size", [1, 10, 50])
@pytest.mark.parametrize("name", FILTERS)
def test_a_body_in_pieces(site, mode, name, size, transfer):
    require(name)
    sent, headers, expected = FILTERS[name]
    with site.httpd.client() as client:
        if transfer == "packets":
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.send(client.head("POST", "/%s/digest/%s" % (mode, name), headers, sent))
            for piece in pieces(sent, size):
                client.send(piece)
        else:
            client.send(client.head("POST", "/%s/digest/%s" % (mode, name), headers + [("Transfer-Encoding", "chunked")]))
            client.send(b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces(sent, size)) + b"0\r\n\r\n")
        answer = client.read_response()
        assert answer.text == "%d %s" % (len(expected), hashlib.sha256(expected).hexdigest()), site.log.text()[-2000:]
        # The connection is in step: the next request on it is understood.
        assert client.request("POST", "/%s/read?how=i.read()" % mode, (), b"next").text == "b'next'"


@pytest.mark.parametrize("name", FILTERS)
def test_a_body_of_several_megabytes(site, mode, name):
    require(name)
    sent, headers, expected = FILTERS[name]
    if name.startswith("deflate"):
        plain = TEXT * 1500
        sent, expected = gzip.compress(plain), expected * 1500
    else:
        sent, expected = sent * 1500, expected * 1500
    answer = site.request(mode, "POST", "/digest/" + name, headers, sent)
    assert answer.text == "%d %s" % (len(expected), hashlib.sha256(expected).hexdigest())


@pytest.mark.parametrize("name", FILTERS)
def test_an_empty_body(site, mode, name):
    require(name)
    _, headers, _ = FILTERS[name]
    empty = gzip.compress(b"") if name.startswith("deflate") else b""
    assert site.request(mode, "POST", "/digest/" + name, headers, empty).text.startswith("0 ")


@pytest.mark.parametrize("name", ["deflate", "sed", "buffer"])
def test_a_body_cut_short_ends(site, mode, name):
    """What a filter holds back of a body whose client has gone ends in an error, not in asking for ever."""
    require(name)
    sent, headers, _ = FILTERS[name]
    site.get(mode, "/results?clear=1")
    with site.httpd.client() as client:
        client.send(client.head("POST", "/%s/fail_twice/%s" % (mode, name), headers, sent) + sent[:len(sent) // 2])
        client.socket.shutdown(socket.SHUT_WR)
        try:
            client.read_response()
        except ConnectionError:
            pass
    told = wait_until(lambda: site.get(mode, "/results").text, "the application's account of it")
    assert told.split("\n")[1].startswith("OSError: mod_wsgi request data read error"), told


def test_answering_while_the_body_is_decompressed(site, mode):
    require("deflate")
    with site.httpd.client() as client:
        client.send(client.head("POST", "/%s/answer_first/deflate" % mode,
                                [("Transfer-Encoding", "chunked"), ("Content-Encoding", "gzip")]))
        assert client.read_head().status == 200 and client.read_chunk() == b"ready"
        for piece in pieces(gzip.compress(b"one\n" + os.urandom(3000).hex().encode() + b"\ntwo\n", mtime=0), 10):
            client.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        client.send(b"0\r\n\r\n")
        chunks = []
        while True:
            chunk = client.read_chunk()
            if not chunk:
                break
            chunks.append(chunk)
        assert chunks[0].startswith(b"echo one\n") and chunks[-1].endswith(b"echo two\n")
