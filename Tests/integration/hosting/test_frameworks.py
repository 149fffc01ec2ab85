"""Real applications, under every MPM: Django (admin over a session, upload, streaming), Flask, and PEP 3333's own validator."""
import hashlib
import json
import os
import re
import subprocess
import sys
import urllib.parse

import pytest

from httpd_env import APPS, MODES, QUEUE, Httpd, run_together, virtual_environment

WHERE = [("embedded", "event"), ("embedded", "worker"), ("embedded", "prefork"), ("daemon", "event")]
SCRIPTS = {"first": "django_first.wsgi", "second": "django_second.wsgi", "flask": "flask_app.wsgi",
           "validated": "validated.wsgi"}
STREAM = b"".join(b"%05d\n" % number for number in range(20000))


@pytest.fixture(scope="module", params=[where for where in WHERE if where[0] in MODES], ids="-".join)
def server(request):
    mode, mpm = request.param
    home, conf = virtual_environment(), []
    if mode == "daemon":
        conf = ["WSGISocketPrefix {root}/wsgi", "WSGIDaemonProcess site threads=8 %s python-home=%s" % (QUEUE, home)]
    else:
        conf = ["WSGIPythonHome " + home]
    for name, script in SCRIPTS.items():
        conf.append("WSGIScriptAlias /%s {apps}/%s process-group=%s application-group=%s"
                    % (name, script, "site" if mode == "daemon" else "%{GLOBAL}", name))
    server = Httpd("\n".join(conf), apps="frameworks", mpm=mpm, name="frameworks", processes=2 if mpm == "prefork" else 1)
    data = os.path.join(server.apps, "data")
    os.mkdir(data)
    django = [sys.executable, "-m", "django"]
    environment = dict(os.environ, DJANGO_SETTINGS_MODULE="settings_first", PYTHONPATH=server.apps,
                       DJANGO_SUPERUSER_PASSWORD="secret", PYTHONDONTWRITEBYTECODE="1")
    subprocess.run(django + ["migrate", "-v", "0"], env=environment, check=True)
    subprocess.run(django + ["createsuperuser", "--noinput", "--username", "admin", "--email", "a@example.com"],
                   env=environment, check=True, stdout=subprocess.DEVNULL)
    os.chmod(data, 0o777)
    os.chmod(os.path.join(data, "site.db"), 0o666)
    with server:
        yield server


def multipart(fields, name, content):
    border = "----border"
    parts = ["--%s\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n" % (border, key, value)
             for key, value in fields.items()]
    head = "".join(parts) + "--%s\r\nContent-Disposition: form-data; name=\"%s\"; filename=\"f.bin\"\r\n\r\n" % (border, name)
    return ([("Content-Type", "multipart/form-data; boundary=" + border)],
            head.encode() + content + ("\r\n--%s--\r\n" % border).encode())


def cookies(answer):
    return dict(value.split(";")[0].split("=", 1) for value in answer.all("Set-Cookie"))


def test_django_admin_over_a_session(server):
    jar = {}

    def visit(method, path, headers=(), body=None):
        cookie = [("Cookie", "; ".join("%s=%s" % pair for pair in jar.items()))] if jar else []
        answer = server.request(method, path, list(headers) + cookie, body)
        jar.update(cookies(answer))
        return answer
    answer = visit("GET", "/first/admin/")
    assert answer.status == 302 and answer.header("Location").startswith("/first/admin/login/")
    answer = visit("GET", answer.header("Location"))
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', answer.text).group(1)
    form = urllib.parse.urlencode({"csrfmiddlewaretoken": token, "username": "admin", "password": "secret",
                                   "next": "/first/admin/"}).encode()
    kind = [("Content-Type", "application/x-www-form-urlencoded")]
    answer = visit("POST", "/first/admin/login/", kind, form)
    assert (answer.status, answer.header("Location")) == (302, "/first/admin/"), answer
    answer = visit("GET", "/first/admin/")
    assert answer.status == 200 and "Site administration" in answer.text
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', answer.text).group(1)
    answer = visit("GET", "/first/admin/auth/user/add/")
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', answer.text).group(1)
    name = "user%d" % os.getpid()
    form = urllib.parse.urlencode({"csrfmiddlewaretoken": token, "username": name, "usable_password": "true",
                                   "password1": "correct horse", "password2": "correct horse", "_save": "Save"}).encode()
    answer = visit("POST", "/first/admin/auth/user/add/", kind, form)
    assert answer.status == 302, answer.text
    assert name in visit("GET", "/first/admin/auth/user/").text


