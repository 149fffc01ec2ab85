"""Producing the response: shapes of the iterable, lengths, exceptions, close() and what the client sees of each."""
import time

import pytest

from httpd_env import REFERENCE, Site, wait_until

CUT = pytest.mark.difference("the reference's daemon mode lets a truncated chunked response look complete")

STALLS = pytest.mark.difference("the reference keeps the connection of a response that fell short of its length")


def SITE():
    return Site("response")


def events(site, mode, *, clear=False):
    return [line for line in site.get(mode, "/events" + ("?clear=1" if clear else "")).text.split("\n") if line]


# MARK: shapes

@pytest.mark.parametrize("case", ["one_block", "one_block_tuple", "two_blocks", "empty_blocks_between", "generator", "lazy",
                                  "list_iterator", "sequence", "bytes_subclass"])
def test_iterables_of_bytes(site, mode, case):
    answer = site.get(mode, "/" + case)
    assert (answer.status, answer.body, answer.complete) == (200, b"hello world", True), answer


def test_a_list_subclass_is_iterated(site, mode):
    assert site.get(mode, "/list_subclass").body == b"from iter"


@pytest.mark.difference("the reference never derives a length")
@pytest.mark.parametrize("case", ["one_block", "one_block_tuple"])
def test_one_block_gets_its_length(site, mode, case):
    answer = site.get(mode, "/" + case)
    assert answer.header("Content-Length") == "11" and answer.framing == "length"


@pytest.mark.difference("the reference's daemon mode sends empty bodies chunked")
@pytest.mark.parametrize("case", ["empty_list", "one_empty_block"])
def test_an_empty_body_has_length_zero(site, mode, case):
    answer = site.get(mode, "/" + case)
    assert answer.status == 200 and answer.body == b"" and answer.header("Content-Length") == "0"


@pytest.mark.parametrize("version, framing", [("HTTP/1.1", "chunked"), ("HTTP/1.0", "close")])
def test_unknown_length(site, mode, version, framing):
    answer = site.get(mode, "/generator", version=version)
    assert (answer.framing, answer.body, answer.complete) == (framing, b"hello world", True)


@pytest.mark.parametrize("case, size", [("large", 5 << 20), ("many", 800000)])
def test_large_bodies_arrive_whole(site, mode, case, size):
    answer = site.get(mode, "/" + case)
    assert len(answer.body) == size and answer.complete


@pytest.mark.parametrize("case", ["gated", "gated_write"])
def test_a_block_is_on_its_way_before_the_next_is_made(site, mode, case):
    with site.httpd.client() as client:
        client.send(client.head("GET", "/%s/%s" % (mode, case)))
        head = client.read_head()
        assert head.header("Transfer-Encoding") == "chunked"
        assert client.read_chunk() == b"first"
        site.get(mode, "/open_gate")
        assert client.read_chunk() == b"second"
        assert client.read_chunk() == b""


def test_every_block_is_on_its_way_before_the_next_is_made(site, mode):
    with site.httpd.client() as client:
        client.send(client.head("GET", "/%s/gated_again" % mode))
        client.read_head()
        for number in range(8):
            assert client.read_chunk() == b"%d" % number
            # The thread that sends what waits goes to sleep after a while without anything to send, and must be woken.
            time.sleep(0.02)
            site.get(mode, "/open_gate")
        assert client.read_chunk() == b""


# MARK: wrong shapes

