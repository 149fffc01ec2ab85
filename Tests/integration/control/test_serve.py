"""`wsgictl serve`: an httpd of one's own in one command."""
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from documents import DOCUMENTS, example
from http_client import Client
from httpd_env import Httpd, free_port, httpd_program, wait_until
from processes import descendants, noted, remaining
from served import Project, Served

FLASK = """
from flask import Flask
import words

app = Flask(__name__)


@app.route("/")
def index():
    return words.TEXT


@app.route("/broken")
def broken():
    return 1 / words.NOTHING
"""
WORDS = "TEXT = 'one'\nNOTHING = 0\n"
PLAIN = """
import os, sys, time
def application(environ, start_response):
    if environ['PATH_INFO'] == '/slow':
        open(os.path.join(os.environ['MARKS'], 'begun'), 'w').close()
        while not os.path.exists(os.path.join(os.environ['MARKS'], 'go')):
            time.sleep(0.01)
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [repr((os.getuid(), os.getcwd(), sys.prefix, environ['SCRIPT_NAME'])).encode()]
"""
MANAGE = """
import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_of_mine.settings")
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""
SETTINGS = """
import pathlib
BASE_DIR = pathlib.Path(__file__).parent.parent
SECRET_KEY = "of-a-test"
DEBUG = %s
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "site_of_mine.urls"
INSTALLED_APPS = ["django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
                  "django.contrib.messages", "django.contrib.staticfiles"]
WSGI_APPLICATION = "site_of_mine.wsgi.application"
STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "collected"
"""
URLS = """
from django.http import HttpResponse
from django.urls import path
def broken(request):
    raise ValueError("of a view")
