"""WSGIAccessScript: what allow_access answers, for requests, sub-requests and redirects, and what other checks make of it."""
import json
import os

import pytest

from credentials import basic
from httpd_env import REFERENCE, Httpd, run_together, stage_module

MODULES = ["authn_core", "auth_basic", "authz_user", "authz_host", "access_compat", "dir", "include", "filter", "rewrite",
           "autoindex"]

PASSWORDS = "AuthType Basic\nAuthName realm\nAuthBasicProvider wsgi\nWSGIAuthUserScript {apps}/users.py\nRequire valid-user"
PLACES = {
    "plain": "", "denied": "Require all denied", "ip": "Require ip 10.1.2.3", "order": "Order allow,deny\nDeny from all",
    "any": "Satisfy Any\n" + PASSWORDS, "all": "Satisfy All\n" + PASSWORDS, "auth": PASSWORDS, "any-alone": "Satisfy Any",
    "names": "HostnameLookups On", "off": "", "broken": "", "missing": "", "bare": "",
}
SCRIPTS = {"broken": "broken.py", "missing": "missing.py", "bare": "app.wsgi",
           "off": "access.py application-group=other"}


@pytest.fixture(scope="module")
def server():
    conf = "WSGIApplicationGroup %{GLOBAL}\n"
    for name, lines in PLACES.items():
        conf += "WSGIScriptAlias /%s {apps}/app.wsgi\n<Location /%s>\nWSGIAccessScript {apps}/%s\n%s\n</Location>\n" % (
            name, name, SCRIPTS.get(name, "access.py"), lines)
    conf += """
<Directory {docs}>
Options +Includes +Indexes +FollowSymLinks
AddOutputFilter INCLUDES .shtml
AddType text/html .shtml
DirectoryIndex index.shtml
WSGIAccessScript {apps}/access.py
RewriteEngine On
RewriteRule ^from$ /parts/there.txt
RewriteRule ^hidden$ /parts/secret.txt
</Directory>
ErrorDocument 403 /pages/refused.txt
WSGIScriptAlias /nested {apps}/nested.wsgi
<Location /nested>
Options +Includes
SetOutputFilter INCLUDES
WSGIAccessScript {apps}/access.py
</Location>
"""
    server = Httpd(conf, apps="authentication", modules=MODULES, threads=64, name="access")
    pages = {"index.shtml": '[<!--#include virtual="/parts/a.txt" -->|<!--#include virtual="/parts/b.txt" -->]',
             "page.shtml": '[<!--#include virtual="/parts/secret.txt" -->]', "parts/a.txt": "part a", "parts/b.txt": "part b",
             "parts/secret.txt": "a secret", "secret.txt": "a secret", "parts/there.txt": "there",
             "pages/refused.txt": "refused politely", "list/open/file.txt": "", "list/secret.txt/file.txt": ""}
    for folder in ("parts", "pages", "list/open", "list/secret.txt"):
        os.makedirs(os.path.join(server.docs, folder))
    for name, text in pages.items():
        with open(os.path.join(server.docs, name), "w") as page:
            page.write(text)
    with open(os.path.join(server.apps, "broken.py"), "w") as script:
        script.write("raise ValueError('broken')\n")
    with open(os.path.join(server.apps, "nested.wsgi"), "w") as script:
        script.write(NESTED)
    with server:
        yield server


NESTED = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/html")])
    for path in ("/parts/a.txt", "/parts/secret.txt", "/plain", "/plain?false"):
        yield b'<!--#include virtual="%s" -->|' % path.encode()
    yield environ["PATH_INFO"].encode()
