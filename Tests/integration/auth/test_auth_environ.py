"""The environ of auth and access scripts, key by key, and the functions of mod_ssl in it."""
import json
import os
import subprocess

import pytest

from credentials import DigestClient, basic
from httpd_env import REFERENCE, Httpd, free_port

MODULES = ["authn_core", "auth_basic", "auth_digest", "authz_user", "authz_host", "ssl", "socache_shmcb", "headers", "rewrite"]
FUNCTIONS = ["check_password", "groups_for_user", "allow_access"]

PLACE = """
<Location /%(name)s>
AuthType %(type)s
AuthName realm
Auth%(type)sProvider wsgi
WSGIAuthUserScript {apps}/record.py
WSGIAuthGroupScript {apps}/record.py
WSGIAccessScript {apps}/record.py
Require wsgi-group staff
%(more)s
</Location>
"""

KEYS = {
    "SERVER_SIGNATURE", "SERVER_SOFTWARE", "SERVER_NAME", "SERVER_ADDR", "SERVER_PORT", "SERVER_ADMIN", "SERVER_PROTOCOL",
    "REMOTE_ADDR", "REMOTE_PORT", "DOCUMENT_ROOT", "REQUEST_METHOD", "QUERY_STRING", "REQUEST_URI", "SCRIPT_NAME", "PATH_INFO",
    "apache.version", "mod_wsgi.version", "mod_wsgi.process_group", "mod_wsgi.application_group", "wsgi.errors",
    "mod_ssl.is_https", "mod_ssl.var_lookup",
}


def place(name, more="", type="Basic"):
    return PLACE % {"name": name, "type": type, "more": more}


@pytest.fixture(scope="module")
def server():
    tls = free_port()
    conf = ("WSGIApplicationGroup %{GLOBAL}\nWSGIScriptAlias / {apps}/app.wsgi\nServerAdmin webmaster@example.com\n"
            "SetEnv FROM_SETENV value\nSetEnvIf Host . FROM_SETENVIF=value\nRewriteEngine On\n"
            "RewriteRule . - [E=FROM_REWRITE:x]\n"
            + place("basic") + place("digest", type="Digest") + place("record", "WSGIPassApacheRequest On")
            + place("lookup", "HostnameLookups On") + place("mapped", "WSGIMapHEADToGET On") + place("passed", "CGIPassAuth On")
            + place("signed", "ServerSignature EMail")
            + "Listen 127.0.0.1:%d https\n<VirtualHost 127.0.0.1:%d>\nServerName localhost\nSSLEngine On\n"
            "SSLCertificateFile {root}/server.pem\nSSLVerifyClient optional\nSSLCACertificateFile {root}/server.pem\n"
            "DocumentRoot {docs}\n</VirtualHost>\n" % (tls, tls))
    server = Httpd(conf, apps="authentication", modules=MODULES, name="auth-environ")
    server.tls = tls
    pem = os.path.join(server.root, "server.pem")
    # A long certificate: variables come in any length.
    names = ",".join("DNS:host-%04d.example.com" % number for number in range(400))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", pem + ".key", "-out", pem,
                    "-days", "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=" + names],
                   check=True, capture_output=True)
    with open(pem, "a") as both, open(pem + ".key") as key:
        both.write(key.read())
    with server:
        yield server


def seen(answer):
    assert answer.status == 200, answer
    return json.loads(answer.body)["seen"]


def environ_of(answer, function):
    return {key: value for key, (_, value) in seen(answer)[function]["environ"].items()}


def test_the_keys(server):
    """Neither more nor fewer than these, whichever function is asked."""
    answer = server.get("/basic/path?query=1", basic("anybody"))
    for function in FUNCTIONS:
        environ = seen(answer)[function]["environ"]
        assert set(environ) == KEYS | {"HTTP_HOST"}
        assert seen(answer)[function]["type"] == "dict"
        types = {key: kind for key, (kind, _) in environ.items()}
        assert types.pop("apache.version") == types.pop("mod_wsgi.version") == "tuple"
        for key in ("wsgi.errors", "mod_ssl.is_https", "mod_ssl.var_lookup"):
            types.pop(key)
        assert set(types.values()) == {"str"}
    with server.client() as client:
        hashed = seen(DigestClient(client, "anybody").request("/digest"))["get_realm_hash"]
    assert set(hashed["environ"]) == KEYS | {"HTTP_HOST"}


def test_the_values(server):
    answer = server.get("/basic/path//info?query=%31", basic("anybody"))
    values = environ_of(answer, "check_password")
    expected = {
        "SERVER_SIGNATURE": "", "SERVER_NAME": "localhost", "SERVER_ADDR": "127.0.0.1", "SERVER_PORT": "80",
        "SERVER_ADMIN": "webmaster@example.com", "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1",
        "DOCUMENT_ROOT": server.docs, "REQUEST_METHOD": "GET", "QUERY_STRING": "query=%31",
        "REQUEST_URI": "/basic/path//info?query=%31", "SCRIPT_NAME": "", "PATH_INFO": "/basic/path/info",
        "mod_wsgi.process_group": "", "mod_wsgi.application_group": "", "HTTP_HOST": "localhost",
        "mod_wsgi.version": [6, 1, 1],
    }
    # httpd has made one slash of two in the path info already.
    assert {key: values[key] for key in expected} == expected
    assert values["SERVER_SOFTWARE"].startswith("Apache/2.4") and values["apache.version"][:2] == [2, 4]
    assert 0 < int(values["REMOTE_PORT"]) < 65536
    for function in FUNCTIONS:
        assert dict(environ_of(answer, function), **{"REMOTE_PORT": ""}) == dict(values, **{"REMOTE_PORT": ""})


