"""What `wsgictl serve` adds to an application for those who work on it: --reload and --debug.

It is beside the server's configuration for as long as that server runs, and no part of any other.
"""
import html
import os
import sys
import threading
import time
import traceback
from importlib.machinery import SourceFileLoader

import mod_wsgi

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>%(title)s</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em}
pre{overflow:auto;padding:1em;background:#8882}</style>
<h1>%(title)s</h1><p>%(where)s</p><pre>%(text)s</pre>
<p>Python %(version)s, %(prefix)s. Only <code>wsgictl serve --debug</code> shows this page.</p></html>
"""

scripts = {}
times = {}


def run(path, name):
    """The application that a script defines."""
    scripts[path] = os.stat(path).st_mtime_ns
    with open(path, "rb") as source:
        code = compile(source.read(), path, "exec")
    names = {"__name__": "__wsgictl__", "__file__": path}
    exec(code, names)
    return names[name]


def load(find, debug=False, reload=False):
    """The application that `find` imports."""
    if reload and not times:
        times[__file__] = os.stat(__file__).st_mtime_ns
        note_times()
        threading.Thread(target=watch, name="wsgictl serve --reload", daemon=True).start()
    return Debugged(find) if debug else find()


# Reloading

def note_times():
    """Has Python tell the time of each source file that it is about to read: a later look at the file could be too late."""
    original = SourceFileLoader.path_stats

    def path_stats(self, path):
        found = original(self, path)
        times[os.path.abspath(path)] = int(found["mtime"] * 1e9)
        return found
    SourceFileLoader.path_stats = path_stats


def files():
    """The source files of the modules that are loaded, but for those of Python itself."""
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and path.endswith(".py"):
            yield os.path.abspath(path)


def changed():
    for path in set(files()) | set(scripts):
        try:
            now = os.stat(path).st_mtime_ns
        except OSError:
            continue
        before = scripts.get(path) or times.setdefault(path, now)
        # What Python tells is a floating-point number of seconds.
        if abs(now - before) > 1000:
            return path
    return None


def watch():
    while True:
        time.sleep(0.3)
        path = changed()
        if path and mod_wsgi.reload():
            print("wsgictl: %s has changed: the next request is answered by the new code" % path, file=sys.stderr)
            return


# Tracebacks

class Debugged:
    """An application whose exceptions are shown to the client."""

    def __init__(self, find):
        self.find = find
        self.application = None
        os.environ.setdefault("FLASK_DEBUG", "1")
        try:
            self.import_it()
        except Exception:
            traceback.print_exc()

    def import_it(self):
        self.application = self.find()
        let_exceptions_out(self.application)

    def __call__(self, environ, start_response):
        result = None
        try:
            if self.application is None:
                self.import_it()
            result = self.application(environ, start_response)
            yield from result
        except Exception as failure:
            traceback.print_exc(file=environ["wsgi.errors"])
            page = self.page(environ, failure)
            # Where the response has begun, this raises the exception once more, and the server ends the response.
            start_response("500 Internal Server Error", [("Content-Type", "text/html; charset=utf-8"),
                                                         ("Content-Length", str(len(page)))], sys.exc_info())
            yield page
        finally:
            if hasattr(result, "close"):
                result.close()

    def page(self, environ, failure):
        title = "".join(traceback.format_exception_only(type(failure), failure)).strip().splitlines()[-1]
        where = "The application could not be imported." if self.application is None else "%s %s" % (
            environ["REQUEST_METHOD"], environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""))
        return (PAGE % {
            "title": html.escape(title), "where": html.escape(where), "text": html.escape(traceback.format_exc()),
            "version": sys.version.split()[0], "prefix": html.escape(sys.prefix),
        }).encode("utf-8", "replace")


def let_exceptions_out(application):
    """Frameworks answer for an exception themselves, in few words, unless they are told not to."""
    config = getattr(application, "config", None)
    if isinstance(config, dict) and "PROPAGATE_EXCEPTIONS" in config:
        config["PROPAGATE_EXCEPTIONS"] = True
    if "django.conf" in sys.modules:
        settings = sys.modules["django.conf"].settings
        if settings.configured and not settings.DEBUG:
            settings.DEBUG_PROPAGATE_EXCEPTIONS = True
