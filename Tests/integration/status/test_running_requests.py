"""What the status page tells of requests in flight, of the last minutes, and of a group's Python."""
import json
import os
import re
import time

import pytest

from httpd_env import MODES, REFERENCE, Httpd, wait_until

pytestmark = pytest.mark.skipif(REFERENCE, reason="mod_wsgi 6.1.1 has no such page")

PAGE = "<Location /wsgi-status>\nSetHandler wsgi-status\nRequire local\n</Location>\n"
HOSTS = """
WSGIScriptAlias /embedded {apps}/app.wsgi application-group=%{GLOBAL}
DAEMON
<VirtualHost *>
ServerName quiet
</VirtualHost>
<VirtualHost *>
ServerName open
WSGIStatusPaths On
</VirtualHost>
"""
DAEMON = """
WSGIDaemonProcess site processes=1 threads=4 python-path={lib}
WSGIScriptAlias /daemon {apps}/app.wsgi process-group=site application-group=%{GLOBAL}
"""
NAMES = {"daemon": "site", "embedded": "%25%7BGLOBAL%7D"}


@pytest.fixture(scope="module")
def server():
    conf = PAGE + HOSTS.replace("DAEMON", DAEMON if "daemon" in MODES else "")
    with Httpd(conf, apps="status", name="running", threads=32, modules=["authz_host"]) as running:
        yield running


def group(server, mode):
    found, = json.loads(server.get("/wsgi-status?json&group=" + NAMES[mode]).text)["groups"]
    return found


class Held:
    """A request that runs until it is let go."""

    def __init__(self, server, mode, host, path="", method="GET", query=""):
        self.gate = server.unused_path("open")
        self.method = method
        self.client = server.client()
        self.client.send(b"%s /%s/wait_for%s?file=%s%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % (
            method.encode(), mode.encode(), path.encode("latin-1"), self.gate.encode(), query.encode(), host.encode()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        open(self.gate, "w").close()
        self.client.read_response(self.method)
        self.client.close()


def running(server, mode, count=1):
    def seen():
        found = group(server, mode)["running"]
        # Until a process has taken it, a request waits.
        return found if len(found) == count and all(one["method"] and one["state"] == "running" for one in found) else None
    return wait_until(seen, lambda: group(server, mode))


def at_rest(server, mode):
    wait_until(lambda: group(server, mode)["requests_in_flight"] == 0, lambda: group(server, mode))


def test_paths_are_withheld_unless_the_virtual_host_shows_them(server, mode):
    at_rest(server, mode)
    with Held(server, mode, "quiet", "", query="&token=SECRET"):
        one, = running(server, mode)
        assert (one["method"], one["path"], one["state"]) == ("GET", None, "running") and one["age"] >= 0
        page = server.get("/wsgi-status?group=" + NAMES[mode]).text
        assert "path withheld" in page and "/wait_for" not in page
        with Held(server, mode, "open", "", "DELETE", query="&token=SECRET"):
            both = running(server, mode, 2)
            assert [one["path"] for one in both] == [None, "/%s/wait_for" % mode]
            assert [one["method"] for one in both] == ["GET", "DELETE"]
            page = server.get("/wsgi-status?group=" + NAMES[mode])
            assert "DELETE /%s/wait_for<" % mode in page.text
            assert "SECRET" not in page.text + server.get("/wsgi-status?json").text
    at_rest(server, mode)


def test_clients_write_paths_and_methods_as_they_like(server, mode):
    at_rest(server, mode)
    path = "/%3Cscript%3Ealert(1)%3C/script%3E/%22%27%26%ff%fe%1b%0d%0a%e2%80%ae" + "/long" * 400
    with Held(server, mode, "open", path, "GET"):
        one, = running(server, mode)
        assert one["path"].startswith("/%s/wait_for/<script>alert(1)</script>/\"'&\ufffd\ufffd\x1b\r\n\u202e/long" % mode)
        assert one["path"].endswith("…") and len(one["path"].encode()) < 260
        page = server.get("/wsgi-status?group=" + NAMES[mode]).text
        assert "<script" not in page and "&lt;script&gt;alert(1)&lt;/script&gt;/&quot;&#39;&amp;" in page
        assert "\x1b" not in page and "\r" not in page
    at_rest(server, mode)


def test_what_ends_is_in_the_last_minutes(server, mode):
    before = group(server, mode)["requests"]["total"]
    for _ in range(30):
        assert server.get("/%s/pid" % mode).status == 200
    assert server.get("/%s/raise_error" % mode).status == 500

    def seen():
        one = group(server, mode)
        # The interval that is not over is left out.
        minute = one["last_minute"]
        return one if one["requests"]["total"] >= before + 31 and minute["requests"] >= 31 and minute["failed"] else None
    one = wait_until(seen, lambda: group(server, mode)["last_minute"])
    assert one["last_minute"]["mean"] > 0
    page = server.get("/wsgi-status?group=" + NAMES[mode]).text
    assert page.count("<svg ") == 2 and 'class="failed"' in page


def test_python_user_and_processor(server, mode):
    assert server.get("/%s/pid" % mode).status == 200
    one = wait_until(lambda: (lambda one: one if one["python"] and one["last_load"] else None)(group(server, mode)),
                     lambda: group(server, mode))
    assert re.fullmatch(r"3\.\d+\.\d+", one["python"])
    assert one["user"] and one["last_load"]["outcome"] == "loaded" and one["last_load"]["time"] <= time.time() + 1
    process = one["processes"][0]
    assert process["cpu_time"] >= 0
    wait_until(lambda: group(server, mode)["processes"][0]["cpu"] is not None, "two looks at a process")
    metrics = server.get("/wsgi-status?openmetrics").text
    assert re.search(r'wsgi_python_info\{group="[^"]*",version="%s"\} 1\n' % re.escape(one["python"]), metrics)
    assert re.search(r'wsgi_process_cpu_seconds_total\{group="[^"]*",pid="%d"\} [\d.]+\n' % process["pid"], metrics)
    assert 'wsgi_group_state{group="%s",state="serving"} 1\n' % ("site" if mode == "daemon" else "") in metrics


def test_a_failed_load_in_embedded_mode():
    conf = PAGE + "WSGIScriptAlias / {root}/site.wsgi\n"
    with Httpd(conf, name="embedded", threads=16, modules=["authz_host"]) as server:
        script = os.path.join(server.root, "site.wsgi")
        with open(script, "w") as file:
            file.write("import no_such_module_anywhere\n")
        assert server.get("/page").status == 500
        one = group(server, "embedded")
        assert one["last_load"]["outcome"] == "failed"
        assert one["last_load"]["text"] == (
            "%s: ModuleNotFoundError(\"No module named 'no_such_module_anywhere'\")" % script)
        assert server.get("/wsgi-status?ready=").status == 503


def test_a_group_alone_and_one_that_there_is_not(server, mode):
    page = server.get("/wsgi-status?group=" + NAMES[mode])
    assert page.status == 200 and page.text.count("<section") == 1 and "all groups" in page.text
    assert server.get("/wsgi-status?group=%3Cb%3E").status == 404
    assert "<b>" not in server.get("/wsgi-status?group=%3Cb%3E").text
