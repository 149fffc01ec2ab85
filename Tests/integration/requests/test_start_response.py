"""start_response, row by row: what it refuses, what it accepts, and when a second call counts."""
import re
import urllib.parse

import pytest

from httpd_env import REFERENCE, Site

PLAIN = [("Content-Type", "text/plain")]


def SITE():
    return Site("start_response")


def call(*arguments):
    return "?call=" + urllib.parse.quote(repr(arguments))


# What the call is given; the exception, and what its text must say.
REFUSED = {
    "status is bytes": ((b"200 OK", PLAIN), "TypeError", r"str"),
    "status is a number": ((200, PLAIN), "TypeError", r"str"),
    "status is None": ((None, PLAIN), "TypeError", r"str"),
    "status beyond latin-1": (("200 \u20ac", PLAIN), "UnicodeEncodeError", r"latin-1"),
    "name beyond latin-1": (("200 OK", [("X-\u20ac", "1")]), "UnicodeEncodeError", r"latin-1"),
    "value beyond latin-1": (("200 OK", [("X-Euro", "\u20ac")]), "UnicodeEncodeError", r"latin-1"),
    "headers are a tuple": (("200 OK", ()), "TypeError", r"list"),
    "headers are a dict": (("200 OK", {}), "TypeError", r"list"),
    "headers are None": (("200 OK", None), "TypeError", r"list"),
    "element is a list": (("200 OK", [["X-A", "1"]]), "TypeError", r"tuple"),
    "element is a str": (("200 OK", ["X-A"]), "TypeError", r"tuple"),
    "element is None": (("200 OK", [None]), "TypeError", r"tuple"),
    "tuple of one": (("200 OK", [("X-A",)]), "ValueError", r"2|two"),
    "tuple of three": (("200 OK", [("X-A", "1", "2")]), "ValueError", r"2|two"),
    "empty tuple": (("200 OK", [()]), "ValueError", r"2|two"),
    "name is bytes": (("200 OK", [(b"X-A", "1")]), "TypeError", r"str"),
    "value is bytes": (("200 OK", [("X-A", b"1")]), "TypeError", r"str"),
    "value is a number": (("200 OK", [("Content-Length", 5)]), "TypeError", r"str"),
    "value is None": (("200 OK", [("X-A", None)]), "TypeError", r"str"),
    "status is empty": (("", PLAIN), "ValueError", r"3 digit"),
    "status has no number": (("OK", PLAIN), "ValueError", r"3 digit"),
    "status of two digits": (("20 OK", PLAIN), "ValueError", r"3 digit"),
    "status of four digits": (("2000 OK", PLAIN), "ValueError", r"3 digit"),
    "status with a sign": (("-20 OK", PLAIN), "ValueError", r"3 digit"),
    "status with a leading space": ((" 200 OK", PLAIN), "ValueError", r"3 digit"),
    "status without a space": (("200OK", PLAIN), "ValueError", r"space"),
    "status with a dash": (("200-OK", PLAIN), "ValueError", r"space"),
    "reason with CR": (("200 O\rK", PLAIN), "ValueError", r"control|character"),
    "reason with LF": (("200 O\nK", PLAIN), "ValueError", r"control|character"),
    "reason with TAB": (("200 O\tK", PLAIN), "ValueError", r"control|character"),
    "reason with DEL": (("200 O\x7fK", PLAIN), "ValueError", r"control|character"),
    "name is empty": (("200 OK", [("", "1")]), "ValueError", r"name"),
    "name with a space": (("200 OK", [("X A", "1")]), "ValueError", r"name"),
    "name with LF": (("200 OK", [("X\nA", "1")]), "ValueError", r"name"),
    "name with CR": (("200 OK", [("X\rA", "1")]), "ValueError", r"name"),
    "value with CR": (("200 OK", [("X-A", "a\rb")]), "ValueError", r"carriage|CR|line|character"),
    "value with LF": (("200 OK", [("X-A", "a\nSet-Cookie: b=c")]), "ValueError", r"LF|line|character"),
    "exc_info is a number": (("200 OK", PLAIN, 1), "RuntimeError", r"exc|tuple|exception"),
    "exc_info is a str": (("200 OK", PLAIN, "x"), "RuntimeError", r"exc|tuple|exception"),
    "name with a colon inside": (("200 OK", [("X:A", "1")]), "ValueError", r"name b'X:A', its value is b'1'"),
    "name with two colons behind": (("200 OK", [("X::", "1")]), "ValueError", r"name b'X::', its value is b'1'"),
    "name is a colon": (("200 OK", [(":", "1")]), "ValueError", r"name b':', its value is b'1'"),
    "name with a parenthesis": (("200 OK", [("X(A)", "1")]), "ValueError", r"name b'X\(A\)', its value is b'1'"),
    "value with BEL": (("200 OK", [("X-A", "a\x07b")]), "ValueError", r"character in value of header b'X-A': b'a\\x07b'"),
    "no arguments": ((), "TypeError", r""),
    "one argument": (("200 OK",), "TypeError", r""),
    "four arguments": (("200 OK", PLAIN, None, None), "TypeError", r""),
}


