"""start_response: /attempt/NAME reports what a call raises, /raise/NAME lets it propagate, /give/NAME sends what is accepted.

The calls are the rows of test_start_response.py, which passes them in the query as a Python literal.
"""
import ast
import sys

import mod_wsgi
from routes import Router, text

route = Router()
application = route.application


class Text(str):
    """A str subclass, which is no str to PEP 3333 but is one to every implementation."""


def arguments(environ):
    return ast.literal_eval(environ["test.query"]["call"])


@route
def attempt(environ, start_response):
    try:
        start_response(*arguments(environ))
    except BaseException as failure:
        return text(start_response, "%s: %s" % (type(failure).__name__, failure))
    return text(start_response, "accepted")


@route
def propagate(environ, start_response):
    start_response(*arguments(environ))
    return [b"never seen"]


@route
def give(environ, start_response):
    start_response(*arguments(environ))
    return [b"body"]


@route
def block(environ, start_response):
    start_response("200 OK", [])
    return eval(environ["test.query"]["how"], {"start_response": start_response})


@route
def keywords(environ, start_response):
    try:
        start_response(status="200 OK", headers=[])
    except TypeError as failure:
        return text(start_response, "TypeError")
    return text(start_response, "accepted")


@route
def headers_iterator(environ, start_response):
    try:
        start_response("200 OK", iter([]))
    except TypeError:
        return text(start_response, "TypeError")
    return text(start_response, "accepted")


@route
def subclass(environ, start_response):
    start_response(Text("200 Fine"), [(Text("X-Sub"), Text("class"))])
    return [b"body"]


@route
def write_is_returned(environ, start_response):
    write = start_response("200 OK", [])
    write(b"written ")
    return [b"returned"]


@route
def exc_info_before(environ, start_response):
    start_response("200 OK", [("X-First", "1")])
    try:
        raise ValueError("early")
    except ValueError:
        start_response("503 Later", [("X-Second", "2")], sys.exc_info())
    return [b"replaced"]


@route
def exc_info_after(environ, start_response):
    start_response("200 OK", [("X-First", "1")])
    yield b"first"
    try:
        raise ValueError("late failure")
    except ValueError:
        start_response("500 Late", [], sys.exc_info())
    yield b"never seen"


@route
def exc_info_after_is_reraised(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"first "
    original = ValueError("late failure")
    try:
        try:
            raise original
        except ValueError:
            start_response("500 Late", [], sys.exc_info())
    except ValueError as failure:
        yield b"reraised" if failure is original else b"another"


@route
def twice_before(environ, start_response):
    start_response("200 OK", [("X-First", "1")])
    start_response("404 Second", [("X-Second", "2")])
    return [b"replaced"]


@route
def twice_after(environ, start_response):
    start_response("200 OK", [])
    yield b"first "
    try:
        start_response("404 Second", [])
    except RuntimeError as failure:
        yield b"RuntimeError: " + str(failure).encode()


KEPT = []


@route
def keep(environ, start_response):
    KEPT[:] = [start_response]
    return text(start_response, "kept")


@route
def use_kept(environ, start_response):
    try:
        KEPT[0]("200 OK", [])
    except RuntimeError as failure:
        return text(start_response, "RuntimeError")
    return text(start_response, "accepted")


@route
def committed_by_write(environ, start_response):
    write = start_response("200 OK", [])
    write(b"")
    try:
        start_response("404 Second", [])
    except RuntimeError:
        return [b"committed"]
    return [b"not committed"]


@route
def empty_block_does_not_commit(environ, start_response):
    start_response("200 OK", [])
    yield b""
    start_response("404 Second", [])
    yield b"replaced"


@route
def module_version(environ, start_response):
    return text(start_response, repr(mod_wsgi.version))
