"""`?ready=GROUP`: what a load balancer or an orchestrator is told of a group."""
import os
import urllib.parse

import pytest

from httpd_env import MODES, REFERENCE, Httpd, wait_until

pytestmark = pytest.mark.skipif(REFERENCE, reason="mod_wsgi 6.1.1 has no such page")

PAGE = "<Location /wsgi-status>\nSetHandler wsgi-status\nRequire local\n</Location>\n"
GROUPS = """
WSGIDaemonProcess site processes=2 threads=2 python-path={lib}
WSGIDaemonProcess small processes=1 threads=1 python-path={lib}
WSGIDaemonProcess asleep processes=0-1 python-path={lib}
WSGIDaemonProcess nowhere python-home=/nonexistent
WSGIDaemonProcess service threads=0
WSGIDaemonProcess "a+b &<é>/100%" processes=0-1
WSGIDaemonTemplate tenants user=www-data key=%{ENV:TENANT} python-path={lib}
WSGIScriptAlias /daemon {apps}/app.wsgi process-group=site
WSGIScriptAlias /small {apps}/app.wsgi process-group=small application-group=%{GLOBAL}
WSGIScriptAlias /asleep {apps}/app.wsgi process-group=asleep
WSGIScriptAlias /nowhere {apps}/app.wsgi process-group=nowhere
WSGIScriptAlias /tenants {apps}/app.wsgi process-group=tenants
SetEnvIf Request_URI ^/tenants TENANT=alice
"""
daemons = pytest.mark.skipif("daemon" not in MODES, reason="daemon mode is not tested here")


def ask(server, name, method="GET", page="/wsgi-status"):
    return server.request(method, "%s?ready=%s" % (page, urllib.parse.quote(name, safe="")))


def told(server, name):
    """The answer, as (status, line)."""
    answer = ask(server, name)
    assert answer.header("Content-Type") == "text/plain; charset=utf-8" and answer.header("Cache-Control") == "no-store"
    assert answer.text.endswith("\n") and answer.text.count("\n") == 1
    return answer.status, answer.text[:-1]


def becomes(server, name, expected):
    return wait_until(lambda: told(server, name) == expected, lambda: "%r: %r" % (name, told(server, name)))


@pytest.fixture(scope="module")
def server():
    conf = "WSGIScriptAlias /embedded {apps}/app.wsgi application-group=%{GLOBAL}\n" + PAGE
    with Httpd(conf + (GROUPS if "daemon" in MODES else ""), apps="status", name="probes", threads=16,
               modules=["authz_host", "setenvif"]) as running:
        running.expected_crashes = True
        yield running


@daemons
def test_a_group_that_takes_requests_is_ready(server):
    becomes(server, "site", (200, "ready"))


@daemons
def test_a_group_that_sleeps_is_ready(server):
    assert told(server, "asleep") == (200, "ready")
    assert server.get("/asleep/pid").status == 200
    becomes(server, "asleep", (200, "ready"))


@daemons
def test_names_are_percent_encoded(server):
    assert told(server, "a+b &<é>/100%") == (200, "ready")
    assert server.get("/wsgi-status?ready=a+b%20%26<%C3%a9>/100%").status == 200


@daemons
def test_a_group_whose_processes_do_not_start_is_not_ready(server):
    becomes(server, "nowhere", (503, "not ready: no process takes requests"))


@daemons
def test_a_saturated_group_is_ready(server):
    assert server.get("/small/pid").status == 200
    gate = server.unused_path("open")
    with server.client() as one, server.client() as other:
        for client in one, other:
            client.send(client.head("GET", "/small/wait_for?file=" + gate))
        wait_until(lambda: '"state":"saturated"' in server.get("/wsgi-status?json&group=small").text, "saturation")
        assert told(server, "small") == (200, "ready")
        open(gate, "w").close()
        assert one.read_response("GET").status == other.read_response("GET").status == 200


@daemons
def test_templates_and_their_groups(server):
    assert told(server, "tenants") == (200, "ready")
    assert told(server, "tenants/alice") == (404, "unknown process group")
    assert server.get("/tenants/pid").status == 200
    becomes(server, "tenants/alice", (200, "ready"))


@daemons
def test_a_service_without_a_script_ends_no_probe(server):
    assert told(server, "service")[0] in (200, 503)


@pytest.mark.parametrize("name", ["", "%{GLOBAL}"])
def test_embedded_mode(server, name):
    assert told(server, name) == (200, "ready")


@pytest.mark.parametrize("name", ["nothing", "site/", "SITE", "embedded", "\0", "\xff", "é" * 800, "<script>", "\r\nX: y"])
def test_others_are_unknown(server, name):
    assert told(server, name) == (404, "unknown process group")


def test_head_and_other_methods(server):
    for name, status in ("", 200), ("nothing", 404):
        answer = ask(server, name, "HEAD")
        assert answer.status == status and answer.body == b""
        assert answer.header("Content-Type") == "text/plain; charset=utf-8"
    assert ask(server, "", "POST").status == 405


def test_the_requirement_of_the_page_is_that_of_probes():
    conf = PAGE + "".join("<Location /%s>\nSetHandler wsgi-status\n%s\n</Location>\n" % place for place in (
        ("denied", "Require all denied"), ("without", ""), ("others", "Require ip 192.0.2.1")))
    with Httpd(conf + "WSGIRestrictEmbedded On\n", name="guarded", modules=["authz_host"]) as server:
        for page in "denied", "without", "others":
            for name in "", "nothing":
                assert ask(server, name, page="/" + page).status == 403
        # Nothing can run in embedded mode.
        assert told(server, "") == (404, "unknown process group")


@daemons
@pytest.mark.parametrize("reload", ["restart", "rolling"])
def test_a_script_that_does_not_load(reload):
    """The group is not ready, unless it has code from before."""
    conf = PAGE + ("WSGIDaemonProcess site processes=1 threads=2 reload=%s\n"
                   "WSGIScriptAlias / {root}/site.wsgi process-group=site\n" % reload)
    with Httpd(conf, name="loads", threads=16, modules=["authz_host"]) as server:
        script = os.path.join(server.root, "site.wsgi")

        def write(text):
            with open(script + ".new", "w") as file:
                file.write(text)
            os.replace(script + ".new", script)
        write("def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'old']\n")
        wait_until(lambda: server.get("/page").text == "old", "the first code")
        becomes(server, "site", (200, "ready"))
        write("raise ValueError('<b>broken & \\'quoted\\'')\n")
        if reload == "rolling":
            wait_until(lambda: (server.get("/page").status, '"outcome":"kept"' in server.get("/wsgi-status?json").text)
                       == (200, True), lambda: server.get("/wsgi-status?json").text)
            assert told(server, "site") == (200, "ready")
        else:
            wait_until(lambda: server.get("/page").status == 500, "the new code")
            becomes(server, "site", (503, "not ready: its script does not load"))
        page = server.get("/wsgi-status").text
        assert "ValueError(" in page and "&lt;b&gt;broken &amp; " in page and "<b>broken" not in page
        assert '<section class="bad">' in page
        write("def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'new']\n")
        wait_until(lambda: server.get("/page").text == "new", "the mended code")
        becomes(server, "site", (200, "ready"))
        assert "does not load" not in server.get("/wsgi-status").text