# What is refused is shown, whatever it is.
SHOWN = {
    "status": (("20X OK", PLAIN), r"status code must be a 3 digit integer: b'20X OK'"),
    "status of four digits": (("2000 OK", PLAIN), r"status code must be a 3 digit integer: b'2000 OK'"),
    "status below 200": (("101 Up", PLAIN), r"status code must be 200 or more.*: b'101 Up'"),
    "status without a space": (("200OK", PLAIN), r"no space following status code: b'200OK'"),
    "status is bytes": ((b"200 OK", PLAIN), r"status must be str, not bytes: b'200 OK'"),
    "status beyond latin-1": (("200 \u20ac", PLAIN), r"in status: '200 \\u20ac'"),
    "reason": (("200 O\tK\x7f", PLAIN), r"control character present in reason phrase: b'O\\tK\\x7f'"),
    "headers": (("200 OK", (1, 2)), r"response headers must be a list, not tuple: \(1, 2\)"),
    "element": (("200 OK", [["X-A", "1"]]), r"each header must be a 2-tuple, not list: \['X-A', '1'\]"),
    "tuple of one": (("200 OK", [("X-A",)]), r"two items, not 1: \('X-A',\)"),
    "tuple of three": (("200 OK", [("X-A", "1", "2")]), r"two items, not 3: \('X-A', '1', '2'\)"),
    "name": (("200 OK", [("X A", "1")]), r"name b'X A', its value is b'1'"),
    "empty name": (("200 OK", [("", "1")]), r"name must not be empty, its value is b'1'"),
    "name is bytes": (("200 OK", [(b"X-A", "1")]), r"header name must be str, not bytes: b'X-A'"),
    "name beyond latin-1": (("200 OK", [("X-\u20ac", "1")]), r"in header name: 'X-\\u20ac'"),
    "value": (("200 OK", [("X-A", "a\r\nb")]), r"value of header b'X-A': b'a\\r\\nb'"),
    "value is a number": (("200 OK", [("Content-Length", 5)]), r"value of header b'Content-Length' must be str, not int: 5"),
    "value beyond latin-1": (("200 OK", [("X-E", "\u20ac")]), r"in value of header b'X-E': '\\u20ac'"),
    "length": (("200 OK", [("Content-Length", "abc")]), r"invalid content length: b'abc'"),
    "two lengths": (("200 OK", [("Content-Length", "5"), ("Content-Length", "6")]), r"two content lengths: 5 and 6"),
    "exc_info": (("200 OK", PLAIN, "x"), r"exception info must be a tuple, not str: 'x'"),
    "a long value": (("200 OK", [("X-A", "\n" + "a" * 1000)]), r"b'\\na{199}'\.\.\.$"),
}


@pytest.mark.difference("the reference shows nothing")
@pytest.mark.parametrize("row", SHOWN)
def test_shows_what_it_refuses(site, mode, row):
    arguments, words = SHOWN[row]
    answer = site.get(mode, "/attempt" + call(*arguments))
    assert re.search(words, answer.text), answer.text


