"""What directives change about a request, in every scope that they may stand in."""
import os

import pytest

from httpd_env import MODES, REFERENCE, Httpd
from processes import about

GROUPS = {"embedded": "%{GLOBAL}", "daemon": "site"}
NEW = pytest.mark.difference("an addition")


def start(lines, **more):
    head = ["WSGIDaemonProcess site python-path={lib} threads=4", "WSGISocketPrefix {root}/wsgi"] if "daemon" in MODES else []
    return Httpd("\n".join(head + lines), apps="directives", name="requests", **more)


def alias(mode, name, options="application-group=%{GLOBAL}"):
    return "WSGIScriptAlias /%s/%s {apps}/app.wsgi process-group=%s %s" % (mode, name, GROUPS[mode], options)


def section(mode, name, *lines):
    return ["<Location /%s/%s>" % (mode, name)] + list(lines) + ["</Location>"]


HEADER = [("Authorization", "Bearer token")]


@pytest.fixture(scope="module")
def site():
    lines = []
    for mode in MODES:
        lines += [alias(mode, "plain"), alias(mode, "case/Dir")]
        for name, directives in SECTIONS.items():
            lines += [alias(mode, name)] + section(mode, name, *directives)
        for name, group in NAMED.items():
            lines += ["WSGIScriptAlias /%s/named/%s {apps}/app.wsgi process-group=%s" % (mode, name, GROUPS[mode])]
            lines += section(mode, "named/" + name, "WSGIApplicationGroup " + group)
    with start(lines + ["SetEnv STATIC from-setenv", "SetEnvIf X-Choose (.+) CHOSEN=$1",
                        "SetEnvIf X-Static . STATIC=from-setenvif"],
               environment={"FROM_PROCESS": "of-httpd"}) as server:
        yield server


SECTIONS = {
    "auth": ["WSGIPassAuthorization On"], "record": ["WSGIPassApacheRequest On"], "override": ["WSGIErrorOverride On"],
    "chunked": ["WSGIChunkedRequest On"], "head-on": ["WSGIMapHEADToGET On"], "head-off": ["WSGIMapHEADToGET Off"],
    "callable": ["WSGICallableObject other"], "callable-env": ["WSGICallableObject %{ENV:CHOSEN}"],
    "restricted": ["WSGIRestrictProcess elsewhere"], "allowed": ["WSGIRestrictProcess elsewhere SITE %{GLOBAL}"],
    "group-env": ["WSGIApplicationGroup %{ENV:CHOSEN}"],
}
NAMED = {
    "resource": "%{RESOURCE}", "server": "%{SERVER}", "host": "%{HOST}", "global": "%{GLOBAL}", "chosen": "%{ENV:CHOSEN}",
    "process": "%{ENV:FROM_PROCESS}", "static": "%{ENV:STATIC}", "nowhere": "%{ENV:NOWHERE}", "odd": "%{OTHER}",
}


def environ_of(server, path, headers=(), method="GET", **more):
    answer = server.request(method, path + "/environ", headers, **more)
    assert answer.status == 200, answer
    return eval(answer.text)


def test_passing_authorization(site, mode):
    assert environ_of(site, "/%s/auth" % mode, HEADER)["HTTP_AUTHORIZATION"] == "Bearer token"
    assert "HTTP_AUTHORIZATION" not in environ_of(site, "/%s/plain" % mode, HEADER)


def test_passing_the_request(site, mode):
    expected = {"embedded": "PyCapsule", "daemon": "NoneType"}[mode]
    assert site.get("/%s/record/record" % mode).text == expected
    assert site.get("/%s/plain/record" % mode).text == "NoneType"


@pytest.mark.difference("the reference overrides errors in daemon mode only")
def test_error_documents(site, mode):
    plain, override = site.get("/%s/plain/missing" % mode), site.get("/%s/override/missing" % mode)
    assert (plain.status, plain.text, plain.header("X-Own")) == (404, "gone fishing", "kept")
    assert override.status == 404 and "was not found" in override.text and override.header("X-Own") is None


