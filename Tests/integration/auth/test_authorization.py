"""`Require wsgi-group`: what groups_for_user answers, and what comes of it alone and among other requirements."""
import json
import os

import pytest

from credentials import DigestClient, basic
from httpd_env import REFERENCE, Httpd, run_together, stage_module

MODULES = ["authn_core", "auth_basic", "auth_digest", "authz_user", "authz_host"]

PLACE = """
WSGIScriptAlias /%s {apps}/app.wsgi
<Location /%s>
AuthType Basic
AuthName realm
AuthBasicProvider wsgi
WSGIAuthUserScript {apps}/everyone.py
WSGIAuthGroupScript {apps}/%s
%s
</Location>
"""


def place(name, require, script="groups.py"):
    return PLACE % (name, name, script, require)


COMBINATIONS = {
    "any": "<RequireAny>\nRequire wsgi-group staff\nRequire user boss\n</RequireAny>",
    "all": "<RequireAll>\nRequire wsgi-group staff\nRequire wsgi-group admins\n</RequireAll>",
    "not": "<RequireAll>\nRequire valid-user\nRequire not wsgi-group banned\n</RequireAll>",
    "none": "<RequireAll>\nRequire valid-user\n<RequireNone>\nRequire wsgi-group banned\n</RequireNone>\n</RequireAll>",
    "both": "<RequireAll>\nRequire wsgi-group staff\nRequire not wsgi-group banned\n</RequireAll>",
    "lines": "Require wsgi-group staff\nRequire wsgi-group admins",
    "words": "Require wsgi-group staff \"two words\" 'caf\u00e9' 99999",
    "address": "<RequireAny>\nRequire wsgi-group staff\nRequire ip 10.1.2.3\n</RequireAny>",
    "local": "<RequireAny>\nRequire ip 127.0.0.1\nRequire wsgi-group staff\n</RequireAny>",
    "alias": "Require by-another-name",
    "not-alias": "<RequireAll>\nRequire valid-user\nRequire not by-another-name\n</RequireAll>",
    "forbidden": "AuthzSendForbiddenOnFailure On\nRequire wsgi-group staff",
    "counting": "<RequireAll>\nRequire wsgi-group 1\nRequire wsgi-group 2\nRequire wsgi-group 3\n</RequireAll>",
    "named": "Require wsgi-group \"in plain\"", "unnamed": "Require wsgi-group", "server": "Require wsgi-group \"in localhost\"",
}
SCRIPTS = {"plain": "groups.py", "broken": "broken.py", "missing": "missing.py", "bare": "app.wsgi"}


@pytest.fixture(scope="module")
def server():
    conf = "WSGIApplicationGroup %{GLOBAL}\n<AuthzProviderAlias wsgi-group by-another-name staff>\n</AuthzProviderAlias>\n"
    for name, require in COMBINATIONS.items():
        script = {"named": "groups.py application-group=plain", "server": "groups.py application-group=%{SERVER}"}.get(name)
        conf += place(name, require, script or "groups.py")
    for name, script in SCRIPTS.items():
        conf += place("script-" + name, "Require wsgi-group staff", script)
        conf += place("not-script-" + name, COMBINATIONS["not"], script)
    conf += place("script-none", "Require wsgi-group staff").replace("WSGIAuthGroupScript {apps}/groups.py", "")
    conf += place("not-script-none", COMBINATIONS["not"]).replace("WSGIAuthGroupScript {apps}/groups.py", "")
    conf += place("digest", "Require wsgi-group staff").replace("Basic", "Digest").replace("everyone.py", "users.py")
    server = Httpd(conf, apps="authentication", modules=MODULES, threads=64, name="authorization")
    for name, source in (("everyone.py", "def check_password(environ, user, password):\n  return True\n"),
                         ("broken.py", "def groups_for_user(:\n")):
        with open(os.path.join(server.apps, name), "w") as script:
            script.write(source)
    with server:
        yield server


# User, status, number of the log line.
ANSWERS = [(user, 200, None) for user in (
    "list", "tuple", "set", "dict", "generator", "bytes", "mixed", "subclass", "upper", "late")]