@pytest.mark.difference("the reference shows nothing")
@pytest.mark.parametrize("how, words", [
    ("[1, b'x']", r"response iterable must yield bytes, not int: 1"),
    ("['text']", r"response iterable must yield bytes, not str: 'text'"),
    ("iter(['text'])", r"response iterable must yield bytes, not str: 'text'"),
    ("iter([{'a': 1}])", r"response iterable must yield bytes, not dict: \{'a': 1\}"),
    ("start_response('200 OK', [])('text')", r"write\(\) argument must be bytes, not str: 'text'"),
])
def test_shows_blocks_that_are_no_bytes(site, mode, how, words):
    mark = site.log.mark()
    site.get(mode, "/block?how=" + urllib.parse.quote(how))
    site.log.wait_for(words, mark)


def test_a_colon_behind_a_name_is_dropped(site, mode):
    answer = site.get(mode, "/give" + call("200 OK", [("Pragma:", "no-cache"), ("Content-Length:", "4"), ("X-A", "1")]))
    assert (answer.status, answer.body, answer.framing) == (200, b"body", "length")
    assert answer.all("Pragma") == ["no-cache"] and answer.all("X-A") == ["1"]


@pytest.mark.difference("the reference logs nothing")
def test_that_is_logged_once(site, mode):
    for _ in range(3):
        site.get(mode, "/give" + call("200 OK", [("Pragma:", "no-cache")]))
    site.flush_log(mode)
    lines = site.log.lines(r"WSGI0640:.*b'Pragma:'.*b'no-cache'")
    assert 1 <= len(lines) <= 2, lines  # once a process, and there are two: httpd's child and the daemon


# A NUL ends the reference's checks early.
NULS = {
    "reason with NUL": (("200 O\0K", PLAIN), "ValueError", r""),
    "name with NUL": (("200 OK", [("X\0A", "1")]), "ValueError", r""),
    "value with NUL": (("200 OK", [("X-A", "a\0b")]), "ValueError", r""),
}


@pytest.mark.difference("the reference stops checking at a NUL")
@pytest.mark.parametrize("row", NULS)
def test_refuses_nul(site, mode, row):
    check_refusal(site, mode, NULS[row])


@pytest.mark.parametrize("row", REFUSED)
def test_refuses(site, mode, row):
    check_refusal(site, mode, REFUSED[row])


def check_refusal(site, mode, row):
    arguments, kind, words = row
    answer = site.get(mode, "/attempt" + call(*arguments))
    assert answer.status == 200, answer
    name, _, message = answer.text.partition(": ")
    assert name == kind, answer.text
    assert re.search(words, message, re.I), answer.text


@pytest.mark.parametrize("row", ["status is bytes", "headers are a tuple", "tuple of one", "name beyond latin-1",
                                 "status has no number", "value with LF", "exc_info is a number"])
def test_a_refusal_that_propagates_is_a_500_with_its_traceback_in_the_log(site, mode, row):
    arguments, kind, _ = REFUSED[row]
    mark = site.log.mark()
    answer = site.get(mode, "/propagate" + call(*arguments), [("X-Test", "1")])
    assert answer.status == 500 and answer.complete
    assert "never seen" not in answer.text
    site.log.wait_for(r"\b%s\b" % kind, mark)
    if not REFERENCE:  # which has no traceback for these
        site.log.wait_for(r"in propagate", mark)


# What the call is given; status, reason and headers that arrive.
ACCEPTED = {
    "ordinary": (("200 OK", [("X-A", "1")]), 200, "OK", {"X-A": ["1"]}),
    "no reason": (("200", []), 200, "OK", {}),
    "no reason, not found": (("404", []), 404, "Not Found", {}),
    "empty reason": (("200 ", []), 200, None, {}),
    "own reason": (("200 Quite Alright", []), 200, "Quite Alright", {}),
    "599": (("599 Own", []), 599, "Own", {}),
    "999": (("999 Odd", []), 999, "Odd", {}),
    "latin-1 value": (("200 OK", [("X-A", "caf\xe9")]), 200, "OK", {"X-A": ["caf\xe9"]}),
    "empty value": (("200 OK", [("X-A", "")]), 200, "OK", {"X-A": [""]}),
    "TAB in a value": (("200 OK", [("X-A", "a\tb")]), 200, "OK", {"X-A": ["a\tb"]}),
    "exc_info is None": (("200 OK", [], None), 200, "OK", {}),
    "two cookies": (("200 OK", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]), 200, "OK", {"Set-Cookie": ["a=1", "b=2"]}),
    "challenge": (("401 No", [("WWW-Authenticate", 'Basic realm="x"')]), 401, "No", {"WWW-Authenticate": ['Basic realm="x"']}),
    "own Date and Server": (("200 OK", [("X-A", "1"), ("Server", "mine"), ("Date", "never")]), 200, "OK", {"X-A": ["1"]}),
}