def test_chunked_bodies(site, mode):
    chunks = b"3\r\nabc\r\n0\r\n\r\n"
    headers = [("Transfer-Encoding", "chunked")]
    assert site.request("POST", "/%s/chunked/echo" % mode, headers, chunks).text == "POST 3"
    assert site.request("POST", "/%s/plain/echo" % mode, headers, chunks).status == 411


@pytest.mark.parametrize("name, method", [("plain", "HEAD"), ("head-on", "GET"), ("head-off", "HEAD")])
def test_head_as_get(site, mode, name, method):
    answer = site.request("HEAD", "/%s/%s/echo" % (mode, name))
    assert answer.status == 200 and answer.header("X-Method") == method and not answer.body


def test_the_callable_object(site, mode):
    assert site.get("/%s/callable/facts" % mode).text == "another callable"
    assert site.get("/%s/callable-env/facts" % mode, [("X-Choose", "other")]).text == "another callable"
    missing = site.get("/%s/callable-env/facts" % mode, [("X-Choose", "nosuch")])
    assert missing.status == 404 or REFERENCE and missing.status == 500
    # No value: as if nothing had been said.
    assert site.get("/%s/callable-env/facts" % mode).status == 200


def test_restricted_groups(site, mode):
    mark = site.log.mark()
    assert site.get("/%s/restricted/facts" % mode).status == 500
    site.log.wait_for("WSGI0149", mark)
    assert site.get("/%s/allowed/facts" % mode).status == 200


EXPANDED = {
    "resource": "localhost|/{mode}/named/resource", "server": "localhost", "host": "localhost", "global": "",
    "process": "of-httpd",
    "static": "from-setenv", "nowhere": "%{ENV:NOWHERE}", "odd": "%{OTHER}",
}


@pytest.mark.parametrize("name", [name for name in EXPANDED if name != "static"])
def test_names_are_expanded(site, mode, name):
    seen = environ_of(site, "/%s/named/%s" % (mode, name))
    assert seen["mod_wsgi.application_group"] == EXPANDED[name].replace("{mode}", mode)


@pytest.mark.parametrize("value, expected", [
    ("picked", "picked"), ("%{GLOBAL}", ""), ("%{SERVER}", "localhost"), ("%{ENV:FROM_PROCESS}", "%{ENV:FROM_PROCESS}"), ("%",
                                                                                                                          "%")])
def test_a_name_from_the_request_is_expanded_once_more(site, mode, value, expected):
    seen = environ_of(site, "/%s/named/chosen" % mode, [("X-Choose", value)])
    assert seen["mod_wsgi.application_group"] == expected


def test_variables_of_the_request_come_before_those_of_the_process(site, mode):
    assert environ_of(site, "/%s/named/static" % mode)["mod_wsgi.application_group"] == "from-setenv"


# MARK: %{AUTO}

@NEW
@pytest.mark.skipif("daemon" not in MODES, reason="no daemon mode")
def test_auto_is_the_main_interpreter_of_a_group_with_a_single_application(make_httpd):
    server = make_httpd("\n".join([
        "WSGIApplicationGroup %{AUTO}", "WSGIDaemonProcess single python-path={lib}",
        "WSGIDaemonProcess double python-path={lib}",
        "WSGIDaemonProcess section python-path={lib}",
        "WSGIScriptAlias /single {apps}/app.wsgi process-group=single",
        "WSGIScriptAlias /again {apps}/app.wsgi process-group=single",
        "WSGIScriptAlias /first {apps}/app.wsgi process-group=double",
        "WSGIScriptAlias /second {apps}/second.wsgi process-group=double",
        "WSGIScriptAlias /section {apps}/app.wsgi", "<Location /section>", "WSGIProcessGroup section", "</Location>",
        "WSGIScriptAlias /embedded {apps}/app.wsgi process-group=%{GLOBAL}"]), apps="directives")
    os.symlink(os.path.join(server.apps, "app.wsgi"), os.path.join(server.apps, "second.wsgi"))
    names = {name: environ_of(server, "/" + name)["mod_wsgi.application_group"]
             for name in ("single", "again", "first", "second", "section", "embedded")}
    assert names == {"single": "", "again": "", "first": "localhost|/first", "second": "localhost|/second", "section": "",
                     "embedded": "localhost|/embedded"}


