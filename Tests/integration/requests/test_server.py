"""What httpd puts around an application: TLS, HTTP/2, filters, error documents, includes, proxies in front."""
import json
import os
import shutil
import subprocess

import pytest

from httpd_env import Httpd, Site, free_port
from processes import about

CONF = r"""
Protocols h2 h2c http/1.1
Listen 127.0.0.1:{tls}
<VirtualHost *:{tls}>
  SSLEngine On
  SSLCertificateFile {root}/server.crt
  SSLCertificateKeyFile {root}/server.key
  <LocationMatch /environ>
    SSLOptions +StdEnvVars
  </LocationMatch>
</VirtualHost>
<Location /embedded/overridden>
  WSGIErrorOverride On
  ErrorDocument 404 "from httpd"
</Location>
<Location /daemon/overridden>
  WSGIErrorOverride On
  ErrorDocument 404 "from httpd"
</Location>
<LocationMatch ^/(embedded|daemon)/compressed>
  SetOutputFilter DEFLATE
</LocationMatch>
<Directory {docs}>
  Options +Includes
  SetOutputFilter INCLUDES
</Directory>
<LocationMatch ^/(embedded|daemon)/proxied>
  WSGITrustedProxyHeaders X-Forwarded-For X-Forwarded-Proto X-Forwarded-Host X-Script-Name
  WSGITrustedProxies 127.0.0.1 10.0.0.0/8
</LocationMatch>
<LocationMatch ^/(embedded|daemon)/untrusted>
  WSGITrustedProxyHeaders X-Forwarded-For X-Forwarded-Proto
  WSGITrustedProxies 192.0.2.1
</LocationMatch>
"""


class ServerSite(Site):
    """A site that also answers TLS. Each path is served below itself too, where directives wait for it."""

    def __init__(self):
        self.tls = free_port()
        super().__init__("server", conf=CONF.replace("{tls}", str(self.tls)),
                         modules=["ssl", "http2", "deflate", "filter", "include", "socache_shmcb"])
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-keyout", os.path.join(self.httpd.root, "server.key"),
                        "-out", os.path.join(self.httpd.root, "server.crt")], check=True, capture_output=True)
        with open(self.path(), "a") as script:
            script.write("\n\nfor name in ('overridden', 'compressed', 'proxied', 'untrusted'):\n"
                         "    route.cases[name] = lambda environ, start_response: route.application(\n"
                         "        dict(environ, PATH_INFO='/' + environ['test.rest']), start_response)\n")

    def curl(self, path, *options, tls=False):
        """Exit status, status line's number, HTTP version and body."""
        output = os.path.join(self.httpd.root, "curl-output")
        address = "https://127.0.0.1:%d" % self.tls if tls else "http://127.0.0.1:%d" % self.httpd.port
        done = subprocess.run(["curl", "-sk", "-o", output, "-w", "%{http_code} %{http_version}", *options, address + path],
                              capture_output=True, text=True, timeout=60)
        status, version = done.stdout.split()
        body = b""
        if os.path.exists(output):
            with open(output, "rb") as file:
                body = file.read()
            os.unlink(output)
        return done.returncode, int(status), version, body


SITE = ServerSite
PROTOCOLS = [("--http1.1", False), ("--http1.1", True), ("--http2", True), ("--http2-prior-knowledge", False)]
protocols = pytest.mark.parametrize("option,tls", PROTOCOLS, ids=["1.1", "1.1-tls", "2-tls", "2"])
CURL_PARTIAL_FILE, CURL_HTTP2_STREAM = 18, 92


BODIES = {"large": b"0123456789" * 300000, "stream": b"".join(b"%d\n" % number for number in range(1000)),
          "file": (b"0123456789" * 30000)[5:]}


@protocols
@pytest.mark.parametrize("path", BODIES)
def test_responses_arrive_whole(site, mode, option, tls, path):
    code, status, version, received = site.curl("/%s/%s" % (mode, path), option, tls=tls)
    assert (code, status, version) == (0, 200, "2" if "2" in option else "1.1")
    assert received == BODIES[path]


