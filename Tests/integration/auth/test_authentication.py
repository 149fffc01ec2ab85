"""AuthBasicProvider and AuthDigestProvider `wsgi`: what check_password and get_realm_hash answer, and what comes of it."""
import base64
import hashlib
import json
import os
import subprocess

import pytest

from credentials import DigestClient, basic
from httpd_env import MODES, REFERENCE, Httpd, run_together, stage_module

MODULES = ["authn_core", "authn_file", "auth_basic", "auth_digest", "authz_user", "authz_host"]

PLACE = """
WSGIScriptAlias /%(name)s {apps}/app.wsgi
<Location /%(name)s>
AuthType %(type)s
AuthName realm
Auth%(type)sProvider %(providers)s
WSGIAuthUserScript {apps}/%(script)s
Require valid-user
</Location>
"""


def place(name, providers="wsgi", script="users.py", type="Basic"):
    return PLACE % {"name": name, "providers": providers, "script": script, "type": type}


PLACES = (place("basic") + place("digest", type="Digest") + place("file-wsgi", "file wsgi") + place("wsgi-file", "wsgi file")
          + place("missing", script="missing.py") + place("broken", script="broken.py") + place("bare", script="app.wsgi")
          + place("bare-digest", script="app.wsgi", type="Digest") + place("broken-digest", script="broken.py", type="Digest")
          + place("exiting", script="exiting.py") + place("changing", script="changing.py")
          + place("fixed", script="fixed.py").replace("Require", "WSGIScriptReloading Off\nRequire")
          + place("none").replace("WSGIAuthUserScript {apps}/users.py", "")
          + place("none-digest", type="Digest").replace("WSGIAuthUserScript {apps}/users.py", "")
          + "<Location /file-wsgi>\nAuthUserFile {root}/passwords\n</Location>\n"
          + "<Location /wsgi-file>\nAuthUserFile {root}/passwords\n</Location>\n")

GROUPS = {"plain": ("plain", "plain"), "global": ("%{GLOBAL}", ""), "server": ("%{SERVER}", "localhost:{port}"),
          "host": ("%{HOST}", "named.example"), "resource": ("%{RESOURCE}", "%{RESOURCE}"),
          "env": ("%{ENV:WHAT}", "%{ENV:WHAT}")}


def sha(password):
    return "{SHA}" + base64.b64encode(hashlib.sha1(password.encode()).digest()).decode()


@pytest.fixture(scope="module")
def server():
    conf = PLACES + "WSGIApplicationGroup %{GLOBAL}\n"
    for name, (group, _) in GROUPS.items():
        conf += place("group-" + name).replace("users.py", "users.py application-group=" + group)
    server = Httpd(conf, apps="authentication", modules=MODULES, threads=64, name="authentication", log_level="warn wsgi:info")
    with open(os.path.join(server.root, "passwords"), "w") as passwords:
        for user in ("unlisted-not", "denied", "granted", "unknown", "both"):
            passwords.write("%s:%s\n" % (user, sha("in the file")))
    write(server, "broken.py", "def check_password(:\n")
    write(server, "exiting.py", "raise SystemExit(1)\n")
    with server:
        yield server


def write(server, name, source, age=0):
    path = os.path.join(server.apps, name)
    with open(path + ".new", "w") as out:
        out.write(source)
    os.utime(path + ".new", (1500000000 + age, 1500000000 + age))
    os.replace(path + ".new", path)


def who(answer):
    assert answer.status == 200, answer
    return json.loads(answer.body)["environ"]["REMOTE_USER"]


# MARK: check_password

# User, status, REMOTE_USER or the log line's number.
PASSWORDS = [
    ("granted", 200, "granted"), ("renamed", 200, "somebody else"), ("subclass", 200, "of a subclass"), ("denied", 401, None),
    ("unknown", 401, None), ("empty", 500, "WSGI0176"), ("one", 500, "WSGI0177.*int"), ("zero", 500, "WSGI0177.*int"),
    ("float", 500, "WSGI0177.*float"), ("bytes", 500, "WSGI0177.*bytes"), ("list", 500, "WSGI0177.*list"),
    ("tuple", 500, "WSGI0177.*tuple"), ("dict", 500, "WSGI0177.*dict"), ("object", 500, "WSGI0177.*Truth"),
    ("type", 500, "WSGI0177.*type"), ("raises", 500, "WSGI0174.*ValueError"), ("exits", 500, "WSGI0175.*SystemExit"),
    ("interrupts", 500, "WSGI0174.*KeyboardInterrupt"), ("spaces", 200, " a  b "), ("long", 200, "u" * 5000),
    ("anybody", 200, "anybody"),
]


