"""What clients send names no interpreter: hosts, ports and variables, and how many of them come into being."""
import re

import pytest

from httpd_env import Httpd, run_together

SCRIPT = """
import mod_wsgi, sys
def application(environ, start_response):
    start_response('200 OK', [])
    return [mod_wsgi.application_group.encode()]
"""
GROUPS = {"embedded": "", "daemon": "WSGIDaemonProcess site threads=8 queue-limit=100\nWSGIProcessGroup site\n"}


@pytest.fixture
def make():
    made = []

    def make(mode, conf, **more):
        server = Httpd(name="names", processes=1, **more)
        with open(server.apps + "/app.wsgi", "w") as script:
            script.write(SCRIPT)
        for name in ("one", "two", "three"):
            with open(server.apps + "/%s.wsgi" % name, "w") as script:
                script.write(SCRIPT)
        server.configure(GROUPS[mode] + conf)
        made.append(server)
        return server.__enter__()
    yield make
    for server in made:
        server.__exit__(None, None, None)


def name(server, path="/", *headers):
    answer = server.get(path, list(headers))
    assert answer.status == 200, (answer, server.log.text()[-2000:])
    return answer.text


def host(text):
    return ("Host", text)


@pytest.mark.difference("the port of a name is the client's there")
def test_the_port_of_a_name_is_not_the_clients(make, mode):
    server = make(mode, "WSGIScriptAlias / {apps}/app.wsgi\n")
    ports = ["x:1", "x:2", "y:65535", "localhost:80", "x:%d" % server.port]
    assert {name(server, "/x", host(text)) for text in ports} == {"localhost:%d|" % server.port}
    assert name(server, "/x", host("x")) == "localhost|"
    assert len(server.log.wait_for("Loading WSGI script", count=2)) == len(server.log.lines("Loading WSGI script")) == 2


@pytest.mark.difference("the port of a name is the client's there")
@pytest.mark.parametrize("lines, expected", [
    ("ServerName shop.example:1234", "shop.example:1234|"), ("UseCanonicalPhysicalPort On", "localhost:{port}|"),
    ("UseCanonicalName On", "localhost|"), ("ServerName shop.example:1234\nUseCanonicalName On", "shop.example:1234|"),
    ("<VirtualHost 127.0.0.1:{port}>\nServerName a.example\nWSGIScriptAlias / {apps}/app.wsgi\n</VirtualHost>",
     "a.example:{port}|")])
def test_it_is_that_of_the_configuration_or_of_the_listener(make, mode, lines, expected):
    server = make(mode, lines + "\nWSGIScriptAlias / {apps}/app.wsgi\n")
    wanted = {expected.replace("{port}", str(server.port))}
    assert {name(server, "/x", host(text)) for text in ("a.example:1", "a.example:443", "b:%d" % server.port)} == wanted


@pytest.mark.difference("hosts are taken as clients spell them there")
@pytest.mark.parametrize("group", ["%{HOST}", "%{ENV:HOST_NAME}", "%{ENV:GROUP}"])
def test_a_host_has_one_name(make, mode, group):
    conf = ("WSGIScriptAlias / {apps}/app.wsgi\nWSGIApplicationGroup %s\nSetEnvIf Host (.*) HOST_NAME=$1\n"
            "SetEnvIf X-Host (.*) GROUP=$1\n" % group)
    server = make(mode, conf, modules=["setenvif"] if "setenvif" not in Httpd.BASE_MODULES else [])
    spellings = ["shop.example.com", "SHOP.example.com", "shop.example.com.", "shop.example.com:80", "Shop.Example.Com:8443"]
    assert {name(server, "/", host(text), ("X-Host", text)) for text in spellings} == {"shop.example.com"}


def test_a_name_that_the_configuration_fixes_is_taken_as_it_is(make, mode):
    conf = ("WSGIScriptAlias / {apps}/app.wsgi\nSetEnvIf X-Group (.+) GROUP=$1\n<Location />\nWSGIApplicationGroup %{ENV:GROUP}\n"
            "</Location>\n<Location /fixed>\nWSGIApplicationGroup Fixed.Name:80\n</Location>\nWSGIMaxInterpreters 1\n")
    server = make(mode, conf)
    assert name(server, "/", ("X-Group", "Fixed.Name:80")) == "Fixed.Name:80"
    assert name(server, "/fixed") == "Fixed.Name:80"
    # Nothing in the configuration is called so.
    assert name(server, "/", ("X-Group", "Other.Name:80")) == "other.name"
    assert server.get("/", [("X-Group", "third")]).status == 503


