"""WSGIScriptAlias, WSGIScriptAliasMatch and handlers: which script answers which URL, and what is refused before it runs."""
import json
import os

import pytest

from httpd_env import Httpd

CONF = r"""
WSGIApplicationGroup %{GLOBAL}
Alias /aliased/first {docs}/static.txt
WSGIScriptAlias /aliased {apps}/app.wsgi
WSGIScriptAlias /short {apps}/app.wsgi
WSGIScriptAlias /short/long {apps}/second.wsgi
WSGIScriptAlias /slash/ {apps}/app.wsgi/
WSGIScriptAlias /directory/ {apps}/
WSGIScriptAlias /double//slash {apps}/app.wsgi
WSGIScriptAlias /options {apps}/app.wsgi callable-object=own
WSGIScriptAlias /quoted "{apps}/with space.wsgi"
WSGIScriptAlias /no-path-info {apps}/app.wsgi
WSGIScriptAlias /gone {apps}/gone.wsgi
WSGIScriptAlias /is-directory {apps}
WSGIScriptAliasMatch ^/match/([a-z]+)/x {apps}/$1.wsgi
WSGIScriptAliasMatch ^/anything/ {apps}/app.wsgi
<Location /no-path-info>
  AcceptPathInfo Off
</Location>
<Directory {docs}/scripts>
  AddHandler wsgi-script .wsgi
  Options +ExecCGI
</Directory>
<Directory {docs}/no-exec>
  AddHandler wsgi-script .wsgi
  Options -ExecCGI
</Directory>
<Directory {docs}/typed>
  AddType application/x-httpd-wsgi .py
  Options +ExecCGI
</Directory>
<Directory {docs}/files>
  Options +ExecCGI
  <Files app>
    SetHandler wsgi-script
  </Files>
</Directory>
<Location /denied>
  Require all denied
</Location>
WSGIScriptAlias /denied {apps}/app.wsgi
"""


@pytest.fixture(scope="module")
def server():
    server = Httpd(CONF, apps="mapping", name="mapping")
    app = os.path.join(server.apps, "app.wsgi")
    os.link(app, os.path.join(server.apps, "with space.wsgi"))
    for path in ("scripts/app.wsgi", "scripts/deep/app.wsgi", "no-exec/app.wsgi", "typed/app.py", "files/app"):
        os.makedirs(os.path.dirname(os.path.join(server.docs, path)), exist_ok=True)
        os.link(app, os.path.join(server.docs, path))
    with open(os.path.join(server.docs, "static.txt"), "w") as static:
        static.write("static")
    with server:
        yield server


# URL: script, SCRIPT_NAME, PATH_INFO.
REACHED = {
    "/aliased": ("app.wsgi", "/aliased", ""),
    "/aliased/": ("app.wsgi", "/aliased", "/"),
    "/aliased/a/b?c=d": ("app.wsgi", "/aliased", "/a/b"),
    "//aliased//a": ("app.wsgi", "/aliased", "/a"),
    "/short/long/x": ("app.wsgi", "/short", "/long/x"),  # the first that matches, not the longest
    "/slash/a": ("app.wsgi", "/slash", "/a"),
    "/directory/app.wsgi/a": ("app.wsgi", "/directory/app.wsgi", "/a"),
    "/directory/second.wsgi": ("second.wsgi", "/directory/second.wsgi", ""),
    "/double/slash/a": ("app.wsgi", "/double/slash", "/a"),
    "/quoted/a": ("with space.wsgi", "/quoted", "/a"),
    "/no-path-info": ("app.wsgi", "/no-path-info", ""),
    "/match/second/x/rest": ("second.wsgi", "/match/second/x", "/rest"),
}


