"""A handler script: it serves resources that are not scripts themselves."""
import os

import mod_wsgi
from routes import text

LOADS = []
CHANGED = set()


def handle_request(environ, start_response):
    if environ["QUERY_STRING"] == "change":
        CHANGED.add(environ["SCRIPT_FILENAME"])
    keys = ("SCRIPT_NAME", "PATH_INFO", "SCRIPT_FILENAME", "HTTP_AUTHORIZATION", "mod_wsgi.handler_script",
            "mod_wsgi.request_handler", "mod_wsgi.callable_object", "mod_wsgi.process_group", "mod_wsgi.application_group")
    return text(start_response, repr(dict({key: environ.get(key) for key in keys}, module=id(LOADS), pid=os.getpid(),
                                          exists=os.path.exists(environ["SCRIPT_FILENAME"]))))


def reload_required(resource):
    if resource.endswith(".broken"):
        raise RuntimeError("no idea whether %s has changed" % os.path.basename(resource))
    return resource in CHANGED


def application(environ, start_response):
    return text(start_response, "not the entry point")