@pytest.mark.difference("the reference writes every interpreter's environment into the process's own")
def test_two_django_projects_in_one_process(server):
    assert server.get("/first/name").text == "first"
    assert server.get("/second/name").text == "second"
    assert server.get("/first/name").text == "first"


@pytest.mark.parametrize("size", [1000, 3000000])
def test_django_upload(server, size):
    content = os.urandom(size)
    headers, body = multipart({"field": "value"}, "file", content)
    answer = server.request("POST", "/first/upload", headers, body)
    assert json.loads(answer.body) == {"size": size, "sha256": hashlib.sha256(content).hexdigest(), "field": "value"}


def test_django_streaming(server):
    answer = server.get("/first/stream")
    assert answer.body == STREAM and answer.framing == "chunked" and answer.complete


def test_django_files(server):
    with open(os.path.join(APPS, "frameworks", "django_urls.py"), "rb") as source:
        assert server.get("/first/file").body == source.read()


def test_failing_views(server):
    mark = server.log.mark()
    assert server.get("/first/fail").status == 500
    server.log.wait_for("ValueError: the view fails", mark)
    mark = server.log.mark()
    assert server.get("/flask/fail").status == 500
    server.log.wait_for("ValueError: the view fails", mark)


def test_flask_session_and_form(server):
    first = server.get("/flask/count")
    assert json.loads(first.body) == {"count": 1}
    cookie = [("Cookie", "session=" + cookies(first)["session"])]
    assert json.loads(server.get("/flask/count", cookie).body) == {"count": 2}
    content = os.urandom(100000)
    headers, body = multipart({"field": "caf\u00e9"}, "file", content)
    seen = json.loads(server.request("POST", "/flask/form", headers, body).body)
    assert seen["size"] == 100000 and seen["sha256"] == hashlib.sha256(content).hexdigest()


def test_flask_streaming(server):
    assert server.get("/flask/stream").body == STREAM


VALIDATED = {"/": ("GET", None, b"hello"), "/input": ("POST", b"some body", b"some body"),
             "/lines": ("POST", b"a\nb\nc", b"a\n|b\n|c"), "/errors": ("GET", None, b"written"),
             "/write": ("GET", None, b"written returned"), "/generator": ("GET", None, b"one two"),
             "/none": ("GET", None, b""), "/a?query=1": ("GET", None, b"hello")}


@pytest.mark.parametrize("path", VALIDATED)
def test_the_validator_finds_nothing(server, path):
    method, body, expected = VALIDATED[path]
    mark = server.log.mark()
    # The validator wants to see a CONTENT_TYPE and no file wrapper arguments; it says so in the log otherwise.
    answer = server.request(method, "/validated" + path, (), body)
    assert answer.status == (204 if path == "/none" else 200), server.log.text(mark)
    assert answer.body == expected
    assert not server.log.lines("AssertionError|WSGIWarning", mark)


@pytest.mark.difference("the reference writes every interpreter's environment into the process's own")
def test_all_of_them_at_once(server):
    paths = ["/first/name", "/second/name", "/flask/count", "/validated/"]
    with_bodies = run_together(40, lambda index: server.get(paths[index % 4]))
    assert [answer.status for answer in with_bodies] == [200] * 40
    assert [answer.text for answer in with_bodies[0::4]] == ["first"] * 10
    assert [answer.text for answer in with_bodies[1::4]] == ["second"] * 10