@pytest.mark.parametrize("url", REACHED)
def test_urls_that_reach_a_script(server, url):
    answer = server.get(url)
    assert answer.status == 200, answer
    seen = json.loads(answer.body)
    script, name, path_info = REACHED[url]
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"]) == (name, path_info)
    assert seen["SCRIPT_FILENAME"] == os.path.join(server.apps, script)
    assert seen["mod_wsgi.request_handler"] == "wsgi-script"


HANDLED = {
    "/scripts/app.wsgi": ("/scripts/app.wsgi", "", "wsgi-script"),
    "/scripts/app.wsgi/a/b": ("/scripts/app.wsgi", "/a/b", "wsgi-script"),
    "/scripts/deep/app.wsgi": ("/scripts/deep/app.wsgi", "", "wsgi-script"),
    "/typed/app.py/a": ("/typed/app.py", "/a", "application/x-httpd-wsgi"),
    "/files/app/a": ("/files/app", "/a", "wsgi-script"),
}


@pytest.mark.parametrize("url", HANDLED)
def test_handlers(server, url):
    answer = server.get(url)
    assert answer.status == 200, answer
    seen = json.loads(answer.body)
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"], seen["mod_wsgi.request_handler"]) == HANDLED[url]


def test_options_of_an_alias(server):
    assert json.loads(server.get("/options").body)["callable"] == "own"


def test_an_alias_of_mod_alias_wins(server):
    assert server.get("/aliased/first").body == b"static"


# URL: status, number in the log.
REFUSED = {
    "/no-exec/app.wsgi": (403, "WSGI0134"),
    "/gone": (404, "WSGI0135"),
    "/gone/a": (404, "WSGI0135"),
    "/is-directory": (403, "WSGI0136"),
    "/no-path-info/a": (404, "WSGI0137"),
    "/directory/nothing.wsgi": (404, "WSGI0135"),
    "/aliasedx": (404, None),
    "/Aliased": (404, None),
    "/scripts/missing.wsgi": (404, None),
    "/denied": (403, None),
    "/": (403, None),
}


@pytest.mark.parametrize("url", REFUSED)
def test_urls_that_are_refused(server, url):
    status, number = REFUSED[url]
    mark = server.log.mark()
    answer = server.get(url)
    assert answer.status in ((status, 404) if url == "/" else (status,)), answer
    if number:
        server.log.wait_for(number, mark)


def test_a_mount_at_the_root(make_httpd):
    server = make_httpd("WSGIScriptAlias / {apps}/app.wsgi", apps="mapping")
    for url, name, path_info in (("/", "", "/"), ("/a/b", "", "/a/b"), ("//a//b", "", "/a/b")):
        seen = json.loads(server.get(url).body)
        assert (seen["SCRIPT_NAME"], seen["PATH_INFO"]) == (name, path_info)


def test_virtual_hosts(make_httpd):
    server = make_httpd("""
        WSGIScriptAlias /everywhere {apps}/app.wsgi
        WSGIApplicationGroup main-server
        <VirtualHost 127.0.0.1:{port}>
          ServerName first.example
          WSGIScriptAlias /app {apps}/app.wsgi
          WSGIScriptAlias /everywhere {apps}/app.wsgi callable-object=own
        </VirtualHost>
        <VirtualHost 127.0.0.1:{port}>
          ServerName second.example
          WSGIApplicationGroup own-group
          WSGIScriptAlias /app {apps}/second.wsgi
        </VirtualHost>""", apps="mapping")

    def seen(host, url):
        return json.loads(server.request("GET", url, host=host).body)
    assert seen("first.example", "/app")["SCRIPT_FILENAME"].endswith("app.wsgi")
    assert seen("first.example", "/app")["mod_wsgi.application_group"] == "main-server"
    assert seen("second.example", "/app")["SCRIPT_FILENAME"].endswith("second.wsgi")
    assert seen("second.example", "/app")["mod_wsgi.application_group"] == "own-group"
    assert seen("first.example", "/everywhere")["callable"] == "own"
    assert seen("second.example", "/everywhere")["callable"] == "application"