@pytest.mark.parametrize("user,status,expected", PASSWORDS, ids=[row[0] for row in PASSWORDS])
def test_check_password(server, user, status, expected):
    mark = server.log.mark()
    answer = server.get("/basic", basic(user))
    assert answer.status == status and answer.complete, answer
    if status == 200:
        assert who(answer) == expected
    elif status == 401:
        assert answer.header("WWW-Authenticate") == 'Basic realm="realm"'
    else:
        assert answer.header("WWW-Authenticate") is None
        line = server.log.wait_for(expected, mark)[0]
        assert "users.py" in line


def test_a_wrong_password(server):
    assert server.get("/basic", basic("anybody", "wrong")).status == 401
    assert server.get("/basic", basic("anybody", "")).status == 401
    assert server.get("/basic").status == 401


def test_returned_names_are_utf8(server):
    for user, name in (("accents", "J\u00f6rg"), ("wide", "\u65e5\u672c \U0001f600")):
        assert who(server.get("/basic", basic(user))).encode("latin-1").decode("utf-8") == name


@pytest.mark.difference("the reference cuts a name at its NUL")
@pytest.mark.parametrize("user,words", [("nul", "ValueError.*NUL"), ("surrogate", "UnicodeEncodeError")])
def test_names_that_cannot_be_passed_on(server, user, words):
    mark = server.log.mark()
    assert server.get("/basic", basic(user)).status == 500
    server.log.wait_for(words, mark)


def test_a_name_that_is_too_long(server):
    mark = server.log.mark()
    assert server.get("/basic", basic("huge")).status == 500
    assert REFERENCE or server.log.wait_for("WSGI0551.*check_password", mark)


@pytest.mark.parametrize("user", ["J\u00f6rg", "\u65e5\u672c", "a b", "''\"", "%41", "caf\u00e9".encode("latin-1"),
                                  b"\xff\xfe", "\u00df\u00fc:"])
def test_names_and_passwords_beyond_ascii(server, user):
    """Bytes reach the script as latin-1, and are passed on to applications in the same way."""
    sent = user if isinstance(user, bytes) else user.encode("utf-8")
    sent = sent.rstrip(b":")
    name = who(server.get("/basic", basic(sent)))
    assert name.encode("latin-1") == sent
    assert server.get("/basic", basic(sent, sent)).status == 401


@pytest.mark.parametrize("password", ["", ":", "a:b:c", "\u00e4", "\u65e5", " ", b"\x01\xff", "x" * 3000])
def test_passwords_arrive_as_they_are(server, password):
    sent = password if isinstance(password, bytes) else password.encode("utf-8")
    shown = who(server.get("/basic", basic("shows", sent)))
    assert shown == "password " + ascii(sent.decode("latin-1"))


@pytest.mark.parametrize("where,number", [
    ("broken", "WSGI0105"), ("missing", "WSGI0105"), ("exiting", "WSGI0107"), ("bare", "WSGI0043"), ("none", "WSGI0041"),
    ("bare-digest", "WSGI0046"), ("none-digest", "WSGI0044"), ("broken-digest", "WSGI0105")])
def test_scripts_that_are_no_help(server, where, number):
    for _ in range(2):
        mark = server.log.mark_before(number)
        with server.client() as client:
            if where.endswith("digest"):
                answer = DigestClient(client, "anybody").request("/" + where)
            else:
                answer = client.request("GET", "/" + where, basic("granted"))
        assert answer.status == 500
        server.log.wait_for(number, mark)


