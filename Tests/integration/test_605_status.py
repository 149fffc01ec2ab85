"""The status page: who may see it, what it tells, and that what it counts is what clients counted."""
import json
import os
import re
import shutil
import signal
import subprocess

import pytest

from httpd_env import MODES, Httpd, run_together, wait_until
from http_client import Client

PAGE = "<Location /wsgi-status>\nSetHandler wsgi-status\nRequire local\n</Location>\n"
CONF = "WSGIScriptAlias /embedded {apps}/app.wsgi application-group=%{GLOBAL}\n" + PAGE
if "daemon" in MODES:
    CONF += """
WSGIDaemonProcess site processes=2 threads=2 python-path={lib}
WSGIDaemonProcess small processes=1 threads=1 queue-limit=3 python-path={lib}
WSGIDaemonProcess crash processes=1 threads=2 python-path={lib}
WSGIDaemonProcess "<b>&\\"'x" processes=1 threads=1 python-path={lib}
WSGIScriptAlias /daemon {apps}/app.wsgi process-group=site application-group=%{GLOBAL}
WSGIScriptAlias /small {apps}/app.wsgi process-group=small application-group=%{GLOBAL}
WSGIScriptAlias /crash {apps}/app.wsgi process-group=crash application-group=%{GLOBAL}
"""
NAMES = {"daemon": "site", "embedded": ""}
CLASSES = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"]


def status(server, query="json"):
    answer = server.get("/wsgi-status" + ("?" + query if query else ""))
    assert answer.status == 200, answer
    return json.loads(answer.body) if query == "json" else answer


def group(server, name):
    found, = [one for one in status(server)["groups"] if one["name"] == name]
    return found


def growth(before, after):
    return {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}


def settled(server, name, total):
    """The group's figures once it has counted so many requests: the handler counts just after the client has its answer."""
    return wait_until(lambda: (lambda one: one if one["requests"]["total"] >= total else None)(group(server, name)),
                      lambda: "%d requests of %r: %r" % (total, name, group(server, name)))


@pytest.fixture(scope="module")
def server():
    with Httpd(CONF, apps="daemon", name="status", threads=32, modules=["authz_host"]) as running:
        running.expected_crashes = True
        yield running


def test_totals_are_those_of_the_clients(server, mode):
    before = group(server, NAMES[mode])
    answers = run_together(8, lambda _: [server.get("/%s/%s" % (mode, path)).status for path in ("pid", "pid", "nope")])
    statuses = [status for some in answers for status in some]
    assert sorted(set(statuses)) == [200, 404]
    after = settled(server, NAMES[mode], before["requests"]["total"] + 24)
    assert growth(before["requests"], after["requests"]) == {"total": 24, "2xx": 16, "4xx": 8}
    assert after["state"] == "serving" and after["requests_in_flight"] == 0