@NEW
@pytest.mark.skipif("daemon" not in MODES, reason="no daemon mode")
def test_auto_where_a_request_may_choose_the_group(make_httpd):
    server = make_httpd("\n".join([
        "WSGIApplicationGroup %{AUTO}", "WSGIDaemonProcess single python-path={lib}",
        "WSGIScriptAlias /single {apps}/app.wsgi process-group=single", "<Location /single>", "SetEnv GROUP single",
        "</Location>",
        "WSGIScriptAlias /chosen {apps}/app.wsgi process-group=%{ENV:GROUP}"]), apps="directives")
    assert environ_of(server, "/single")["mod_wsgi.application_group"] == "localhost|/single"


# MARK: case

@pytest.mark.parametrize("sensitive", ["On", "Off"])
def test_case_of_script_names(mode, sensitive):
    with start([alias(mode, "Mixed", ""), "WSGICaseSensitivity " + sensitive]) as server:
        group = environ_of(server, "/%s/Mixed" % mode)["mod_wsgi.application_group"]
        assert group == "localhost|/%s/%s" % (mode, "Mixed" if sensitive == "On" else "mixed")


# MARK: where the directives stand

SCOPES = {
    "server": "WSGIPassAuthorization On\n{alias}",
    "virtual host": "<VirtualHost *:{port}>\nServerName localhost\nWSGIPassAuthorization On\n{alias}\n</VirtualHost>",
    "server, for a virtual host":
        "WSGIPassAuthorization On\n<VirtualHost *:{port}>\nServerName localhost\n{alias}\n</VirtualHost>",
    "location": "{alias}\n<Location /x>\nWSGIPassAuthorization On\n</Location>",
    "directory": "{alias}\n<Directory {apps}>\nWSGIPassAuthorization On\n</Directory>",
    "files": "{alias}\n<Files app.wsgi>\nWSGIPassAuthorization On\n</Files>",
    "condition": "{alias}\n<If \"true\">\nWSGIPassAuthorization On\n</If>",
    ".htaccess": "{alias}\n<Directory {apps}>\nAllowOverride FileInfo\n</Directory>",
    "inner over outer": "WSGIPassAuthorization Off\n{alias}\n<Location /x>\nWSGIPassAuthorization On\n</Location>",
    "alias over all":
        "WSGIPassAuthorization Off\n{alias} pass-authorization=On\n<Location /x>\nWSGIPassAuthorization Off\n</Location>",
}
NOT = {
    "another location": "{alias}\n<Location /y>\nWSGIPassAuthorization On\n</Location>",
    "another host": "{alias}\n<VirtualHost *:{port}>\nServerName other\nServerAlias localhost\n</VirtualHost>\n"
                    "<VirtualHost *:{port}>\nServerName different\nWSGIPassAuthorization On\n</VirtualHost>",
    "inner over outer": "WSGIPassAuthorization On\n{alias}\n<Location /x>\nWSGIPassAuthorization Off\n</Location>",
    "deeper over shallower": "{alias}\n<Directory {root}>\nWSGIPassAuthorization On\n</Directory>\n<Directory {apps}>\n"
                             "WSGIPassAuthorization Off\n</Directory>",
    "alias over all": "WSGIPassAuthorization On\n{alias} pass-authorization=Off",
    ".htaccess without leave": "{alias}\n<Directory {apps}>\nAllowOverride AuthConfig\n</Directory>",
}