@pytest.mark.parametrize("name", GROUPS)
def test_interpreters(server, name):
    path = "/group-" + name
    group = GROUPS[name][1].replace("{port}", str(server.port))
    assert who(server.get(path, basic("group") + [("Host", "named.example:%d" % server.port)])) == "interpreter " + group
    assert who(server.get("/basic", basic("group"))) == "interpreter "


def test_a_changed_script_answers_the_next_request(server):
    for version in range(3):
        write(server, "changing.py", "def check_password(environ, user, password):\n  return 'version %d'\n" % version, -version)
        assert who(server.get("/changing", basic("anybody"))) == "version %d" % version
    write(server, "changing.py", "raise ValueError('broken')\n", 10)
    assert server.get("/changing", basic("anybody")).status == 500
    write(server, "changing.py", "def check_password(environ, user, password):\n  return False\n", 20)
    assert server.get("/changing", basic("anybody")).status == 401


def test_reloading_off(server):
    write(server, "fixed.py", "def check_password(environ, user, password):\n  return 'first'\n")
    assert who(server.get("/fixed", basic("anybody"))) == "first"
    write(server, "fixed.py", "def check_password(environ, user, password):\n  return 'second'\n", 5)
    assert who(server.get("/fixed", basic("anybody"))) == "first"


# MARK: several providers

CHAINS = [
    # Path, user, password, status, what the file or the script made of it.
    ("/file-wsgi", "both", "in the file", 200), ("/file-wsgi", "both", "secret of both", 401),
    ("/file-wsgi", "somebody", "secret of somebody", 200), ("/file-wsgi", "somebody", "in the file", 401),
    ("/file-wsgi", "unlisted", "wrong", 401), ("/file-wsgi", "raises", "any", 500),
    ("/wsgi-file", "unknown", "in the file", 200), ("/wsgi-file", "unknown", "wrong", 401),
    ("/wsgi-file", "denied", "in the file", 401), ("/wsgi-file", "granted", "any", 200),
    ("/wsgi-file", "unlisted-not", "in the file", 200), ("/wsgi-file", "unlisted", "in the file", 401),
    ("/wsgi-file", "raises", "in the file", 500), ("/wsgi-file", "one", "in the file", 500),
]


@pytest.mark.parametrize("path,user,password,status", CHAINS)
def test_chained_providers(server, path, user, password, status):
    answer = server.get(path, basic(user, password))
    assert answer.status == status
    if status == 200:
        assert who(answer) == user


# MARK: get_realm_hash

HASHES = [
    ("anybody", 200, None), ("bytes and all", 200, None), ("unknown", 401, None), ("empty", 500, "WSGI0178"),
    ("emptybytes", 500, "WSGI0178"), ("one", 500, "WSGI0179.*int"), ("true", 500, "WSGI0179.*bool"),
    ("false", 500, "WSGI0179.*bool"), ("list", 500, "WSGI0179.*list"), ("wide", 500, "TypeError|UnicodeEncodeError"),
    ("raises", 500, "WSGI0174.*ValueError"), ("short", 401, None),
]


@pytest.mark.parametrize("user,status,number", HASHES, ids=[row[0] for row in HASHES])
def test_get_realm_hash(server, user, status, number):
    mark = server.log.mark()
    with server.client() as client:
        answer = DigestClient(client, user).request("/digest")
        assert answer.status == status, answer
        if status == 200:
            assert who(answer) == user and answer.header("Authentication-Info")
        if number:
            assert "users.py" in server.log.wait_for(number, mark)[0]


@pytest.mark.difference("the reference cuts a hash at its NUL")
def test_hashes_that_are_none(server):
    for user, words in (("nul", "ValueError.*NUL"), ("huge", "WSGI0551.*get_realm_hash")):
        mark = server.log.mark()
        with server.client() as client:
            assert DigestClient(client, user).request("/digest").status == 500
        server.log.wait_for(words, mark)


def test_digest_with_a_wrong_password(server):
    with server.client() as client:
        assert DigestClient(client, "anybody", "wrong").request("/digest").status == 401