ANSWERS += [(user, 401, "WSGI0060") for user in ("stranger", "part", "longer", "nul", "text", "many")]
ANSWERS += [(user, 401, "WSGI0059") for user in ("nothing", "nobody", "exhausted", "early")]
ANSWERS += [(user, 401, "WSGI0051") for user in ("none", "number", "true", "function", "refusing")]
ANSWERS += [("item", 401, "WSGI0050.*int"), ("itemnone", 401, "WSGI0050.*NoneType"), ("itemlist", 401, "WSGI0050.*list"),
            ("wide", 401, "WSGI0049"), ("raises", 401, "WSGI0174.*ValueError"), ("exits", 401, "WSGI0175"),
            ("late", 200, "ValueError: the directory went away"), ("early", 401, "ValueError: the directory is away"),
            ("refusing", 401, "LookupError: no groups today")]
if not REFERENCE:  # which takes everything, until there is no memory
    ANSWERS.append(("endless", 401, "WSGI0551.*groups_for_user"))


@pytest.mark.parametrize("user,status,number", ANSWERS)
def test_groups_for_user(server, user, status, number):
    mark = server.log.mark()
    answer = server.get("/script-plain", basic(user))
    assert answer.status == status and answer.complete
    if number:
        server.log.wait_for(number, mark)
    # What denies alone denies in the company of a requirement that is met, too.
    assert server.get("/both", basic(user)).status == (500 if user == "late" else status)


def test_no_user(server):
    answer = server.get("/script-plain")
    assert answer.status == 401 and answer.header("WWW-Authenticate") == 'Basic realm="realm"'


@pytest.mark.parametrize("script,number", [
    ("broken", "WSGI0105"), ("missing", "WSGI0105"), ("bare", "WSGI0052"), ("none", "WSGI0058")])
def test_scripts_that_are_no_help(server, script, number):
    for _ in range(2):
        mark = server.log.mark_before(number)
        assert server.get("/script-" + script, basic("staff")).status == 401
        server.log.wait_for(number, mark)
        if not REFERENCE:
            assert server.get("/not-script-" + script, basic("staff")).status == 500


# MARK: combinations

COMBINED = [
    ("any", "staff", 200), ("any", "boss", 200), ("any", "boss.x", 401), ("any", "x", 401), ("any", "raises", 401),
    ("all", "staff.admins", 200), ("all", "staff", 401), ("all", "admins", 401), ("all", "x", 401),
    ("not", "staff", 200), ("not", "banned", 401), ("not", "staff.Banned", 401), ("not", "nothing", 200),
    ("none", "staff", 200), ("none", "banned", 401), ("both", "staff", 200), ("both", "staff.banned", 401), ("both", "x", 401),
    ("lines", "staff", 200), ("lines", "admins", 200), ("lines", "x", 401),
    ("words", "staff", 200), ("words", "spaces", 200), ("words", "accents", 200), ("words", "many", 200), ("words", "two", 401),
    ("address", "staff", 200), ("address", "x", 401), ("local", "x", 200), ("alias", "staff", 200), ("alias", "x", 401),
    ("not-alias", "staff", 401), ("not-alias", "x", 200), ("forbidden", "staff", 200), ("forbidden", "x", 403),
    ("forbidden", "raises", 403), ("named", "interpreter", 200), ("named", "x", 401), ("server", "interpreter", 200),
    ("unnamed", "staff", 401),
]


@pytest.mark.parametrize("where,user,status", COMBINED)
def test_combinations(server, where, user, status):
    assert server.get("/" + where, basic(user) + [("Host", "localhost")]).status == status


@pytest.mark.difference("the reference takes an error for \"not in this group\", and so for a permission where that is negated")
@pytest.mark.parametrize("where", ["not", "none", "not-alias"])
@pytest.mark.parametrize("user", ["raises", "exits", "none", "item", "wide", "early", "late", "refusing", "endless"])
def test_an_error_is_no_permission_after_not(server, where, user):
    expected = 401 if (where, user) == ("not-alias", "late") else 500
    assert server.get("/" + where, basic(user)).status == expected


