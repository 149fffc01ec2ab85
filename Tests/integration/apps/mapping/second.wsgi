"""Says how it was reached."""
import json


def application(environ, start_response):
    shown = {key: environ.get(key) for key in ("SCRIPT_NAME", "PATH_INFO", "SCRIPT_FILENAME", "mod_wsgi.request_handler",
                                               "mod_wsgi.callable_object", "mod_wsgi.application_group", "QUERY_STRING")}
    shown["callable"] = "application"
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(shown).encode()]


def own(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"callable": "own"}).encode()]