@protocols
@pytest.mark.parametrize("path", ["cut", "short"])
def test_a_broken_response_never_looks_whole(site, mode, option, tls, path):
    code, _, _, _ = site.curl("/%s/%s" % (mode, path), option, tls=tls)
    assert code == (CURL_HTTP2_STREAM if "2" in option else CURL_PARTIAL_FILE)


@protocols
def test_request_bodies(site, mode, option, tls):
    upload = os.path.join(site.httpd.root, "upload")
    with open(upload, "wb") as file:
        file.write(b"u" * 1000000)
    code, status, _, body = site.curl("/%s/length" % mode, option, "--data-binary", "@" + upload, tls=tls)
    assert (code, status, body) == (0, 200, b"1000000")


def test_tls_in_the_environ(site, mode):
    environ = json.loads(site.curl("/%s/environ" % mode, tls=True)[3])
    assert environ["wsgi.url_scheme"] == environ["REQUEST_SCHEME"] == "https"
    assert environ["SSL_PROTOCOL"].startswith("TLSv1") and "HTTPS" not in environ
    assert environ["SERVER_PORT"] == str(site.tls)
    environ = json.loads(site.get(mode, "/environ").body)
    assert environ["wsgi.url_scheme"] == "http" and "SSL_PROTOCOL" not in environ


@pytest.mark.difference("the reference overrides errors in daemon mode only")
def test_error_documents_replace_those_of_the_application(site, mode):
    answer = site.get(mode, "/overridden/error?status=404")
    assert (answer.status, answer.text) == (404, "from httpd")
    assert answer.header("WWW-Authenticate") == 'Basic realm="here"' and answer.header("X-Mine") is None
    answer = site.get(mode, "/overridden/error?status=399")
    assert (answer.status, answer.text) == (399, "from the application")
    answer = site.get(mode, "/error?status=404")
    assert (answer.status, answer.reason, answer.text) == (404, "Of Mine", "from the application")


def test_compression(site, mode):
    code, status, _, body = site.curl("/%s/compressed/large" % mode, "--compressed")
    assert (code, status) == (0, 200) and body == BODIES["large"]
    code, _, _, _ = site.curl("/%s/compressed/cut" % mode, "--compressed")
    assert code != 0 or site.log.lines("on purpose")


def test_head_is_shown_as_get_to_filters_that_need_the_body(site, mode):
    accept = [("Accept-Encoding", "gzip")]
    with site.httpd.client() as client:
        head = client.request("HEAD", "/%s/compressed/large" % mode, accept)
    assert head.header("Content-Encoding") == "gzip" and head.body == b""


def test_an_included_application(site, mode):
    page = os.path.join(site.httpd.docs, "page-%s.shtml" % mode)
    with open(page, "w") as file:
        file.write('a<!--#include virtual="/%s/environ" -->b<!--#include virtual="/%s/who" -->c' % (mode, mode))
    body = site.httpd.get("/page-%s.shtml" % mode).text
    assert body.startswith("a{") and body.endswith("]c")
    environ = json.loads(body[1:body.rindex("}") + 1])
    assert environ["SERVER_PROTOCOL"] == "INCLUDED"
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/" + mode, "/environ")


def environ_for(site, mode, path, headers):
    return json.loads(site.get(mode, path, headers).body)


def test_a_trusted_proxy_is_believed(site, mode):
    environ = environ_for(site, mode, "/proxied/environ", [
        ("X-Forwarded-For", "198.51.100.7, 203.0.113.9, 10.1.2.3"), ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "shop.example"), ("X-Script-Name", "/mounted"), ("X-Real-IP", "1.1.1.1")])
    assert environ["REMOTE_ADDR"] == "203.0.113.9" and environ["HTTP_X_FORWARDED_FOR"] == "203.0.113.9, 10.1.2.3"
    assert environ["wsgi.url_scheme"] == "https" and environ["HTTP_HOST"] == "shop.example"
    assert environ["SCRIPT_NAME"] == environ["mod_wsgi.mount_point"] == "/mounted"
    assert environ["mod_wsgi.script_name"] == "/" + mode
    assert "HTTP_X_REAL_IP" not in environ and "HTTPS" not in environ


