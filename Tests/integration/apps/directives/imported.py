"""Loaded when a process starts."""
import os

import mod_wsgi

COUNT = []


def application(environ, start_response):
    COUNT.append(1)
    start_response("200 OK", [])
    return [repr((__name__, os.getpid(), len(COUNT), mod_wsgi.process_group, mod_wsgi.application_group)).encode()]


with open(os.path.join(os.path.dirname(__file__), "imports"), "a") as journal:
    journal.write("%s|%s|%d\n" % (mod_wsgi.process_group, mod_wsgi.application_group, os.getpid()))
