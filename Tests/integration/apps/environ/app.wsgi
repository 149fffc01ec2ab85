"""Answers with its environ as JSON: every value as [type name, text]."""
import json
import threading

from routes import sentinel


def application(environ, start_response):
    if environ["PATH_INFO"] == "/sentinel":
        return sentinel(environ, start_response)
    shown = {key: [type(value).__name__, value if isinstance(value, str) else repr(value)] for key, value in environ.items()}
    shown["test.types"] = ["str", ",".join(sorted({type(key).__name__ for key in environ}))]
    shown["test.dict"] = ["str", type(environ).__name__]
    shown["test.environ_kept"] = ["str", str(len(KEPT))]
    KEPT.append(threading.get_ident())
    body = json.dumps(shown).encode("ascii")
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body))),
                              ("X-Method", environ["REQUEST_METHOD"])])
    return [body]


KEPT = []


def other(environ, start_response):
    environ["test.other"] = "other"
    return application(environ, start_response)