def test_another_peer_is_not(site, mode):
    environ = environ_for(site, mode, "/untrusted/environ", [
        ("X-Forwarded-For", "198.51.100.7"), ("X-Forwarded-Proto", "https"), ("X-Real-IP", "1.1.1.1"), ("X-Other", "kept")])
    assert environ["REMOTE_ADDR"] == "127.0.0.1" and environ["wsgi.url_scheme"] == "http"
    assert not [key for key in environ if "FORWARDED" in key or "REAL" in key]
    assert environ["HTTP_X_OTHER"] == "kept"


# MARK: Python in httpd's children

def test_children_have_no_python_before_something_needs_it(make_httpd):
    """A handler that no directive at server level leads to: the first request starts Python."""
    server = make_httpd("WSGIApplicationGroup %{GLOBAL}\n<Directory {docs}>\nAllowOverride All\nOptions +ExecCGI\n</Directory>",
                        apps="server", name="lazy")

    def has_python():
        return any("libpython" in about(pid, "maps") for pid in server.children())
    shutil.copy(os.path.join(server.apps, "app.wsgi"), server.docs)
    with open(os.path.join(server.docs, ".htaccess"), "w") as file:
        file.write("AddHandler wsgi-script .wsgi\n")
    assert server.get("/nothing").status == 404 and not has_python()
    answers = [server.get("/app.wsgi/thread").text for _ in range(3)]
    assert answers == ["False"] * 3 and has_python()
    server.graceful()
    assert server.get("/app.wsgi/thread").text == "False"


def test_the_parent_never_has_python(make_httpd):
    server = make_httpd("WSGIScriptAlias / {apps}/app.wsgi process-group=%{GLOBAL} application-group=%{GLOBAL}", apps="server")
    assert server.get("/thread").status == 200
    with open("/proc/%d/maps" % server.pid) as maps:
        assert "libpython" not in maps.read()


def test_restrict_embedded(make_httpd):
    server = make_httpd("WSGIRestrictEmbedded On\nWSGIScriptAlias / {apps}/app.wsgi", apps="server")
    assert server.get("/who").status == 500
    server.log.wait_for("WSGI0143")


def make_home(server, version):
    home = server.make_directory("environment")
    with open(os.path.join(home, "pyvenv.cfg"), "w") as file:
        file.write("home = /usr/bin\nversion = %s\n" % version)
    return home


def test_an_environment_of_another_version(make_httpd):
    server = Httpd(apps="server", name="home")
    server.configure("WSGIPythonHome %s\nWSGIScriptAlias / {apps}/app.wsgi" % make_home(server, "3.2.1"))
    with server:
        assert server.get("/who").status == 500
        line, = server.log.wait_for("WSGI0210")[:1]
        for part in (os.path.join(server.root, "environment"), "Python 3.2", "make engine PYTHON=python3.2"):
            assert part in line
        with open(os.path.join(server.docs, "static.txt"), "w") as file:
            file.write("httpd lives")
        assert server.get("/who").status == 500


@pytest.mark.parametrize("home", ["{root}/none", "{docs}"])
def test_a_home_that_is_no_python(make_httpd, home):
    server = make_httpd("WSGIPythonHome %s\nWSGIScriptAlias /app {apps}/app.wsgi" % home, apps="server")
    assert server.get("/app/who").status == 500
    server.log.wait_for("WSGI0210: .*python3 -m venv")
    assert server.get("/").status in (403, 404)


def test_no_engine(make_httpd):
    server = Httpd(apps="server", name="no-engine")
    directory = os.path.dirname(server.module)
    for name in os.listdir(directory):
        if name.startswith("wsgi-engine"):
            os.unlink(os.path.join(directory, name))
    server.configure("WSGIScriptAlias / {apps}/app.wsgi")
    with server:
        assert server.get("/who").status == 500
        line, = server.log.wait_for("WSGI0210")[:1]
        assert directory in line and "make engine PYTHON=" in line


def test_configtest_tells_what_is_odd(make_httpd):
    server = Httpd("WSGIScriptAlias /a {apps}/app.wsgi\nWSGIScriptAlias /a/b {apps}/none.wsgi", apps="server", name="odd")
    code, output = server.check()
    assert code == 0 and "WSGI0300" in output and "WSGI0307" in output and "Syntax OK" in output
    server.remove()