WRONG = {
    "none": r"NoneType", "number": r"int", "true": r"bool", "bytes": r"int", "str": r"str", "dict_of_str": r"str",
    "list_of_str": r"must yield bytes, not.* str", "list_of_int": r"must yield bytes, not.* int",
    "list_of_none": r"must yield bytes, not.* NoneType", "list_of_bytearray": r"must yield bytes, not.* bytearray",
    "list_of_memoryview": r"must yield bytes, not.* memoryview", "list_of_list": r"must yield bytes, not.* list",
    "object": r"object", "module": r"module", "function": r"builtin_function_or_method", "type": r"type",
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_results_are_a_500_and_say_why(site, mode, case):
    mark = site.log.mark()
    answer = site.get(mode, "/wrong/" + case)
    assert answer.status == 500 and answer.complete, answer
    assert answer.header("X-App") is None
    site.log.wait_for(r"TypeError: .*%s" % WRONG[case], mark)


@CUT
@pytest.mark.parametrize("case", ["wrong_lazily"])
def test_a_wrong_block_after_output_cuts_the_response(site, mode, case):
    mark = site.log.mark()
    answer = site.get(mode, "/" + case)
    assert answer.status == 200 and not answer.complete
    site.log.wait_for(r"TypeError: .*must yield bytes, not.* str", mark)


@pytest.mark.parametrize("case", ["no_start_response", "no_start_response_empty"])
def test_without_start_response(site, mode, case):
    mark = site.log.mark()
    assert site.get(mode, "/" + case).status == 500
    site.log.wait_for(r"RuntimeError: .*start_response", mark)


def test_nothing_at_all(site, mode):
    assert site.get(mode, "/no_start_response_none").status == 500


# MARK: exceptions

KINDS = {"value": "ValueError", "exit": "SystemExit", "keyboard": "KeyboardInterrupt", "memory": "MemoryError",
         "base": "BaseException", "generator_exit": "GeneratorExit", "unicode": "UnicodeDecodeError",
         "recursion": "RecursionError", "os": "OSError", "syntax": "SyntaxError", "surrogate": "ValueError"}


@pytest.mark.parametrize("kind", list(KINDS) + ["stop"])
@pytest.mark.parametrize("place", ["raise_in_call", "raise_in_iter"])
def test_exceptions_before_output(site, mode, place, kind):
    mark = site.log.mark()
    answer = site.get(mode, "/%s/%s" % (place, kind))
    assert (answer.status, answer.reason, answer.complete) == (500, "Internal Server Error", True), answer
    assert answer.header("X-App") is None
    site.log.wait_for(r"WSGI0174|WSGI0175", mark)
    if kind != "exit":
        site.log.wait_for(r"%s.*raised on purpose|raised on purpose" % KINDS.get(kind, "StopIteration"), mark)


@pytest.mark.parametrize("kind", KINDS)
def test_exceptions_in_the_first_step(site, mode, kind):
    events(site, mode, clear=True)
    answer = site.get(mode, "/raise_first/" + kind)
    assert answer.status == 500
    assert events(site, mode) == ["close first"]


@CUT
@pytest.mark.parametrize("kind", KINDS)
def test_exceptions_after_output_cut_the_response(site, mode, kind):
    events(site, mode, clear=True)
    mark = site.log.mark()
    answer = site.get(mode, "/raise_later/" + kind)
    assert (answer.status, answer.body, answer.complete) == (200, b"first ", False), answer
    site.log.wait_for(r"WSGI0174|WSGI0175", mark)
    assert events(site, mode) == ["close later"]


@STALLS
def test_an_exception_after_output_with_a_length(site, mode):
    answer = site.get(mode, "/raise_later_with_length")
    assert (answer.status, answer.body, answer.complete) == (200, b"first ", False), answer


def test_the_process_survives_system_exit(site, mode):
    mark = site.log.mark()
    assert site.get(mode, "/exit_in_call").status == 500
    site.log.wait_for(r"SystemExit.*ignored|WSGI0175", mark)
    assert site.get(mode, "/one_block").body == b"hello world"


def test_recursion_is_an_exception(site, mode):
    mark = site.log.mark()
    assert site.get(mode, "/recursion").status == 500
    site.log.wait_for(r"RecursionError", mark)
    assert site.get(mode, "/one_block").body == b"hello world"


def test_the_log_has_the_whole_traceback(site, mode):
    mark = site.log.mark()
    assert site.get(mode, "/chained").status == 500
    lines = site.log.wait_for(r"ValueError: outer effect", mark)
    assert "[script " in site.log.wait_for(r"WSGI0174", mark)[0]
    whole = site.log.text(mark)
    assert "KeyError: 'inner cause'" in whole and "direct cause" in whole and "in chained" in whole
    assert whole.index("inner cause") < whole.index("outer effect"), lines
    assert len(site.log.lines(r"ValueError: outer effect", mark)) == 1


# MARK: close

@pytest.mark.parametrize("path", ["closes", "raise_in_close/value", "raise_in_close/exit"])
def test_close_is_called_exactly_once(site, mode, path):
    events(site, mode, clear=True)
    answer = site.get(mode, "/" + path)
    assert answer.status == 200
    wait_until(lambda: events(site, mode), "close()")
    assert len(events(site, mode)) == 1


@pytest.mark.parametrize("kind", ["value", "exit", "keyboard"])
def test_exceptions_in_close_are_logged_and_change_nothing(site, mode, kind):
    mark = site.log.mark()
    answer = site.get(mode, "/raise_in_close/" + kind)
    assert (answer.status, answer.body, answer.complete) == (200, b"hello", True)
    site.log.wait_for(r"WSGI0174|WSGI0175|raised on purpose", mark)


@pytest.mark.parametrize("case", ["close_lookup_fails", "close_is_not_callable"])
def test_odd_close_attributes(site, mode, case):
    mark = site.log.mark()
    answer = site.get(mode, "/" + case)
    assert (answer.status, answer.body, answer.complete) == (200, b"hello", True)
    site.log.wait_for(r"WSGI0194|no close for you|not callable", mark)


def test_close_when_the_client_has_gone(site, mode):
    events(site, mode, clear=True)
    mark = site.log.mark()
    with site.httpd.client() as client:
        client.send(client.head("GET", "/%s/endless" % mode))
        client.read_head()
        assert client.read_chunk()
        client.reset()
    wait_until(lambda: events(site, mode) == ["close endless"], "close() after the client has gone")
    site.flush_log(mode)
    assert not site.log.lines(r"Traceback", mark)


def test_write_when_the_client_has_gone(site, mode):
    events(site, mode, clear=True)
    with site.httpd.client() as client:
        client.send(client.head("GET", "/%s/endless_write" % mode))
        client.read_head()
        assert client.read_chunk()
        client.reset()
    wait_until(lambda: "write ended" in events(site, mode), "the end of write()")
    assert events(site, mode)[0].startswith("OSError mod_wsgi ")


# MARK: lengths

@pytest.mark.parametrize("case", ["length", "length_in_blocks"])
@pytest.mark.parametrize("length, body, complete", [("10", b"0123456789", True), ("4", b"0123", True), ("0", b"", True),
                                                     (" 10", b"0123456789", True)])
def test_content_length(site, mode, case, length, body, complete):
    answer = site.get(mode, "/%s?length=%s" % (case, length.replace(" ", "%20")))
    assert (answer.status, answer.body, answer.complete) == (200, body, complete), answer


@STALLS
@pytest.mark.parametrize("case", ["length", "length_in_blocks"])
def test_a_body_too_short_ends_the_connection(site, mode, case):
    with site.httpd.client() as client:
        # What follows on the connection must not pass for the rest of the body.
        client.send(client.head("GET", "/%s/%s?length=20" % (mode, case)) + client.head("GET", "/%s/one_block" % mode))
        head = client.read_response()
        assert head.header("Content-Length") == "20" and head.body == b"0123456789" and not head.complete


@pytest.mark.parametrize("length", ["abc", "-1", "1x", "", "1.5", "99999999999999999999"])
def test_a_malformed_content_length_is_a_500(site, mode, length):
    mark = site.log.mark()
    answer = site.get(mode, "/length?length=%s&x" % length)
    if length == "":
        answer = site.get(mode, "/length?length=%20")
    assert answer.status == 500, answer
    site.log.wait_for(r"ValueError|KeyError", mark)


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_body_where_there_can_be_none(site, mode, status):
    with site.httpd.client() as client:
        path = "/%s/status?body=1&status=%s" % (mode, status.replace(" ", "%20"))
        answer = client.request("GET", path)
        assert answer.status == int(status[:3]) and answer.header("X-App") == "1"
        assert answer.header("Content-Length") is None and answer.header("Transfer-Encoding") is None
        assert client.request("GET", "/%s/one_block" % mode).body == b"hello world", "the connection is in step"


@pytest.mark.parametrize("status", [200, 201, 206, 301, 302, 400, 403, 404, 410, 418, 451, 500, 503, 599])
def test_statuses_keep_the_applications_body(site, mode, status):
    answer = site.get(mode, "/status?body=1&status=%d%%20Own%%20words" % status)
    assert (answer.status, answer.reason, answer.body) == (status, "Own words", b"0123456789")


def test_head_has_no_body_and_keeps_its_length(site, mode):
    with site.httpd.client() as client:
        answer = client.request("HEAD", "/%s/method" % mode)
        assert answer.status == 200 and answer.header("Content-Length") == "4"  # "HEAD"
        answer = client.request("HEAD", "/%s/method_generator" % mode)
        assert answer.status == 200 and answer.header("Content-Length") is None
        assert client.request("GET", "/%s/method" % mode).body == b"GET"


@pytest.mark.difference("the reference's daemon mode knows no ranges")
@pytest.mark.parametrize("size", [10, 5000, 65536])
@pytest.mark.parametrize("kind", ["list", "tuple", "two"])
def test_ranges_of_a_complete_list(site, mode, kind, size):
    body = (b"0123456789" * 6554)[:size]
    path = "/%s/sized?size=%d&kind=%s" % (mode, size, kind)
    with site.httpd.client() as client:
        for range_, status, expected in (("bytes=2-4", 206, body[2:5]), ("bytes=-3", 206, body[-3:]),
                                         ("bytes=%d-" % size, 416, None)):
            answer = client.request("GET", path, [("Range", range_)])
            assert answer.status == status, (range_, answer)
            if expected is not None:
                assert answer.body == expected
        answer = client.request("GET", path)
        assert (answer.status, answer.body) == (200, body)


@pytest.mark.difference("the reference's daemon mode knows no ranges")
def test_no_ranges_of_what_is_not_complete(site, mode):
    answer = site.get(mode, "/generator", [("Range", "bytes=0-0")])
    assert answer.status == 200 and answer.complete and len(answer.body) > 1


# MARK: write

def test_write_mixed_with_iteration(site, mode):
    answer = site.get(mode, "/write_then_return")
    assert answer.body == b"one two three four" and answer.complete


def test_write_takes_bytes_only(site, mode):
    lines = site.get(mode, "/write_wrong").text.split("\n")
    assert len(lines) == 5
    for line, name in zip(lines, ("str", "NoneType", "int", "bytearray", "memoryview")):
        assert "must be bytes, not" in line and name in line


def test_write_after_the_request(site, mode):
    site.get(mode, "/write_keep")
    assert site.get(mode, "/write_kept").text == "RuntimeError"


# MARK: what daemon mode once changed

@pytest.mark.difference("the reference's daemon mode redirects")
def test_location_with_200_is_passed_through(site, mode):
    answer = site.get(mode, "/location")
    assert (answer.status, answer.header("Location"), answer.body) == (200, "/elsewhere", b"the body stays")


@pytest.mark.difference("the reference's daemon mode answers 500")
def test_the_reason_error_is_only_a_reason(site, mode):
    answer = site.get(mode, "/status_error")
    assert (answer.status, answer.reason, answer.body) == (200, "Error", b"the body stays")


def test_no_crash_and_no_leftovers(site, mode):
    assert site.get(mode, "/one_block").body == b"hello world"
    assert REFERENCE or not site.log.lines(r"WSGI\d+:.*(internal|bug)")
