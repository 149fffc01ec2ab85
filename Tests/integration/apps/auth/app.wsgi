"""Tells who was let in, and which objects answer."""
import json


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps([environ.get("REMOTE_USER"), environ["mod_wsgi.application_group"],
                        environ["mod_wsgi.callable_object"]]).encode()]


other = application
