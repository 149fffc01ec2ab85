"""What directives decide about an interpreter and a request."""
import os
import sys
import warnings

import mod_wsgi
from routes import Router, text

route = Router()
application = route.application


@route
def facts(environ, start_response):
    return text(start_response, repr({
        "path": sys.path, "interval": sys.getswitchinterval(), "flags": {name: getattr(sys.flags, name) for name in (
            "optimize", "dont_write_bytecode", "hash_randomization", "no_site", "utf8_mode")},
        "hash": hash("the same text"), "warnings": [(action, category.__name__) for action, _, category, *_ in warnings.filters[:3]], "options": sys.warnoptions, "prefix": sys.prefix,
        "eggs": os.environ.get("PYTHON_EGG_CACHE"), "seed": os.environ.get("PYTHONHASHSEED"), "debug": __debug__,
        "cached": getattr(sys.modules["routes"], "__cached__", None), "pid": os.getpid(), "loaded": LOADED,
        "process_group": mod_wsgi.process_group, "application_group": mod_wsgi.application_group}))


@route
def environ(environ, start_response):
    return text(start_response, repr({key: value for key, value in environ.items()
                                      if isinstance(value, (str, int, float, bool, tuple))}))


@route
def record(environ, start_response):
    return text(start_response, type(environ.get("apache.request_rec")).__name__)


@route
def echo(environ, start_response):
    body = environ["wsgi.input"].read()
    return text(start_response, "%s %d" % (environ["REQUEST_METHOD"], len(body)), headers=[("X-Method", environ["REQUEST_METHOD"])])


@route
def missing(environ, start_response):
    return text(start_response, "gone fishing", "404 Gone", [("X-Own", "kept")])


@route
def standard(environ, start_response):
    found = []
    for use in (lambda: sys.stdin.read(), lambda: sys.stdout.write("printed by an application\n")):
        try:
            found.append(repr(use()))
        except OSError as failure:
            found.append(str(failure))
    import signal
    before = signal.getsignal(signal.SIGUSR2)
    try:
        signal.signal(signal.SIGUSR2, lambda *_: None)
        found.append("registered" if signal.getsignal(signal.SIGUSR2) is not before else "ignored")
    except ValueError:
        found.append("not the main thread")
    return text(start_response, repr(found))


def other(environ, start_response):
    return text(start_response, "another callable")


LOADED = {name: os.environ.get(name) for name in ("LOADED_BY_IMPORT",)}