urlpatterns = [path("", lambda request: HttpResponse("a page of Django")), path("broken", broken)]
"""
WSGI = """
import os
from django.core.wsgi import get_wsgi_application
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_of_mine.settings")
application = get_wsgi_application()
"""


def django(debug):
    return Project(manage_py=MANAGE, site_of_mine____init___py="", site_of_mine__settings_py=SETTINGS % debug,
                   site_of_mine__urls_py=URLS, site_of_mine__wsgi_py=WSGI)


@pytest.fixture
def flask():
    with Project(app_py=FLASK, words_py=WORDS) as project:
        project.environment()
        yield project


@pytest.fixture
def plain():
    with Project(app_py=PLAIN) as project:
        marks = project.make("marks")
        os.chmod(marks, 0o777)
        project.marks = {"MARKS": marks}
        yield project


USERS = [None, pytest.param("www-data", marks=pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another user"))]


@pytest.mark.parametrize("user", USERS, ids=["us", "www-data"])
def test_a_flask_project_in_one_command(flask, user):
    begun = time.monotonic()
    with Served(flask, user=user) as served:
        assert served.get().text == "one"
        print("first page after %.2f s" % (time.monotonic() - begun))
        text = served.text()
        assert re.search("Serving +%s" % re.escape(flask.path("app.py")), text)
        assert re.search(r"Python +3\.\d+, of %s" % re.escape(flask.path(".venv")), text)
        assert re.search("Log +below", text)
        assert served.get("/broken").status == 500
        served.log.wait_for("ZeroDivisionError")
        assert served.end() == 0
    assert "Stopped." in served.text()


@pytest.mark.parametrize("debug", [True, False])
def test_a_django_project(debug):
    with django(debug) as project:
        project.environment("venv")
        with Served(project) as served:
            assert served.get().text == "a page of Django"
            # As runserver does it: files of applications without collectstatic, while DEBUG is on.
            assert served.get("/static/admin/css/base.css").status == (200 if debug else 404)
        project.write("collected/own.css", "body {}")
        with Served(project) as served:
            assert re.search("Static +/static from %s" % re.escape(project.path("collected")), served.text())
            answer = served.get("/static/own.css")
            assert (answer.status, answer.text, answer.header("Content-Type")) == (200, "body {}", "text/css")


def test_django_settings_that_cannot_be_read_are_reported():
    with django(True) as project:
        project.environment()
        project.write("site_of_mine/settings.py", "import nothing_of_that_name\n")
        with Served(project) as served:
            assert re.search("Note .*No module named 'nothing_of_that_name'", served.text())
            assert served.get().status == 500


@pytest.mark.parametrize("argument", [
    "app.py", "./app.py", "app", "app:application", "app.py:application", "shop.web", "shop.web:other", "shop.web:create_it()",
    "shop/web.py", "my-site.wsgi", "{directory}/app.py"])
def test_how_an_application_is_named(plain, argument):
    plain.write("shop/__init__.py", "")
    plain.write("shop/web.py", "from app import application as app\nother = app\ndef create_it():\n    return app\n")
    plain.write("my-site.wsgi", PLAIN)
    with Served(plain, argument.format(directory=plain.directory)) as served:
        assert served.get().status == 200
        assert plain.directory in served.get().text or argument == "my-site.wsgi"


def test_options_of_mod_wsgi_express(plain):
    with Served(plain, "app.py", "--processes", "2", "--threads", "3", "--request-timeout", "30", "--mount-point", "/shop",
                "--log-to-terminal", "--reload-on-changes", "--limit-request-body", "100", verb="start-server") as served:
        assert "'/shop'" in served.get("/shop/").text
        assert re.search(r"URL +http://127.0.0.1:\d+/shop/", served.text())
        with Client(served.port) as client:
            assert client.request("POST", "/shop/", body=b"x" * 200).status == 413


def test_static_files(plain):
    plain.write("files/a.css", "a {}")
    plain.write("robots.txt", "nothing")
    with Served(plain, "--static", "/static/=files", "--static", "/robots.txt=robots.txt") as served:
        assert served.get("/static/a.css").text == "a {}"
        assert served.get("/robots.txt").text == "nothing"
        assert served.get("/").status == 200
    assert plain.run("serve", "--static", "nowhere")[0] == 2
    code, text = plain.run("serve", "--static", "/a=nowhere")
    assert code == 1 and plain.path("nowhere") in text


# MARK: ports

def test_a_port_in_use(plain):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        code, text = plain.run("serve", "--port", str(taken.getsockname()[1]))
    assert code == 1 and "Address already in use" in text and "--port" in text


def test_the_next_free_port(plain):
    def config():
        code, text = plain.run("serve", "--print-config")
        assert code == 0, text
        return int(re.search(r"Listen 127.0.0.1:(\d+)", text).group(1))
    with socket.socket() as taken:
        first = config()
        try:
            taken.bind(("127.0.0.1", first))
        except OSError:
            pytest.skip("port %d has just been taken" % first)
        taken.listen()
        assert first < config() < 8100


# MARK: --reload and --debug

def test_a_changed_module_replaces_the_application(flask):
    with Served(flask, "--reload") as served:
        assert served.get().text == "one"
        flask.write("words.py", "TEXT = 'two, which is longer'\nNOTHING = 0\n")
        wait_until(lambda: served.get().text == "two, which is longer", served.text)
        flask.write("words.py", "TEXT = (\n")
        wait_until(lambda: served.get().status == 500, served.text)
        flask.write("words.py", "TEXT = 'three'\nNOTHING = 0\n")
        wait_until(lambda: served.get().text == "three", served.text)


def test_a_changed_script_does_too(plain):
    plain.write("own.wsgi", PLAIN)
    with Served(plain, "own.wsgi", "--reload") as served:
        assert served.get().status == 200
        plain.write("own.wsgi", PLAIN.replace("200 OK", "203 Changed"))
        wait_until(lambda: served.get().status == 203, served.text)


def test_without_reload_modules_stay(flask):
    with Served(flask) as served:
        assert served.get().text == "one"
        flask.write("words.py", "TEXT = 'two'\n")
        assert [served.get().text for _ in range(5)] == ["one"] * 5
        assert not [line for line in served.text().splitlines() if "has changed" in line]


def test_tracebacks_in_the_browser(flask):
    with Served(flask, "--debug") as served:
        answer = served.get("/broken")
        assert answer.status == 500 and "ZeroDivisionError: division by zero" in answer.text
        assert "return 1 / words.NOTHING" in answer.text
        assert served.get().text == "one"
    with Served(flask) as served:
        assert "ZeroDivisionError" not in served.get("/broken").text


def test_the_traceback_of_an_import_in_the_browser(flask):
    flask.write("words.py", "import nothing_of_that_name")
    with Served(flask, "--debug") as served:
        answer = served.get()
        assert answer.status == 500 and "No module named &#x27;nothing_of_that_name&#x27;" in answer.text
        flask.write("words.py", WORDS)
        assert served.get().text == "one"


def test_tracebacks_of_django_without_its_debug():
    with django(False) as project:
        project.environment()
        with Served(project, "--debug") as served:
            answer = served.get("/broken")
            assert answer.status == 500 and "ValueError: of a view" in answer.text


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_debug_is_for_loopback_addresses_alone(plain, host):
    code, text = plain.run("serve", "--debug", "--host", host)
    assert code == 2 and "--debug" in text and host in text


# MARK: configurations

def test_a_configuration_that_is_printed(flask):
    code, text = flask.run("serve", "--print-config", "--server-root", flask.make("server"), "--port", str(free_port()))
    assert code == 0
    assert "from app import app as application" in text and "WSGIScriptAlias / " in text
    script = os.path.join(flask.root, "server", "application.wsgi")
    with open(script, "w") as out:
        out.write("from app import app as application\n")
    os.makedirs(os.path.join(flask.root, "server", "htdocs"))
    conf = flask.write("printed.conf", text)
    done = subprocess.run([httpd_program(), "-t", "-f", conf], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr.strip() == "Syntax OK"


def test_a_site_for_the_systems_httpd(flask):
    flask.write("files/a.css", "a {}")
    target = os.path.join(flask.root, "exported")
    code, text = flask.run("serve", "--export", target, "--static", "/static=files", "--server-name", "shop.example")
    assert code == 0 and os.path.join(target, "shop.conf") in text
    server = Httpd("Include %s/shop.conf" % target)
    with open(os.path.join(target, "shop.conf")) as conf:
        written = conf.read()
    with open(os.path.join(target, "shop.conf"), "w") as conf:
        conf.write(written.replace("*:80", "*:%d" % server.port))
    with server:
        assert server.get("/", headers=[("Host", "shop.example")]).text == "one"
        assert server.get("/static/a.css").text == "a {}"
        assert not server.log.lines("WSGI0|AH00558")
    assert flask.run("serve", "--export", target, "--debug")[0] == 2


# MARK: signals

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGWINCH])
def test_a_server_that_drains(plain, number):
    with Served(plain, environment=plain.marks) as served:
        answers = []
        client = threading.Thread(target=lambda: answers.append(served.get("/slow").status))
        client.start()
        wait_until(lambda: os.path.exists(os.path.join(plain.marks["MARKS"], "begun")), served.text)
        family = noted(descendants(served.process.pid))
        served.process.send_signal(number)

        def refuses():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", served.port)) != 0
        wait_until(refuses, served.text)
        assert served.process.poll() is None
        open(os.path.join(plain.marks["MARKS"], "go"), "w").close()
        client.join(40)
        assert answers == [200]
        assert served.process.wait(40) == 0, served.text()
        wait_until(lambda: not remaining(family), "the end of all processes")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGWINCH])
def test_a_server_that_is_stopped_before_it_has_handlers_for_signals(plain, number):
    begun = plain.write("begun", "")
    starter = plain.write("httpd", """#!/bin/sh