def passes(mode, conf, access_file=False):
    conf = conf.replace("{alias}", "WSGIScriptAlias /x {apps}/app.wsgi process-group=%s "
                        "application-group=%%{GLOBAL}" % GROUPS[mode])
    server = start([conf])
    if access_file:
        with open(os.path.join(server.apps, ".htaccess"), "w") as out:
            out.write("WSGIPassAuthorization On\n")
    with server:
        answer = server.get("/x/environ", HEADER)
        return "HTTP_AUTHORIZATION" in eval(answer.text) if answer.status == 200 else answer.status


@pytest.mark.parametrize("scope", SCOPES)
def test_a_scope_that_applies(mode, scope):
    assert passes(mode, SCOPES[scope], scope == ".htaccess") is True


@pytest.mark.parametrize("scope", NOT)
def test_a_scope_that_does_not(mode, scope):
    assert passes(mode, NOT[scope], ".htaccess" in scope) == (500 if ".htaccess" in scope else False)


# MARK: trusted proxies

TRUSTED = "WSGITrustedProxies 127.0.0.1 10.0.0.0/8\n"
ALL = ("WSGITrustedProxyHeaders X-Forwarded-For X-Real-IP X-Forwarded-Host X-Forwarded-Server X-Forwarded-Port X-Forwarded-Proto "
       "X-Script-Name")
