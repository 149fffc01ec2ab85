"""Monitoring agents that wrap applications: they see the end of a response, `close()`, and exceptions."""
import json

import pytest

from httpd_env import Httpd, MODES, virtual_environment, wait_until


@pytest.fixture(scope="module", params=MODES)
def server(request):
    home = virtual_environment()
    if request.param == "daemon":
        conf = ["WSGIDaemonProcess site threads=4 python-home=" + home,
                "WSGIScriptAlias / {apps}/agents.wsgi process-group=site application-group=%{GLOBAL}"]
    else:
        conf = ["WSGIPythonHome " + home, "WSGIScriptAlias / {apps}/agents.wsgi application-group=%{GLOBAL}"]
    with Httpd("\n".join(conf), apps="observe", name="agents") as server:
        yield server


def ask(server, path):
    return json.loads(server.get(path).text)


def test_opentelemetry(server):
    assert server.get("/traced/fine").body == b"one,two"
    # A span ends with close().
    wait_until(lambda: "/traced/fine" in ask(server, "/closed"), "close()")
    assert server.get("/traced/fail").status == 500
    wait_until(lambda: len(ask(server, "/spans")) == 2, lambda: ask(server, "/spans"))
    fine, failed = ask(server, "/spans")
    assert fine["ended"] and failed["ended"]
    assert fine["attributes"]["http.target"] == "/traced/fine" and fine["attributes"]["http.status_code"] == "200"
    assert fine["attributes"]["http.method"] == "GET" and fine["status"] == "UNSET"
    assert failed["status"] == "ERROR"


def test_sentry(server):
    assert server.get("/watched/fine").body == b"one,two"
    wait_until(lambda: "/watched/fine" in ask(server, "/closed"), "close()")
    assert server.get("/watched/fail").status == 500
    wait_until(lambda: len(ask(server, "/events")) == 3, lambda: ask(server, "/events"))
    events = ask(server, "/events")
    assert [event["exceptions"] for event in events if event["type"] == "error"] == [["seen by agents"]]
    assert len([event for event in events if event["type"] == "transaction"]) == 2


def test_the_package_of_the_same_name(server):
    """A package `mod_wsgi` may be installed beside: its directory is part of the built-in module's path."""
    assert ask(server, "/package") == [[6, 1, 1], "WSGI"]