case $* in *FOREGROUND*)
  echo $$ > `dirname "$2"`/httpd.pid
  echo x > %s
  while :; do sleep 0.01; done;;
esac
exec %s "$@"
""" % (begun, httpd_program()))
    os.chmod(starter, 0o755)
    served = Served(plain, "--httpd-executable", starter, environment=plain.marks)
    wait_until(lambda: os.path.getsize(begun) or served.process.poll() is not None, served.text)
    served.process.send_signal(signal.SIGUSR1)
    assert served.end(number) == 0, served.text()
    assert "Ctrl-C" not in served.text() and "Stopped." in served.text()


def test_a_killed_command_leaves_no_server(plain):
    with Served(plain) as served:
        assert served.get().status == 200
        family = noted(descendants(served.process.pid))
        served.process.kill()
        served.process.wait()
        wait_until(lambda: not remaining(family), "the end of all processes")


# MARK: what cannot be served

def test_no_application(plain):
    os.rename(plain.path("app.py"), plain.path("other.py"))
    code, text = plain.run("serve")
    assert code == 1
    for word in (plain.directory, "manage.py", "app.py", "create_app()", "wsgi.py", "production.ini"):
        assert word in text, word
    code, text = plain.run("serve", "nowhere.py")
    assert code == 1 and plain.path("nowhere.py") in text
    code, text = plain.run("serve", "nowhere:app")
    assert code == 1 and "nowhere.py" in text and plain.directory in text


def test_a_module_without_an_application(plain):
    plain.write("empty.py", "x = 1\n")
    code, text = plain.run("serve", "empty.py")
    assert code == 1 and plain.path("empty.py") in text and "create_app()" in text


def test_an_environment_of_a_python_without_an_engine(plain):
    plain.write(".venv/pyvenv.cfg", "home = /usr/bin\nversion = 3.99.1\n")
    code, text = plain.run("serve")
    assert code == 1 and "3.99" in text and plain.path(".venv") in text and "make engine" in text


def test_an_environment_whose_python_is_gone(plain):
    plain.write(".venv/pyvenv.cfg", "home = /nowhere/bin\nversion = 3.%d.1\n" % sys.version_info[1])
    code, text = plain.run("serve", environment={"PATH": os.environ["PATH"]})
    assert code == 1 and "/nowhere/bin" in text and "python3 -m venv --clear" in text


@pytest.mark.skipif(os.getuid() != 0, reason="root alone serves as another user")
def test_root_names_the_directory_that_the_user_cannot_enter(plain):
    os.chmod(plain.directory, 0o700)
    code, text = plain.run("serve", "app.py")
    assert code == 1 and "www-data" in text and "chmod o+x %s" % plain.directory in text and "--user" in text
    code, text = plain.run("serve", "app.py", "--user", "root")
    assert code == 1 and "root" in text


@pytest.mark.skipif(os.getuid() != 0, reason="root alone serves as another user")
def test_the_user_of_a_server_that_root_starts(plain):
    with Served(plain) as served:
        assert "(33, " in served.get().text
    with Served(plain, "--user", "nobody") as served:
        assert "(65534, " in served.get().text


@pytest.mark.skipif(os.getuid() != 0, reason="root alone serves as another user")
@pytest.mark.parametrize("arguments", [["--print-config"], ["--export", "{root}/exported", "--user", "nobody"]])
def test_settings_of_django_are_never_read_by_root(arguments):
    with django(True) as project:
        project.environment()
        marks = project.make("marks")
        os.chmod(marks, 0o777)
        project.write("site_of_mine/settings.py", "import os\nopen('%s/%%d' %% os.getuid(), 'w')\n%s" % (marks, SETTINGS % True))
        code, text = project.run("serve", *[argument.format(root=project.root) for argument in arguments])
        assert code == 0, text
        assert os.listdir(marks) == ["65534" if "nobody" in arguments else "33"]
        if "nobody" in arguments:
            with open(project.root + "/exported/shop.conf") as conf:
                assert re.search(r"WSGIDaemonProcess application .*\n\s+user=nobody", conf.read())


@pytest.mark.skipif(os.getuid() != 0, reason="root alone serves as another user")
def test_a_script_in_roots_home(plain):
    """`make run` in a checkout that nobody else can read: the images and the script are copied."""
    plain.write("hello.wsgi", PLAIN)
    os.chmod(plain.root, 0o700)
    with Served(plain, "hello.wsgi") as served:
        assert served.get().status == 200
        assert re.search("Note +a copy is served: 'www-data' cannot reach", served.text())


# MARK: the manual

def test_the_manuals_examples(flask):
    [block] = example("serve")
    with Served(flask) as served:
        words = [line.split()[0] for line in block.text.splitlines()[1:]]
        for word in words:
            assert re.search("(?m)^%s" % word, served.text()), word
    flask.make("shop/files")
    [block] = example("serve-export")
    arguments = block.text.split()[1:]
    arguments[arguments.index("--export") + 1] = os.path.join(flask.root, "apache")
    assert flask.run(*arguments)[0] == 0


def test_every_option_that_the_manual_names_is_known(plain):
    section = DOCUMENTS["conf/manual/wsgictl.md"].split("\n## serve\n")[1].split("\n## ")[0]
    own, express = section.split("### Options of mod_wsgi-express")
    code, text = plain.run("serve", "--help-hidden")
    known = set(re.findall(r"--[a-z-]+", text))
    rows = re.findall(r"^\| (.*?) \| (.*?) \|$", own, re.M)
    assert set(re.findall(r"`(--[a-z-]+)", "".join(first for first, _ in rows))) - known == set()
    for first, second in re.findall(r"^\| (.*?) \| (.*?) \|$", express, re.M):
        if second.startswith("the same"):
            assert set(re.findall(r"`(--[a-z-]+)`", first)) - known == set(), first