HTTPS = {"wsgi.url_scheme": "https"}
HTTP = {"wsgi.url_scheme": "http"}
# Directives, the request's headers, and what the application sees; None is a key that is not there.
PROXIED = [
    (ALL, [("X-Forwarded-For", "1.2.3.4")], {"REMOTE_ADDR": "1.2.3.4", "HTTP_X_FORWARDED_FOR": "1.2.3.4"}),
    (ALL, [("X-Forwarded-For", " , 1.2.3.4 , 5.6.7.8")], {"REMOTE_ADDR": "1.2.3.4",
                                                          "HTTP_X_FORWARDED_FOR": ", 1.2.3.4 , 5.6.7.8"}),
    (TRUSTED + ALL, [("X-Forwarded-For", "1.2.3.4, 5.6.7.8, 10.0.0.1")],
     {"REMOTE_ADDR": "5.6.7.8", "HTTP_X_FORWARDED_FOR": "5.6.7.8, 10.0.0.1"}),
    (TRUSTED + ALL, [("X-Forwarded-For", "1.2.3.4, 5.6.7.8")], {"REMOTE_ADDR": "5.6.7.8", "HTTP_X_FORWARDED_FOR": "5.6.7.8"}),
    (TRUSTED + ALL, [("X-Forwarded-For", "10.0.0.2, 10.0.0.1")], {"REMOTE_ADDR": "10.0.0.2",
                                                                  "HTTP_X_FORWARDED_FOR": "10.0.0.2, 10.0.0.1"}),
    (TRUSTED + ALL, [("X-Forwarded-For", "evil, 10.0.0.1")], {"REMOTE_ADDR": "evil", "HTTP_X_FORWARDED_FOR": "evil, 10.0.0.1"}),
    (TRUSTED + ALL, [("X-Forwarded-For", " , ")], {"REMOTE_ADDR": "127.0.0.1"}),
    (TRUSTED + ALL, [("X-Real-IP", "anything")], {"REMOTE_ADDR": "anything", "HTTP_X_REAL_IP": "anything"}),
    (TRUSTED + ALL, [("X-Real-IP", "9.9.9.9"), ("X-Forwarded-For", "1.2.3.4")],
     {"REMOTE_ADDR": "9.9.9.9", "HTTP_X_REAL_IP": "9.9.9.9", "HTTP_X_FORWARDED_FOR": None}),
    (TRUSTED + ALL, [("X-Forwarded-Host", "shop.example:8443")], {"HTTP_HOST": "shop.example:8443"}),
    (TRUSTED + ALL, [("X-Forwarded-Server", "inner"), ("X-Forwarded-Port", "8443")], {"SERVER_NAME": "inner",
                                                                                      "SERVER_PORT": "8443"}),
    (TRUSTED + ALL, [("X-Script-Name", "/mounted")], {"SCRIPT_NAME": "/mounted", "mod_wsgi.mount_point": "/mounted"}),
    (TRUSTED + ALL, [("X-Forwarded-Proto", "HTTPS")], HTTPS), (TRUSTED + ALL, [("X-Forwarded-Proto", "ftp")], HTTP),
    ("WSGITrustedProxyHeaders X-Forwarded-SSL", [("X-Forwarded-SSL", "on")], HTTPS),
    ("WSGITrustedProxyHeaders X-Forwarded-SSL", [("X-Forwarded-SSL", "1")], HTTPS),
    ("WSGITrustedProxyHeaders X-Forwarded-SSL", [("X-Forwarded-SSL", "off")], HTTP),
    ("WSGITrustedProxyHeaders X-Forwarded-SSL", [("X-Forwarded-SSL", "yes")], HTTP),
    ("WSGITrustedProxyHeaders X-Forwarded-SSL X-Forwarded-Proto", [("X-Forwarded-Proto", "http"), ("X-Forwarded-SSL", "on")],
     {"wsgi.url_scheme": "http", "HTTP_X_FORWARDED_SSL": None, "HTTP_X_FORWARDED_PROTO": "http"}),
    # What is not listed is left alone; synonyms of what is listed go.
    ("WSGITrustedProxyHeaders X-Forwarded-For", [("X-Client-IP", "7.7.7.7"), ("X-Forwarded-Host", "shop")],
     {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_CLIENT_IP": None, "HTTP_X_FORWARDED_HOST": "shop", "HTTP_HOST": "localhost"}),
    ("WSGITrustedProxyHeaders X-Unknown", [("X-Unknown", "x"), ("X-Forwarded-For", "1.2.3.4")],
     {"HTTP_X_UNKNOWN": "x", "HTTP_X_FORWARDED_FOR": "1.2.3.4", "REMOTE_ADDR": "127.0.0.1"}),
    # A peer that is not trusted.
    ("WSGITrustedProxies 10.0.0.0/8\n" + ALL,
     [("X-Forwarded-For", "1.2.3.4"), ("X-Forwarded-Proto", "https"), ("X-Script-Name", "/mounted"), ("X-Other", "x")],
     {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": None, "HTTP_X_FORWARDED_PROTO": None, "HTTP_X_SCRIPT_NAME": None,
      "wsgi.url_scheme": "http", "HTTP_X_OTHER": "x"}),
    ("WSGITrustedProxies ::1\n" + ALL, [("X-Forwarded-For", "1.2.3.4")], {"REMOTE_ADDR": "127.0.0.1",
                                                                          "HTTP_X_FORWARDED_FOR": None}),
]


@pytest.fixture(scope="module")
def proxied():
    lines = []
    for index, (directives, _, _) in enumerate(PROXIED):
        for mode in MODES:
            lines += [alias(mode, "p%d" % index)] + section(mode, "p%d" % index, directives)
    with start(lines) as server:
        yield server


@pytest.mark.parametrize("index", range(len(PROXIED)))
def test_trusted_proxies(proxied, mode, index):
    _, headers, expected = PROXIED[index]
    seen = environ_of(proxied, "/%s/p%d" % (mode, index), headers)
    assert {key: seen.get(key) for key in expected} == expected
    assert "HTTPS" not in seen


# MARK: embedded mode refused

@pytest.mark.skipif("daemon" not in MODES, reason="no daemon mode")
def test_restricted_embedded_mode():
    lines = ["WSGIRestrictEmbedded On"] + [alias(mode, "x") for mode in MODES]
    with start(lines) as server:
        assert server.get("/daemon/x/facts").status == 200
        mark = server.log.mark()
        if "embedded" in MODES:
            assert server.get("/embedded/x/facts").status == 500
            server.log.wait_for("WSGI0143", mark)
        # Python is in none of httpd's children.
        for pid in [] if REFERENCE else server.children():
            assert "libpython" not in about(pid, "maps")
