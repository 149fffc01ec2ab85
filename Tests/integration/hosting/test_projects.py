"""Projects that one deploys as they come: Trac behind a login, its wiki and its attachments; a git server and git itself."""
import base64
import hashlib
import os
import re
import subprocess
import sys
import urllib.parse

import pytest

from httpd_env import MODES, QUEUE, Httpd, virtual_environment
from test_frameworks import cookies, multipart

CONF = """
WSGIScriptAlias /trac {apps}/trac.wsgi %(place)s application-group=%%{GLOBAL}
WSGIScriptAlias /git {apps}/git.wsgi %(place)s application-group=git
WSGIChunkedRequest On
<Location /trac/login>
    AuthType Basic
    AuthName Trac
    AuthBasicProvider file
    AuthUserFile {root}/users
    Require valid-user
</Location>
"""
LOGIN = ("Authorization", "Basic " + base64.b64encode(b"admin:secret").decode())
# A user's own settings must not decide what is tested here.
GIT = dict(os.environ, GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_NOSYSTEM="1", GIT_TERMINAL_PROMPT="0", GIT_AUTHOR_NAME="A",
           GIT_AUTHOR_EMAIL="a@example.com", GIT_COMMITTER_NAME="A", GIT_COMMITTER_EMAIL="a@example.com")


def git(directory, *arguments):
    done = subprocess.run(["git", *arguments], cwd=directory, env=GIT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def make_writable(directory):
    for path, _, files in os.walk(directory):
        os.chmod(path, 0o777)
        for name in files:
            os.chmod(os.path.join(path, name), 0o666)


@pytest.fixture(scope="module", params=MODES)
def server(request):
    home = virtual_environment()
    if request.param == "daemon":
        conf = "WSGIDaemonProcess site threads=8 %s python-home=%s\n" % (QUEUE, home) + CONF % {"place": "process-group=site"}
    else:
        conf = "WSGIPythonHome %s\n" % home + CONF % {"place": "process-group=%{GLOBAL}"}
    server = Httpd(conf, apps="projects", name="projects",
                   modules=["authn_core", "authn_file", "auth_basic", "authz_user"])
    subprocess.run(["openssl", "passwd", "-apr1", "secret"], check=True, stdout=open(os.path.join(server.root, "hash"), "w"))
    with open(os.path.join(server.root, "hash")) as made, open(os.path.join(server.root, "users"), "w") as users:
        users.write("admin:" + made.read())
    environment = os.path.join(server.apps, "environment")
    trac = [os.path.join(os.path.dirname(sys.executable), "trac-admin"), environment]
    subprocess.run(trac + ["initenv", "Project", "sqlite:db/trac.db"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(trac + ["permission", "add", "admin", "TRAC_ADMIN"], check=True, stdout=subprocess.DEVNULL)
    git(server.apps, "init", "-q", "--bare", "-b", "main", "site.git")
    make_writable(environment)
    make_writable(os.path.join(server.apps, "site.git"))
    with server:
        yield server


class Browser:
    """Keeps cookies and Trac's form token, as a browser does."""

    def __init__(self, server):
        self.server, self.cookies = server, {}

    def request(self, method, path, headers=(), body=None):
        headers = list(headers) + [("Cookie", "; ".join("%s=%s" % pair for pair in self.cookies.items()))]
        answer = self.server.request(method, "/trac" + path, headers, body)
        self.cookies.update(cookies(answer))
        return answer

    def post(self, path, **fields):
        body = urllib.parse.urlencode(dict(fields, __FORM_TOKEN=self.cookies["trac_form_token"])).encode()
        return self.request("POST", path, [("Content-Type", "application/x-www-form-urlencoded")], body)


def test_trac(server):
    browser = Browser(server)
    assert "Welcome to Trac" in browser.request("GET", "/wiki").text
    assert browser.request("GET", "/login").status == 401
    back = browser.request("GET", "/login", [LOGIN])
    assert back.status == 302 and "trac_auth" in browser.cookies
    assert "logged in as" in browser.request("GET", "/wiki").text
    text = "= Grüße =\n" + "".join("line %d of the page\n\n" % number for number in range(500))
    saved = browser.post("/wiki/Sandkasten", action="edit", text=text, version="0", save="Submit changes")
    assert saved.status == 303, saved.text
    page = browser.request("GET", "/wiki/Sandkasten")
    assert page.status == 200 and "Grüße" in page.text and "line 499 of the page" in page.text
    assert browser.request("GET", "/wiki/Sandkasten?format=txt").text.replace("\r\n", "\n").strip() == text.strip()

    content = os.urandom(200_000)
    token = {"__FORM_TOKEN": browser.cookies["trac_form_token"], "action": "new", "realm": "wiki", "id": "Sandkasten"}
    headers, body = multipart(token, "attachment", content)
    assert browser.request("POST", "/attachment/wiki/Sandkasten/?action=new", headers, body).status == 303
    assert browser.request("GET", "/raw-attachment/wiki/Sandkasten/f.bin").body == content

    assert browser.request("GET", "/chrome/common/css/trac.css").status == 200
    assert browser.request("GET", "/nosuch").status == 404
    # Without the token, and from somebody who is not logged in.
    assert browser.request("POST", "/wiki/Sandkasten", [("Content-Type", "application/x-www-form-urlencoded")],
                           b"action=edit&text=x&version=1&save=1").status == 400
    assert Browser(server).request("GET", "/wiki/Sandkasten?action=delete").status == 403
    browser.post("/logout")
    assert "logged in as" not in browser.request("GET", "/wiki").text


def test_git(server, tmp_path):
    url = "http://127.0.0.1:%d/git/site.git" % server.port
    work = tmp_path / "work"
    git(tmp_path, "init", "-q", "-b", "main", "work")
    digests = {}
    # More than http.postBuffer: git then sends a chunked body, and asks whether it may first.
    for name, size in (("small", 100), ("large", 3_000_000)):
        content = os.urandom(size)
        digests[name] = hashlib.sha256(content).hexdigest()
        (work / name).write_bytes(content)
        git(work, "add", name)
        git(work, "commit", "-qm", name)
        git(work, "push", "-q", url, "main")
    for number in range(50):
        (work / "small").write_text("change %d\n" % number)
        git(work, "commit", "-qam", "change %d" % number)
    git(work, "push", "-q", url, "main", "HEAD:refs/heads/other")
    git(tmp_path, "clone", "-q", url, "copy")
    copy = tmp_path / "copy"
    assert git(copy, "rev-parse", "HEAD") == git(work, "rev-parse", "HEAD")
    assert git(copy, "log", "--oneline").count("\n") == 52
    assert hashlib.sha256((copy / "large").read_bytes()).hexdigest() == digests["large"]
    git(copy, "fsck", "--strict")
    (work / "small").write_text("last\n")
    git(work, "commit", "-qam", "last")
    git(work, "push", "-q", url, "main")
    git(copy, "pull", "-q")
    assert (copy / "small").read_text() == "last\n"
    assert set(re.findall(r"refs/heads/\S+", git(copy, "ls-remote", url))) == {"refs/heads/main", "refs/heads/other"}