def test_digest_on_one_connection(server):
    with server.client() as client:
        digest = DigestClient(client, "anybody")
        for number in range(20):
            assert who(digest.request("/digest/%d?number=%d" % (number, number))) == "anybody"
        assert who(digest.request("/digest", "POST")) == "anybody"
        digest.password = "wrong"
        assert digest.request("/digest").status == 401


# MARK: clients

def curl(server, *arguments):
    command = ["curl", "-sS", "-m", "30", "-w", "\n%{http_code}"]
    command += [argument.replace("{url}", "http://127.0.0.1:%d" % server.port) for argument in arguments]
    done = subprocess.run(command, capture_output=True, check=True)
    body, _, status = done.stdout.rpartition(b"\n")
    return int(status), body


def test_curl(server):
    for kind, path in (("--basic", "/basic"), ("--digest", "/digest"), ("--anyauth", "/digest"), ("--anyauth", "/basic")):
        status, body = curl(server, kind, "-u", "anybody:secret of anybody", "{url}" + path)
        assert status == 200 and json.loads(body)["environ"]["REMOTE_USER"] == "anybody"
        assert curl(server, kind, "-u", "anybody:wrong", "{url}" + path)[0] == 401
        assert curl(server, "{url}" + path)[0] == 401


def test_keep_alive(server):
    """Who one request is says nothing of the next on the same connection."""
    with server.client() as client:
        for _ in range(3):
            assert who(client.request("GET", "/basic", basic("granted"))) == "granted"
            assert client.request("GET", "/basic").status == 401
            assert who(client.request("GET", "/basic", basic("renamed"))) == "somebody else"
            assert client.request("GET", "/basic", basic("denied")).status == 401
        # httpd closes a connection with a 500.
        assert client.request("GET", "/basic", basic("raises")).status == 500 and client.ended()


def test_fifty_at_once(server):
    def work(index):
        results = []
        with server.client() as client:
            for turn in range(10):
                user = "user-%d-%d" % (index, turn)
                results.append(who(client.request("GET", "/basic", basic(user))) == user)
                results.append(client.request("GET", "/basic", basic(user, "wrong")).status == 401)
            digest = DigestClient(client, "digest-%d" % index)
            results += [who(digest.request("/digest")) == digest.user for _ in range(5)]
        return results
    assert run_together(50, work) == [[True] * 25] * 50


# MARK: secrets

LEAKING = '''
def check_password(environ, user, password):
    if user == "message":
        raise ValueError("wrong password %s" % password)
    if user == "repr":
        raise KeyError(password)
    if user == "chained":
        try:
            int(password)
        except ValueError as failure:
            raise RuntimeError("cannot check") from failure
    if user == "context":
        try:
            int(password)
        finally:
            {}["nothing"]
    if user == "decoded":
        raise ValueError(password.encode("latin-1").decode("utf-8"))
    if user == "bytes":
        raise ValueError(password.encode("latin-1"))
    if user == "source":
        assert password == "not", "literal-secret"
    if user == "note":
        failure = ValueError("see the note")
        failure.__notes__ = ["it was " + password]
        raise failure
    if user == "exit":
        raise SystemExit(password)
    return [password]
'''


@pytest.mark.difference("the reference logs exceptions with all that they say")
@pytest.mark.parametrize("password", ["a-long-passphrase-42", "quote'and\"both\\", "J\u00f6rg's", "\u65e5\u672c\u8a9e",
                                      "two\nlines here"])
def test_passwords_never_reach_the_log(password):
    server = Httpd(place("leaking", script="leaking.py"), apps="authentication", modules=MODULES, name="secrets",
                   log_level="warn wsgi:trace8")
    write(server, "leaking.py", LEAKING)
    with server:
        for user in ("message", "repr", "chained", "context", "decoded", "bytes", "note", "exit", "other"):
            assert server.get("/leaking", basic(user, password)).status == 500
        assert server.get("/leaking", basic("source", "literal-secret")).status == 500
        log = server.log.text() + server.access_log.text()
        for number in ("WSGI0174: Exception ValueError in check_password", "WSGI0175", "WSGI0177"):
            assert number in log
        assert "leaking.py\", line" in log, "where it failed is still said"
        sent = password.encode("utf-8").decode("latin-1")
        for form in (password, sent):
            for shown in (form, repr(form)[1:-1], ascii(form)[1:-1], repr(form.encode("unicode-escape"))[2:-1]):
                assert shown not in log
        assert repr(password.encode("utf-8"))[2:-1] not in log and "literal-secret" not in log


