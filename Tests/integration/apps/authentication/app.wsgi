"""Answers with the strings of its environ, and with what the auth scripts of this process noted, as JSON."""
import json
import sys


def application(environ, start_response):
    shown = {key: value for key, value in environ.items() if isinstance(value, str)}
    body = json.dumps({"environ": shown, "seen": getattr(sys, "auth_seen", {})}).encode("ascii")
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
