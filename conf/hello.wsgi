"""The sample application that `make run` serves: it says what it runs on."""
import html
import os
import sys
import threading
import time

STARTED = time.time()
PAGE = """<!doctype html><meta charset="utf-8"><title>It works</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:50em;margin:3em auto;padding:0 1em}}
td,th{{text-align:left;padding:.15em 1em .15em 0;vertical-align:top}}td{{font-family:ui-monospace,monospace}}</style>
<h1>It works</h1>
<p>This page comes from a Python application, <code>{script}</code>, in Apache httpd. Change that file, and the
next request is answered by the new code.</p>
<table>{rows}</table>
"""


def application(environ, start_response):
    facts = [
        ("Python", sys.version.split()[0] + " at " + sys.prefix),
        ("mod_wsgi", ".".join(map(str, environ["mod_wsgi.version"]))),
        ("Apache", environ["SERVER_SOFTWARE"]),
        ("Process group", environ["mod_wsgi.process_group"] or "none: embedded in httpd"),
        ("Application group", environ["mod_wsgi.application_group"] or "the main interpreter"),
        ("Process, thread", "%d, %s" % (os.getpid(), threading.current_thread().name)),
        ("Loaded", "%.0f seconds ago" % (time.time() - STARTED)),
        ("Request", "%(REQUEST_METHOD)s %(REQUEST_URI)s %(SERVER_PROTOCOL)s" % environ),
    ]
    rows = "".join("<tr><th>%s<td>%s" % (name, html.escape(value)) for name, value in facts)
    body = PAGE.format(script=html.escape(__file__), rows=rows).encode("utf-8")
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]