def test_local_requests_need_no_user(server):
    assert server.get("/local").status == 200
    assert server.get("/address").status == 401


def test_one_call_a_line(server):
    """Nothing is remembered: not between lines, and not between requests."""
    assert server.get("/script-plain", basic("reset")).status == 200
    assert server.get("/counting", basic("counted")).status == 200
    assert server.get("/counting", basic("counted")).status == 401


def test_digest(server):
    with server.client() as client:
        assert DigestClient(client, "staff").request("/digest").status == 200
    with server.client() as client:
        assert DigestClient(client, "x.staff").request("/digest").status == 200
    with server.client() as client:
        assert DigestClient(client, "x").request("/digest").status == 401


def test_keep_alive(server):
    with server.client() as client:
        for _ in range(5):
            assert client.request("GET", "/script-plain", basic("staff")).status == 200
            assert client.request("GET", "/script-plain", basic("x")).status == 401
            assert client.request("GET", "/script-plain").status == 401


def test_fifty_at_once(server):
    def work(index):
        asked = [("/both", "staff"), ("/both", "staff.banned.%d" % index), ("/all", "g%d.admins.staff" % index),
                 ("/all", "staff")]
        with server.client() as client:
            return [client.request("GET", path, basic(user)).status for path, user in asked * 10]
    assert run_together(50, work) == [[200, 401, 200, 401] * 10] * 50


def test_the_answer_reaches_the_application(server):
    environ = json.loads(server.get("/script-plain", basic("staff")).body)["environ"]
    assert environ["REMOTE_USER"] == "staff" and environ["AUTH_TYPE"] == "Basic"


# MARK: where it may stand

def test_htaccess(make_httpd):
    conf = "<Directory {docs}>\nAllowOverride AuthConfig\n</Directory>\n"
    server = make_httpd(conf, apps="authentication", modules=MODULES, name="htgroups")
    for folder, require in (("plain", "Require wsgi-group staff"), ("not", COMBINATIONS["not"])):
        os.mkdir(os.path.join(server.docs, folder))
        with open(os.path.join(server.docs, folder, ".htaccess"), "w") as out:
            out.write("AuthType Basic\nAuthName realm\nAuthBasicProvider wsgi\nWSGIAuthUserScript %s/users.py\n"
                      "WSGIAuthGroupScript %s/groups.py\nWSGIGroupAuthoritative On\n%s\n" % (server.apps, server.apps, require))
        with open(os.path.join(server.docs, folder, "page.txt"), "w") as out:
            out.write("a page")
    assert server.get("/plain/page.txt", basic("staff")).status == 200
    assert server.get("/plain/page.txt", basic("x")).status == 401
    assert server.get("/not/page.txt", basic("x")).status == 200
    assert server.get("/not/page.txt", basic("x.banned")).status == 401
    assert server.get("/plain/page.txt", basic("item")).status == 401
    assert REFERENCE or server.get("/not/page.txt", basic("item")).status == 500


@pytest.mark.skipif(REFERENCE, reason="there Python is part of the module")
def test_without_an_engine(make_httpd, tmp_path):
    os.chmod(tmp_path, 0o755)
    module = stage_module(str(tmp_path))
    for engine in tmp_path.glob("wsgi-engine-*"):
        engine.unlink()
    conf = place("plain", "Require wsgi-group staff").replace("AuthBasicProvider wsgi", "AuthBasicProvider file\n"
                                                              "AuthUserFile {root}/passwords")
    server = Httpd(conf, apps="authentication", modules=MODULES + ["authn_file"], name="engineless", module=module)
    with open(os.path.join(server.root, "passwords"), "w") as passwords:
        passwords.write("staff:{SHA}NnsmYQu/bjhxiQYnyxcaCakgNNA=\n")
    with server:
        mark = server.log.mark()
        assert server.get("/plain", basic("staff", "wrong")).status == 401
        assert not server.log.lines("WSGI0048", mark)
        assert server.get("/plain", basic("staff", "in the file")).status == 401
        server.log.wait_for("WSGI0048", mark)
