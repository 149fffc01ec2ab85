"""wsgi.file_wrapper: when it becomes a file for httpd, how much of it is sent, and what it is as a plain iterable."""
import hashlib
import os

import pytest

from httpd_env import MODES, Site, run_together, wait_until

DATA = b"0123456789" * 10
CRASHES = pytest.mark.difference("the reference crashes")


def SITE():
    conf = ["<Location /%s/big>\nWSGIEnableSendfile On\n</Location>" % mode for mode in MODES]
    running = Site("file_wrapper", conf="\n".join(conf))
    with open(running.path("data.bin"), "wb") as data:
        data.write(DATA)
    with open(running.path("big.bin"), "wb") as big:
        big.write(os.urandom(1 << 20) * 9)
    return running


def events(site, mode):
    return [line for line in site.get(mode, "/events").text.split("\n") if line]


def closed(site, mode):
    """What was called on the file, once it has been closed."""
    seen = []

    def ended():
        seen.extend(events(site, mode))
        return "close()" in seen
    wait_until(ended, lambda: "close(): %s" % seen)
    return seen


def test_a_file_is_sent_without_reading_it(site, mode):
    events(site, mode)
    answer = site.get(mode, "/whole")
    assert (answer.body, answer.header("Content-Length"), answer.complete) == (DATA, "100", True)
    seen = closed(site, mode)
    assert seen.count("close()") == 1 and "tell()" in seen and "fileno()" in seen
    assert not [event for event in seen if event.startswith("read")]


# Offset, length as given, what arrives; None where the request is refused.
PARTS = {
    "from an offset": ("offset=30", DATA[30:], "70", True),
    "from the last byte": ("offset=99", DATA[99:], "1", True),
    "from the end": ("offset=100", b"", "0", True),
    "with its own length": ("length=100", DATA, "100", True),
    "less than there is": ("length=10", DATA[:10], "10", True),
    "none of it": ("length=0", b"", "0", True),
    "from an offset, less than there is": ("offset=5&length=10", DATA[5:15], "10", True),
    "in blocks of one": ("block=1", DATA, "100", True),
}


@pytest.mark.parametrize("row", PARTS)
def test_parts(site, mode, row):
    query, body, length, complete = PARTS[row]
    answer = site.get(mode, "/part?" + query)
    assert (answer.status, answer.body, answer.header("Content-Length"), answer.complete) == (200, body, length, complete), answer
    assert closed(site, mode).count("close()") == 1


@pytest.mark.difference("the reference pads with NUL bytes")
@pytest.mark.parametrize("query, body", [("length=500", DATA), ("offset=50&length=500", DATA[50:]), ("offset=100&length=5", b""),
                                         ("offset=500&length=5", b""), ("length=99999999", DATA)])
def test_a_length_beyond_the_file_ends_short(site, mode, query, body):
    with site.httpd.client() as client:
        client.send(client.head("GET", "/%s/part?%s" % (mode, query)) + client.head("GET", "/%s/whole" % mode))
        answer = client.read_response()
        assert (answer.status, answer.body, answer.complete) == (200, body, False), answer
    assert closed(site, mode).count("close()") == 1


@CRASHES
def test_beyond_the_end_without_a_length(site, mode):
    answer = site.get(mode, "/part?offset=500")
    assert (answer.status, answer.body, answer.header("Content-Length")) == (200, b"", "0"), answer


@pytest.mark.parametrize("status, body", [("206 Partial", DATA), ("404 Gone", DATA)])
def test_other_statuses(site, mode, status, body):
    answer = site.get(mode, "/part?status=" + status.replace(" ", "%20"))
    assert (answer.status, answer.body) == (int(status[:3]), body)


@pytest.mark.parametrize("status", ["204 None", "304 Same"])
def test_statuses_without_a_body(site, mode, status):
    with site.httpd.client() as client:
        answer = client.request("GET", "/%s/part?status=%s" % (mode, status.replace(" ", "%20")))
        assert answer.status == int(status[:3])
        assert client.request("GET", "/%s/whole" % mode).body == DATA


def test_head(site, mode):
    with site.httpd.client() as client:
        answer = client.request("HEAD", "/%s/whole" % mode)
        assert answer.status == 200
        assert client.request("GET", "/%s/whole" % mode).body == DATA


@pytest.mark.difference("the reference reads the file")
@pytest.mark.parametrize("again", [1, 2])  # A process group that has sent a file gets another channel for it.
def test_head_of_a_file_reads_nothing(site, mode, again):
    """So large a file that whoever read it would never be done."""
    with site.httpd.client() as client:
        answer = client.request("HEAD", "/%s/sparse" % mode)
        assert (answer.status, answer.header("Content-Length")) == (200, str(1 << 40))
        assert client.request("GET", "/%s/whole" % mode).body == DATA