# MARK: where Python runs

def test_a_script_of_an_access_file_starts_python(make_httpd):
    """Nothing in the configuration asks for Python in httpd's processes; the script of a .htaccess file does at its first use."""
    conf = """
<Directory {docs}>
AllowOverride AuthConfig
</Directory>
"""
    server = make_httpd(conf, apps="authentication", modules=MODULES, name="htaccess")
    with open(os.path.join(server.docs, ".htaccess"), "w") as out:
        out.write("AuthType Basic\nAuthName realm\nAuthBasicProvider wsgi\nWSGIAuthUserScript %s/users.py\nRequire valid-user\n"
                  % server.apps)
    with open(os.path.join(server.docs, "page.txt"), "w") as out:
        out.write("a page")
    answers = run_together(8, lambda index: server.get("/page.txt", basic("granted" if index % 2 else "denied")).status)
    assert answers == [401, 200] * 4
    assert server.get("/page.txt").status == 401
    assert server.get("/page.txt", basic("raises")).status == 500


@pytest.mark.parametrize("mpm", ["prefork", "worker"])
def test_other_mpms(make_httpd, mpm):
    conf = place("basic") + place("digest", type="Digest")
    server = make_httpd(conf, apps="authentication", modules=MODULES, name=mpm + "-auth", mpm=mpm, processes=4)

    def work(index):
        with server.client() as client:
            digest = DigestClient(client, "user %d" % index)
            return [who(client.request("GET", "/basic", basic("renamed"))) == "somebody else",
                    who(digest.request("/digest")) == digest.user,
                    client.request("GET", "/basic", basic("denied")).status == 401,
                    client.request("GET", "/basic", basic("one")).status == 500]
    assert run_together(4, work) == [[True] * 4] * 4


def test_embedded_mode_stays_off(make_httpd):
    server = make_httpd("WSGIRestrictEmbedded On\n" + place("basic"), apps="authentication", modules=MODULES, name="restricted")
    assert server.get("/basic", basic("denied")).status == 401
    mark = server.log.mark()
    assert server.get("/basic", basic("granted")).status == 500
    server.log.wait_for("WSGI0143", mark)


@pytest.mark.skipif("daemon" not in MODES, reason="no daemon mode")
def test_a_daemon_application(make_httpd):
    conf = ("WSGIRestrictEmbedded On\nWSGISocketPrefix {root}/wsgi\nWSGIDaemonProcess site threads=4\nWSGIProcessGroup site\n"
            + place("basic") + place("digest", type="Digest"))
    server = make_httpd(conf, apps="authentication", modules=MODULES, name="daemon-auth")
    answer = server.get("/basic", basic("renamed"))
    assert who(answer) == "somebody else"
    environ = json.loads(answer.body)["environ"]
    assert environ["AUTH_TYPE"] == "Basic" and environ["mod_wsgi.process_group"] == "site"
    with server.client() as client:
        assert who(DigestClient(client, "anybody").request("/digest")) == "anybody"
    assert server.get("/basic", basic("denied")).status == 401


@pytest.mark.skipif(REFERENCE, reason="there Python is part of the module")
def test_without_an_engine(make_httpd, tmp_path):
    """No Python is no permission."""
    os.chmod(tmp_path, 0o755)
    module = stage_module(str(tmp_path))
    for engine in tmp_path.glob("wsgi-engine-*"):
        engine.unlink()
    conf = place("basic") + place("digest", type="Digest")
    server = make_httpd(conf, apps="authentication", modules=MODULES, name="engineless", module=module)
    mark = server.log.mark()
    assert server.get("/basic", basic("granted")).status == 500
    server.log.wait_for("WSGI0042", mark)
    with server.client() as client:
        assert DigestClient(client, "anybody").request("/digest").status == 500
    server.log.wait_for("WSGI0045", mark)