def test_the_arguments(server):
    user, password = "J\u00f6rg", "p\u00e4ss:\u65e5"
    asked = seen(server.get("/basic", basic(user, password)))
    name, word = (text.encode("utf-8").decode("latin-1") for text in (user, password))
    assert asked["check_password"]["arguments"] == [name, word]
    assert asked["groups_for_user"]["arguments"] == [name]
    assert asked["allow_access"]["arguments"] == ["127.0.0.1"]
    with server.client() as client:
        asked = seen(DigestClient(client, "anybody").request("/digest"))
    assert asked["get_realm_hash"]["arguments"] == ["anybody", "realm"]


def test_request_headers(server):
    headers = [("X-Plain", "value"), ("X-Twice", "a"), ("X-Twice", "b"), ("Content-Type", "text/x"), ("Proxy", "http://evil/"),
               ("Proxy-Authorization", "Basic eDp5"), ("X_Under", "no"), ("X.Dot", "no"), ("Content-Length", "3"),
               ("X-Latin", "caf\u00e9"), ("Content_Type", "no"), ("X-Empty", "")]
    with server.client() as client:
        answer = client.request("POST", "/basic", headers + basic("anybody"), b"abc")
    for function in FUNCTIONS:
        values = environ_of(answer, function)
        assert set(values) - KEYS == {"HTTP_HOST", "HTTP_X_PLAIN", "HTTP_X_TWICE", "CONTENT_TYPE", "CONTENT_LENGTH",
                                      "HTTP_X_LATIN", "HTTP_X_EMPTY"} | ({"HTTP_PROXY"} if REFERENCE else set())
        assert values["HTTP_X_TWICE"] == "a, b" and values["CONTENT_TYPE"] == "text/x" and values["CONTENT_LENGTH"] == "3"
        assert values["HTTP_X_LATIN"] == "caf\u00e9" and values["REQUEST_METHOD"] == "POST"


@pytest.mark.difference("the reference shows the header that HTTP clients take for their proxy")
def test_httpoxy(server):
    for name in ("Proxy", "proxy", "PROXY"):
        answer = server.get("/basic", basic("anybody") + [(name, "http://evil.example/")])
        for function in FUNCTIONS:
            assert "HTTP_PROXY" not in environ_of(answer, function)


def test_credentials_are_not_among_them(server):
    answer = server.get("/passed", basic("anybody"))
    for function in FUNCTIONS:
        assert not [key for key in environ_of(answer, function) if "AUTH" in key]


def test_methods_are_those_of_the_client(server):
    with server.client() as client:
        assert client.request("HEAD", "/mapped", basic("anybody")).status == 200
    before = seen(server.get("/"))
    assert before["check_password"]["environ"]["REQUEST_METHOD"][1] == "HEAD"


def test_the_request_record(server):
    assert seen(server.get("/record", basic("anybody")))["check_password"]["environ"]["apache.request_rec"][0] == "PyCapsule"


def test_the_name_of_the_client(server):
    asked = seen(server.get("/lookup", basic("anybody")))["allow_access"]
    name = asked["environ"].get("REMOTE_HOST", [None, "127.0.0.1"])[1]
    assert asked["arguments"] == [name] and asked["environ"]["REMOTE_ADDR"][1] == "127.0.0.1"


def test_the_signature(server):
    values = environ_of(server.get("/signed", basic("anybody")), "allow_access")
    assert "mailto:webmaster@example.com" in values["SERVER_SIGNATURE"]


def test_odd_hosts(server):
    values = environ_of(server.get("/basic", basic("anybody") + [("Host", "named.example:%d" % server.port)]), "allow_access")
    assert values["SERVER_NAME"] == "named.example" and values["SERVER_PORT"] == str(server.port)


# MARK: what is written

def test_wsgi_errors(server):
    mark = server.log.mark()
    server.get("/basic", basic("anybody"))
    for function in FUNCTIONS:
        line = server.log.wait_for("written by %s" % function, mark)[0]
        assert "[wsgi:error]" in line and "[client 127.0.0.1:" in line and "record.py" in line
    assert len(server.log.wait_for("without an end", mark, count=3)) == 3


def test_kept_objects_expire(server):
    for _ in range(3):
        asked = seen(server.get("/basic", basic("anybody")))
    for function in FUNCTIONS:
        lookup, https, write, flush = asked[function]["kept"]
        assert lookup == https == "RuntimeError: request object has expired"
        assert write.startswith("RuntimeError")


# MARK: mod_ssl

def test_without_tls(server):
    for function, asked in seen(server.get("/basic", basic("anybody"))).items():
        if function in FUNCTIONS:
            assert asked["https"] == 0
            assert asked["lookups"][0] == asked["lookups"][1] == "localhost"
            assert asked["lookups"][2] in (None, "")


def test_with_tls(server):
    pem = os.path.join(server.root, "server.pem")
    done = subprocess.run(["curl", "-sSk", "-u", "anybody:x", "--cert", pem, "https://127.0.0.1:%d/basic" % server.tls],
                          capture_output=True, check=True)
    with open(pem) as file:
        certificate = file.read().split("-----BEGIN PRIVATE KEY")[0]
    for function, asked in json.loads(done.stdout)["seen"].items():
        if function not in FUNCTIONS:
            continue
        assert asked["https"] == 1 and asked["environ"]["SERVER_PORT"][1] == str(server.tls)
        name, same, protocol, client, own, none, empty, nul, wide, number, nothing = asked["lookups"]
        assert name == same == "127.0.0.1" and protocol.startswith("TLSv1") and client == own == certificate
        assert none in (None, "") and empty in (None, "") and nul in (None, "")
        assert wide.startswith("TypeError") and number.startswith("TypeError") and nothing.startswith("TypeError")
