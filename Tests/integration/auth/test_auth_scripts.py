"""Authentication, authorization, access and dispatch by functions of Python scripts, whatever process runs the application."""
import base64
import json
import subprocess

import pytest

from httpd_env import MODES, Httpd

MODULES = ["authn_core", "auth_basic", "auth_digest", "authz_host", "authz_user"]
SCRIPTS = {"auth": "auth.py", "empty": "empty.py", "broken": "broken.py", "gone": "gone.py"}


def location(path, *lines):
    return "\n".join(["<Location %s>" % path, *lines, "</Location>"])


def configuration(mode):
    lines = ["WSGIScriptAlias / {apps}/app.wsgi", "WSGIScriptAlias /x {apps}/app.wsgi"]
    if mode == "daemon":
        lines += ["WSGIDaemonProcess site threads=4", "WSGIProcessGroup site", "WSGISocketPrefix {root}/wsgi",
                  "WSGIRestrictEmbedded On"]
    for name, script in SCRIPTS.items():
        basic = ["AuthType Basic", "AuthName here", "AuthBasicProvider wsgi", "WSGIAuthUserScript {apps}/" + script]
        lines += [
            location("/basic-" + name, *basic, "Require valid-user"),
            location("/digest-" + name, "AuthType Digest", "AuthName here", "AuthDigestProvider wsgi",
                     "WSGIAuthUserScript {apps}/%s application-group=auth" % script, "Require valid-user"),
            location("/access-" + name, "WSGIAccessScript {apps}/" + script),
            location("/dispatch-" + name, "WSGIDispatchScript {apps}/" + script),
            location("/group-" + name, "AuthType Basic", "AuthName here", "AuthBasicProvider wsgi",
                     "WSGIAuthUserScript {apps}/everyone.py", "WSGIAuthGroupScript {apps}/" + script,
                     "Require wsgi-group staff admins"),
        ]
    lines += [location("/dispatch", "WSGIDispatchScript {apps}/dispatch.py"),
              location("/basic-none", "AuthType Basic", "AuthName here", "AuthBasicProvider wsgi", "Require valid-user")]
    return "\n".join(lines)


@pytest.fixture(scope="module", params=MODES)
def server(request):
    server = Httpd(configuration(request.param), apps="auth", modules=MODULES, name="auth")
    with open(server.apps + "/everyone.py", "w") as script:
        script.write("def check_password(environ, user, password): return True\n")
    with server:
        yield server


def basic(server, path, user, password="x"):
    word = base64.b64encode(("%s:%s" % (user, password)).encode()).decode()
    return server.get(path, [("Authorization", "Basic " + word)])


# MARK: authentication

@pytest.mark.parametrize("user,password,status,number", [
    ("someone", "secret", 200, None), ("someone", "wrong", 401, None), ("false", "x", 401, None), ("none", "x", 401, None),
    ("empty", "x", 500, "WSGI0176"), ("one", "x", 500, "WSGI0177"), ("raise", "x", 500, "check_password on purpose"),
])
def test_basic_authentication(server, user, password, status, number):
    mark = server.log.mark()
    answer = basic(server, "/basic-auth", user, password)
    assert answer.status == status
    if status == 200:
        assert json.loads(answer.body)[0] == user
    if number:
        server.log.wait_for(number, mark)


def test_a_script_may_rename_the_user(server):
    name = json.loads(basic(server, "/basic-auth", "rename").body)[0]
    assert name.encode("latin-1").decode("utf-8") == "some\u00f6ne"


@pytest.mark.parametrize("script,number", [
    ("empty", "WSGI0043"), ("broken", "WSGI0105"), ("gone", "WSGI0105"), ("none", "WSGI0041")])
def test_authentication_that_cannot_be_asked(server, script, number):
    mark = server.log.mark()
    assert basic(server, "/basic-" + script, "someone", "secret").status == 500
    server.log.wait_for(number, mark)