LIMIT = """
WSGIMaxInterpreters 3
WSGIScriptAlias /host {apps}/app.wsgi
WSGIScriptAlias /variable {apps}/app.wsgi application-group=%{ENV:GROUP}
WSGIScriptAliasMatch ^/any/([^/]+) {apps}/app.wsgi
WSGIScriptAlias /scripts/ {apps}/
WSGIScriptAlias /a {apps}/app.wsgi
WSGIScriptAlias /b {apps}/app.wsgi
WSGIScriptAlias /c//c {apps}/app.wsgi
WSGIScriptAlias /d {apps}/app.wsgi application-group=fixed
WSGIScriptAlias /e {apps}/app.wsgi application-group=%{GLOBAL}
SetEnvIf X-Group (.+) GROUP=$1
<Location /host>
WSGIApplicationGroup %{HOST}
</Location>
<VirtualHost 127.0.0.1:1>
ServerName known.example.com
ServerAlias also.example.com
</VirtualHost>
"""


@pytest.mark.difference("there is no limit there")
@pytest.mark.parametrize("way", ["host", "variable", "any", "scripts"])
def test_only_so_many_come_into_being(make, mode, way):
    server = make(mode, LIMIT)
    ask = {"host": lambda index: server.get("/host", [host("h%d.example.com" % index)]),
           "variable": lambda index: server.get("/variable", [("X-Group", "v%d" % index)]),
           "any": lambda index: server.get("/any/%d" % index),
           "scripts": lambda index: server.get("/scripts/%s.wsgi" % ("app", "one", "two", "three")[index % 4])}[way]
    mark = server.log.mark()
    count = 4 if way == "scripts" else 20
    answers = [ask(index) for index in range(count)]
    assert [answer.status for answer in answers] == [200] * 3 + [503] * (count - 3), answers
    line = server.log.wait_for("WSGI0621", mark)[0]
    assert "3 whose names come from requests" in line and "WSGIMaxInterpreters" in line, line
    # Those that are there go on.
    assert [ask(index).status for index in range(3)] == [200] * 3
    # What the configuration fixes is not counted.
    fixed = {path: name(server, path, host("localhost")) for path in ("/a", "/a/x", "/b", "/c/c", "/c//c/y", "/d", "/e")}
    assert fixed == {"/a": "localhost|/a", "/a/x": "localhost|/a", "/b": "localhost|/b", "/c/c": "localhost|/c/c",
                     "/c//c/y": "localhost|/c/c", "/d": "fixed", "/e": ""}
    for known in ("known.example.com", "ALSO.example.com:8080", "localhost"):
        assert name(server, "/host", host(known)) == re.sub(":.*", "", known.lower())


@pytest.mark.difference("there is no limit there")
def test_the_limit_holds_when_many_ask_at_once(make, mode):
    server = make(mode, LIMIT, threads=32)
    statuses = run_together(16, lambda index: server.get("/variable", [("X-Group", "v%d" % index)]).status)
    assert sorted(statuses) == [200] * 3 + [503] * 13


@pytest.mark.difference("there is no limit there")
def test_the_limit_that_holds_by_itself(make, mode):
    server = make(mode, LIMIT.replace("WSGIMaxInterpreters 3\n", ""))
    with server.client() as client:
        for index in range(128):
            assert client.request("GET", "/variable", [("X-Group", "v%d" % index)]).status == 200
    assert [server.get("/variable", [("X-Group", "v%d" % index)]).status for index in (128, 129, 0, 127)] == [503, 503, 200, 200]


def test_a_script_of_an_auth_phase_is_limited_too(make, mode):
    conf = ("WSGIMaxInterpreters 2\nDocumentRoot {docs}\n<Location />\nWSGIAccessScript {apps}/access.py "
            "application-group=%{HOST}\n</Location>\n")
    server = make(mode, conf)
    with open(server.apps + "/access.py", "w") as script:
        script.write("def allow_access(environ, host):\n    return True\n")
    statuses = [server.get("/nothing", [host("h%d" % index)]).status for index in range(4)]
    assert statuses == [404, 404, 403, 403]
    assert server.log.lines("WSGI0621")