@pytest.mark.difference("the reference reads the file")
def test_head_of_what_only_reads_reads_nothing(site, mode):
    site.get(mode, "/events")
    with site.httpd.client() as client:
        answer = client.request("HEAD", "/%s/memory_noisy" % mode)
        assert answer.status == 200 and answer.header("X-A") == "1"
        assert client.request("GET", "/%s/events" % mode).body == b"fileno()\nclose()"
        assert client.request("GET", "/%s/memory_noisy" % mode).body == DATA
        assert b"read(" in client.request("GET", "/%s/events" % mode).body


@pytest.mark.difference("the reference's daemon mode knows no ranges")
def test_ranges_are_httpds(site, mode):
    # On every thread of httpd, and whether or not it has seen a file of this process group before.
    with Site("file_wrapper") as fresh:
        with open(fresh.path("data.bin"), "wb") as data:
            data.write(DATA)
        for _ in range(2):
            answers = run_together(16, lambda index: fresh.get(mode, "/whole", [("Range", "bytes=%d-19" % index)]))
            assert [(answer.status, answer.body) for answer in answers] == [(206, DATA[index:20]) for index in range(16)]
        answer = fresh.get(mode, "/whole", [("Range", "bytes=0-1,98-")])
        assert answer.status == 206 and b"01\r\n" in answer.body and b"89\r\n" in answer.body
        assert fresh.get(mode, "/whole", [("Range", "bytes=100-")]).status == 416
        assert fresh.get(mode, "/whole", [("Range", "bytes=5-9"), ("If-Range", '"other"')]).body == DATA


def test_the_descriptors_position_is_restored(site, mode):
    assert site.get(mode, "/position").body == DATA[30:]
    assert site.get(mode, "/kept_position").text == "30"


@pytest.mark.difference("the reference mixes the requests up")
def test_a_descriptor_that_requests_share(site, mode):
    answers = run_together(16, lambda index: site.get(mode, "/shared?offset=%d" % (index * 100000)))
    with open(site.path("big.bin"), "rb") as big:
        whole = big.read()
    for index, answer in enumerate(answers):
        assert answer.body == whole[index * 100000:], index


def test_a_file_without_a_name(site, mode):
    assert site.get(mode, "/unlinked").body == DATA[10:]


def test_a_large_file(site, mode):
    answer = site.get(mode, "/big")
    with open(site.path("big.bin"), "rb") as big:
        assert hashlib.sha256(answer.body).digest() == hashlib.sha256(big.read()).digest()


@pytest.mark.parametrize("case", ["memory", "memory_with_length", "pipe", "wrapped_in_a_generator", "subclass", "no_fileno"])
def test_other_sources_are_iterated(site, mode, case):
    answer = site.get(mode, "/" + case)
    assert (answer.status, answer.body, answer.complete) == (200, DATA, True)


def test_the_block_size_is_what_read_is_asked_for(site, mode):
    events(site, mode)
    site.get(mode, "/memory")
    seen = closed(site, mode)
    assert [event for event in seen if event.startswith("read")] == ["read(30,)"] * 5


def test_after_output_it_is_iterated(site, mode):
    answer = site.get(mode, "/after_write")
    assert answer.body == b"before " + DATA and answer.complete


@pytest.mark.parametrize("case", ["fileno_raises", "fileno_negative", "fileno_str", "fileno_closed", "tell_raises", "tell_str",
                                  "tell_none", "directory", "close_raises"])
def test_what_cannot_be_sent_as_a_file_is_iterated(site, mode, case):
    answer = site.get(mode, "/awkward/" + case)
    assert (answer.status, answer.body, answer.complete) == (200, DATA, True), answer


@CRASHES
@pytest.mark.parametrize("case", ["tell_negative", "tell_beyond"])
def test_impossible_offsets_harm_nothing(site, mode, case):
    answer = site.get(mode, "/awkward/" + case)
    assert answer.status in (200, 500)
    assert site.get(mode, "/whole").body == DATA


def test_a_source_of_str(site, mode):
    mark = site.log.mark()
    assert site.get(mode, "/read_str").status == 500
    site.log.wait_for("TypeError", mark)


def test_a_source_that_raises(site, mode):
    mark = site.log.mark()
    assert site.get(mode, "/read_raises").status == 500
    site.log.wait_for("OSError: not this one", mark)


def test_start_response_from_within_read(site, mode):
    answer = site.get(mode, "/lazy_start")
    assert (answer.status, answer.reason, answer.body) == (200, "Late", DATA)


def test_the_class(site, mode):
    assert site.get(mode, "/attributes").text == repr(
        [True, 3, 8192, [b"dat", b"a"], "ValueError", "TypeError", "AttributeError", "TypeError", True,
         "ValueError: I/O operation on closed file"])