"""


def calls(server, path, **more):
    """What a request made the script be asked, and the answer."""
    server.get("/plain?clear")
    answer = server.get(path, **more)
    return [call[:2] for call in json.loads(server.get("/plain").body)["seen"]["calls"][:-1]], answer


# MARK: answers

ANSWERS = [("true", 200, None), ("none", 200, None), ("", 200, None), ("false", 403, "WSGI0057")]
ANSWERS += [(name, 403, "WSGI0055.*" + kind) for name, kind in (
    ("one", "int"), ("zero", "int"), ("empty", "str"), ("text", "str"), ("bytes", "bytes"), ("list", "list"), ("tuple", "tuple"),
    ("object", "Truth"), ("type", "type"))]
ANSWERS += [("raises", 403, "WSGI0174.*ValueError"), ("exits", 403, "WSGI0175.*SystemExit")]


@pytest.mark.parametrize("query,status,number", ANSWERS)
def test_allow_access(server, query, status, number):
    mark = server.log.mark()
    answer = server.get("/plain?" + query)
    assert answer.status == status
    if status == 403:
        assert answer.body == b"refused politely"
        assert "access.py" in server.log.wait_for(number, mark)[0]
        server.log.wait_for("WSGI0057.*'/plain'", mark)


@pytest.mark.parametrize("where,number", [("broken", "WSGI0109"), ("missing", "WSGI0105"), ("bare", "WSGI0056")])
def test_scripts_that_are_no_help(server, where, number):
    for _ in range(2):
        mark = server.log.mark_before(number)
        assert server.get("/" + where).status == 403
        server.log.wait_for(number, mark)


@pytest.mark.parametrize("where", ["denied", "ip", "order"])
def test_leave_is_not_permission(server, where):
    """True passes this check; the others have their own."""
    assert server.get("/%s?true" % where).status == 403
    assert server.get("/%s?none" % where).status == 403


SATISFY = [
    # Place, query, status without and with a password.
    ("any", "true", 200, 200), ("any", "none", 200, 200), ("any", "false", 401, 200), ("any", "raises", 401, 200),
    ("any", "one", 401, 200), ("all", "true", 401, 200), ("all", "false", 403, 403), ("all", "raises", 403, 403),
    ("auth", "none", 401, 200), ("auth", "false", 403, 403), ("any-alone", "false", 200, 200), ("any-alone", "true", 200, 200),
]


@pytest.mark.parametrize("where,query,without,with_password", SATISFY)
def test_satisfy(server, where, query, without, with_password):
    mark = server.log.mark()
    path = "/%s?%s" % (where, query)
    assert server.get(path).status == without
    assert server.get(path, basic("granted")).status == with_password
    assert server.get(path, basic("denied")).status == (200 if without == 200 else without)
    denials = server.log.lines("WSGI0057", mark)
    # That a client must tell who it is goes without saying; where nobody asks it, the refusal is on record.
    assert bool(denials) == (without == 403 or where == "any-alone" and query == "false"), denials


# MARK: whom and what

def test_the_client(server):
    server.get("/plain?clear")
    server.get("/names")
    seen = json.loads(server.get("/plain").body)["seen"]["calls"]
    assert seen[-1][2] == "127.0.0.1"
    assert seen[-2][2] in ("localhost", "127.0.0.1", "localhost.localdomain", "ip6-localhost")


def test_an_interpreter_of_its_own(server):
    server.get("/plain?clear")
    assert server.get("/off?false").status == 403
    assert all("/off" not in call[0] for call in json.loads(server.get("/plain").body)["seen"]["calls"])


# MARK: sub-requests and redirects

# httpd takes it that what was allowed in a directory is allowed for whatever else a request needs from the same directory.

def test_server_side_includes(server):
    seen, answer = calls(server, "/index.shtml")
    assert answer.body == b"[part a|part b]"
    assert [call[0] for call in seen] == ["/index.shtml", "/parts/a.txt", "/parts/b.txt"]
    _, answer = calls(server, "/page.shtml")
    assert answer.status == 200 and b"a secret" not in answer.body and b"error" in answer.body


def test_a_page_that_may_include_nothing(server):
    answer = server.get("/index.shtml", [("X-Only", "/index.shtml")])
    assert answer.status == 200 and b"part" not in answer.body


def test_an_application_whose_output_includes(server):
    """The script is asked while the application runs, on its thread and in its interpreter."""
    def work(index):
        return [server.get("/nested/%d" % index).body.split(b"|") for _ in range(3)]
    for results in run_together(16, work):
        for first, secret, application, refused, last in results:
            assert first == b"part a" and b"a secret" not in secret and b"error" in secret and b"error" in refused
            assert json.loads(application)["environ"]["SCRIPT_NAME"] == "/plain" and last.startswith(b"/")


def test_directory_index(server):
    seen, answer = calls(server, "/")
    assert answer.body == b"[part a|part b]"
    assert [call[0] for call in seen][0] == "/" and "/parts/b.txt" in [call[0] for call in seen]


def test_listings_leave_out_what_is_refused(server):
    answer = server.get("/list/")
    assert answer.status == 200 and b"open" in answer.body and b"secret" not in answer.body


def test_internal_redirects(server):
    seen, answer = calls(server, "/from")
    assert answer.body == b"there"
    assert ["/parts/there.txt", "/from"] in seen, "it is asked for the path, REQUEST_URI stays what the client sent"
    answer = server.get("/hidden")
    assert answer.status == 403 and answer.body == b"refused politely"


def test_error_documents(server):
    """The document of an error is itself subject to the script."""
    seen, answer = calls(server, "/secret.txt")
    assert answer.status == 403 and answer.body == b"refused politely"
    assert [call[0] for call in seen][-1] == "/pages/refused.txt"


# MARK: over time

def test_keep_alive(server):
    with server.client() as client:
        for _ in range(5):
            assert client.request("GET", "/plain?true").status == 200
            assert client.request("GET", "/plain?false").status == 403
            assert client.request("GET", "/any?false").status == 401
            assert client.request("GET", "/any?false", basic("granted")).status == 200


def test_fifty_at_once(server):
    def work(index):
        with server.client() as client:
            return [client.request("GET", "/plain?" + query).status for _ in range(10) for query in ("true", "false", "none")]
    assert run_together(50, work) == [[200, 403, 200] * 10] * 50


def test_a_changed_script(make_httpd):
    """... and the script of a .htaccess file, which needs AllowOverride AuthConfig."""
    conf = "<Directory {docs}>\nAllowOverride AuthConfig\n</Directory>\n"
    server = make_httpd(conf, apps="authentication", modules=MODULES, name="htaccess-access")
    script = os.path.join(server.apps, "changing.py")
    with open(os.path.join(server.docs, ".htaccess"), "w") as out:
        out.write("WSGIAccessScript %s\n" % script)
    with open(os.path.join(server.docs, "page.txt"), "w") as out:
        out.write("a page")
    for turn, (source, status) in enumerate((("True", 200), ("False", 403), ("None", 200), ("undefined", 403))):
        with open(script + ".new", "w") as out:
            out.write("def allow_access(environ, host):\n  return %s\n" % source)
        os.utime(script + ".new", (1500000000 - turn, 1500000000 - turn))
        os.replace(script + ".new", script)
        assert server.get("/page.txt").status == status
    os.unlink(script)
    assert server.get("/page.txt").status == 403


@pytest.mark.skipif(REFERENCE, reason="there Python is part of the module")
def test_without_an_engine(make_httpd, tmp_path):
    os.chmod(tmp_path, 0o755)
    module = stage_module(str(tmp_path))
    for engine in tmp_path.glob("wsgi-engine-*"):
        engine.unlink()
    conf = "<Location />\nWSGIAccessScript {apps}/access.py\n</Location>\n"
    server = make_httpd(conf, apps="authentication", modules=MODULES, name="engineless-access", module=module)
    mark = server.log.mark()
    assert server.get("/").status == 403
    server.log.wait_for("WSGI0054", mark)