def test_the_environ_of_auth_scripts(server):
    environ = json.loads(json.loads(basic(server, "/basic-auth?a=b", "environ").body)[0])
    assert environ["QUERY_STRING"] == "a=b" and environ["REQUEST_URI"] == "/basic-auth?a=b"
    assert environ["REMOTE_ADDR"] == "127.0.0.1" and environ["REQUEST_METHOD"] == "GET"
    assert environ["mod_wsgi.process_group"] == "" and environ["mod_wsgi.application_group"] == ""
    assert not {"HTTP_AUTHORIZATION", "REMOTE_USER", "AUTH_TYPE", "SCRIPT_FILENAME", "wsgi.input", "HTTP_PROXY"} & set(environ)


def test_the_functions_of_mod_ssl(server):
    assert json.loads(basic(server, "/basic-auth", "ssl").body)[0] == "0 None"
    basic(server, "/basic-auth", "environ")
    assert "expired" in json.loads(basic(server, "/basic-auth", "kept").body)[0]


@pytest.mark.parametrize("script,user,password,status", [
    ("auth", "someone", "secret", 200), ("auth", "someone", "wrong", 401), ("auth", "none", "secret", 401),
    ("auth", "empty", "secret", 500), ("auth", "number", "secret", 500), ("empty", "someone", "secret", 500),
    ("broken", "someone", "secret", 500),
])
def test_digest_authentication(server, script, user, password, status):
    done = subprocess.run(
        ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--digest", "-u", "%s:%s" % (user, password),
         "http://127.0.0.1:%d/digest-%s" % (server.port, script)], capture_output=True, text=True, timeout=60)
    assert int(done.stdout) == status


# MARK: authorization

@pytest.mark.parametrize("user,status,number", [
    ("staff", 200, None), ("bytes", 200, None), ("nobody", 401, "WSGI0059"), ("other", 401, "WSGI0060"),
    ("number", 401, "WSGI0050"), ("wide", 401, "WSGI00(49|50)"), ("none", 401, "WSGI0051"), ("text", 401, "WSGI0060"),
    ("raise", 401, "groups_for_user on purpose"), ("late", 200, None),
])
def test_groups(server, user, status, number):
    mark = server.log.mark()
    assert basic(server, "/group-auth", user).status == status
    if number:
        server.log.wait_for(number, mark)


@pytest.mark.parametrize("script,number", [("empty", "WSGI0052"), ("broken", "WSGI0105")])
def test_groups_that_cannot_be_asked(server, script, number):
    mark = server.log.mark_before(number)
    assert basic(server, "/group-" + script, "staff").status == 401
    server.log.wait_for(number, mark)


# MARK: access

@pytest.mark.parametrize("query,status,number", [
    ("true", 200, None), ("none", 200, None), ("host", 200, None), ("false", 403, "WSGI0057"), ("one", 403, "WSGI0055"),
    ("raise", 403, "allow_access on purpose"),
])
def test_access(server, query, status, number):
    mark = server.log.mark()
    assert server.get("/access-auth?" + query).status == status
    if number:
        server.log.wait_for(number, mark)


@pytest.mark.parametrize("script,number", [("empty", "WSGI0056"), ("broken", "WSGI0105")])
def test_access_that_cannot_be_asked(server, script, number):
    mark = server.log.mark_before(number)
    assert server.get("/access-" + script).status == 403
    server.log.wait_for(number, mark)


# MARK: dispatch

def test_a_dispatch_script_chooses(server):
    def answer(query):
        return json.loads(server.get("/dispatch?" + query).body)[1:]
    plain = answer("")
    assert plain[1] == "application"
    assert answer("named") == answer("bytes") == ["chosen", "application"]
    assert answer("server")[0] == "localhost"
    assert answer("callable") == [plain[0], "other"]


@pytest.mark.parametrize("query", ["raise", "number", "wide"])
def test_a_dispatch_script_that_fails(server, query):
    assert server.get("/dispatch?" + query).status == 500


@pytest.mark.parametrize("script", ["empty", "broken", "gone"])
def test_a_dispatch_script_that_says_nothing(server, script):
    assert server.get("/dispatch-" + script).status == 200
