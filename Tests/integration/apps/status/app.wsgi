"""Requests that end in every way that the status page tells apart."""
import ctypes
import os
import time

from routes import Router, text

route = Router()


@route
def pid(environ, start_response):
    return text(start_response, "%d" % os.getpid())


@route
def segfault(environ, start_response):
    ctypes.string_at(0)


@route
def raise_error(environ, start_response):
    raise ValueError("as asked")


@route
def short(environ, start_response):
    """Less than the Content-Length that it gives."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "100")])
    return [b"begun"]


@route
def wait_for(environ, start_response):
    """Answers when the file that the query names is there."""
    while not os.path.exists(environ["test.query"]["file"]):
        time.sleep(0.01)
    return text(start_response, "%d" % os.getpid())


application = route.application