@pytest.mark.parametrize("row", ACCEPTED)
def test_accepts(site, mode, row):
    arguments, status, reason, headers = ACCEPTED[row]
    answer = site.get(mode, "/give" + call(*arguments))
    assert answer.status == status, answer
    assert reason is None or answer.reason == reason
    for name, values in headers.items():
        assert answer.all(name) == values
    assert answer.body == b"body" and answer.complete
    assert "mine" not in (answer.header("Server") or "") and answer.header("Date") != "never"


@pytest.mark.difference("the reference's daemon mode joins repeated headers")
def test_repeated_headers_stay_apart(site, mode):
    answer = site.get(mode, "/give" + call("200 OK", [("X-A", "1"), ("X-A", "2"), ("Link", "<a>"), ("Link", "<b>")]))
    assert answer.all("X-A") == ["1", "2"] and answer.all("Link") == ["<a>", "<b>"]


def test_str_subclasses_are_str(site, mode):
    answer = site.get(mode, "/subclass")
    assert (answer.status, answer.reason, answer.header("X-Sub")) == (200, "Fine", "class")


@pytest.mark.parametrize("case", ["keywords", "headers_iterator"])
def test_type_errors_of_the_call_itself(site, mode, case):
    assert site.get(mode, "/" + case).text == "TypeError"


def test_returns_write(site, mode):
    answer = site.get(mode, "/write_is_returned")
    assert answer.body == b"written returned" and answer.complete


def test_exc_info_before_output_replaces(site, mode):
    answer = site.get(mode, "/exc_info_before")
    assert (answer.status, answer.reason) == (503, "Later")
    assert answer.header("X-First") is None and answer.header("X-Second") == "2"


@pytest.mark.difference("the reference's daemon mode lets a truncated chunked response look complete")
def test_exc_info_after_output_cuts_the_response(site, mode):
    mark = site.log.mark()
    answer = site.get(mode, "/exc_info_after")
    assert answer.status == 200 and answer.body == b"first" and not answer.complete
    site.log.wait_for(r"ValueError: late failure", mark)


def test_exc_info_after_output_raises_the_same_exception(site, mode):
    assert site.get(mode, "/exc_info_after_is_reraised").body == b"first reraised"


def test_a_second_call_before_output_replaces(site, mode):
    answer = site.get(mode, "/twice_before")
    assert (answer.status, answer.reason, answer.body) == (404, "Second", b"replaced")
    assert answer.header("X-First") is None and answer.header("X-Second") == "2"


@pytest.mark.difference("the reference logs nothing")
def test_a_second_call_before_output_is_logged_once(site, mode):
    site.get(mode, "/twice_before")
    site.get(mode, "/twice_before")
    site.flush_log(mode)
    lines = site.log.lines(r"WSGI0504:")
    assert 1 <= len(lines) <= 2, lines  # once a process, and there are two: httpd's child and the daemon


def test_a_second_call_after_output_is_an_error(site, mode):
    answer = site.get(mode, "/twice_after")
    assert answer.body.startswith(b"first RuntimeError: ") and b"exc_info" in answer.body


def test_a_call_after_the_request_is_an_error(site, mode):
    site.get(mode, "/keep")
    assert site.get(mode, "/use_kept").text == "RuntimeError"


def test_an_empty_write_commits(site, mode):
    assert site.get(mode, "/committed_by_write").body == b"committed"


def test_an_empty_block_does_not_commit(site, mode):
    answer = site.get(mode, "/empty_block_does_not_commit")
    assert (answer.status, answer.body) == (404, b"replaced")
