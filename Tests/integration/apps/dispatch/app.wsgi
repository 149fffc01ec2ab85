"""Answers with where it runs, and with what the dispatch script of this process saw."""
import json
import sys


def answer(name):
    def run(environ, start_response):
        shown = {key: value for key, value in environ.items() if isinstance(value, str)}
        body = json.dumps({"callable": name, "process": environ["mod_wsgi.process_group"], "environ": shown,
                           "application": environ["mod_wsgi.application_group"],
                           "seen": getattr(sys, "dispatch_seen", None)}).encode("ascii")
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]
    return run


application, other, handle_request = answer("application"), answer("other"), answer("handle_request")
number = 5
