"""Ways to break a set-up, and what the client, the log, `apachectl configtest` and `wsgictl doctor` say of each.

The rows are those of the manual's table: this file makes each set-up, and looks for what its row says. A finding of doctor is
named by its level and check; each has to name its thing and a remedy.
"""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import pytest

from documents import chapter
from http_client import Client
from httpd_env import MODULE, REFERENCE, Httpd, virtual_environment
from served import command

GOOD = """
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'served']
"""
VERSION = "3.%d" % sys.version_info[1]
GROUP = "WSGIDaemonProcess site threads=2 connect-timeout=2"
ALIAS = "WSGIScriptAlias / {apps}/app.wsgi process-group=site application-group=%{GLOBAL}"
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root's httpd runs applications as another user")


class Setup:
    """A server with one application, to be broken before it starts."""

    def __init__(self):
        self.script, self.options, self.before, self.after, self.more = GOOD, "", "", "", {}
        self.conf = None
        # Its start is seen in the log, since it may not answer.
        self.level = "notice wsgi:info"
        self.prepare = lambda server: None
        self.cleanup = lambda server: None

    def text(self):
        return self.conf or "\n".join([self.before, GROUP + " " + self.options, ALIAS, self.after])


SETUPS = {}


def setup(name, marks=()):
    def register(function):
        SETUPS[name] = (function, marks)
        return function
    return register


# MARK: Python

@setup("the environment does not exist")
def _(it):
    it.options = "python-home=/nowhere/venv"


@setup("the environment has a Python without an engine")
def _(it):
    def prepare(server):
        os.makedirs(server.apps + "/venv/bin")
        os.symlink("/usr/bin/python3", server.apps + "/venv/bin/python3")
        with open(server.apps + "/venv/pyvenv.cfg", "w") as out:
            out.write("home = /usr/bin\nversion = 3.99.1\n")
    it.prepare, it.options = prepare, "python-home={apps}/venv"


@setup("the environment's Python has been removed")
def _(it):
    def prepare(server):
        os.makedirs(server.apps + "/venv/bin")
        os.symlink("/nowhere/bin/python3", server.apps + "/venv/bin/python3")
        with open(server.apps + "/venv/pyvenv.cfg", "w") as out:
            out.write("home = /nowhere/bin\nversion = %s.1\n" % VERSION)
    it.prepare, it.options = prepare, "python-home={apps}/venv"


@setup("the environment cannot be entered by the user", needs_root)
def _(it):
    def prepare(server):
        shutil.copytree(virtual_environment() + "/bin", server.apps + "/venv/bin", symlinks=True)
        shutil.copy(virtual_environment() + "/pyvenv.cfg", server.apps + "/venv")
        os.chmod(server.apps + "/venv", 0o700)
    it.prepare, it.options = prepare, "python-home={apps}/venv"


@setup("a module is not installed, or only in another environment")
def _(it):
    it.script = "import nothing_of_that_name\n" + GOOD


def has(package):
    return glob.glob(virtual_environment() + "/lib/python3.*/site-packages/" + package)


@setup("NumPy in two interpreters of a process", pytest.mark.skipif(not has("numpy"), reason="there is no NumPy"))
def _(it):
    it.script = "import numpy\n" + GOOD
    it.conf = "\n".join([
        "WSGIDaemonProcess site threads=2 python-home=%s" % virtual_environment(),
        "WSGIScriptAlias /other {apps}/app.wsgi process-group=site application-group=other",
        "WSGIScriptAlias / {apps}/app.wsgi process-group=site application-group=one"])
    it.first = "/other"


# MARK: scripts

@setup("the script does not exist")
def _(it):
    it.prepare = lambda server: os.remove(server.apps + "/app.wsgi")


@setup("a directory above the script cannot be entered", needs_root)
def _(it):
    it.prepare = lambda server: os.chmod(server.apps, 0o700)


@setup("the script cannot be read by its user", needs_root)
def _(it):
    it.prepare = lambda server: os.chmod(server.apps + "/app.wsgi", 0o600)


@setup("a syntax error in the script")
def _(it):
    it.script = "def application(:\n"


@setup("a syntax error in a module of the application")
def _(it):
    def prepare(server):
        with open(server.apps + "/words.py", "w") as out:
            out.write("TEXT = (\n")
    it.script, it.prepare, it.options = "import words\n" + GOOD, prepare, "python-path={apps}"


@setup("the script raises an exception")
def _(it):
    it.script = "raise RuntimeError('of a script')\n" + GOOD


@setup("the script hangs while it is imported")
def _(it):
    it.script, it.options = "import time\ntime.sleep(3600)\n" + GOOD, "startup-timeout=12"


@setup("the script has no `application`")
def _(it):
    it.script = GOOD.replace("def application", "def app")


# MARK: configuration

@setup("a misspelt option")
def _(it):
    it.options = "thread=5"


@setup("a misspelt process group")
def _(it):
    it.conf = GROUP + "\n" + ALIAS.replace("process-group=site", "process-group=sita")


@setup("the module is not loaded")
def _(it):
    it.more = {"without": True}


@setup("another mod_wsgi is loaded", pytest.mark.skipif(
    "WSGI_TEST_REFERENCE_MODULE" not in os.environ or REFERENCE, reason="there is no other mod_wsgi"))
def _(it):
    it.more = {"module": os.environ.get("WSGI_TEST_REFERENCE_MODULE")}
    it.conf = "WSGIScriptAlias / {apps}/app.wsgi"


@setup("`home=` does not exist")
def _(it):
    it.options = "home=/nowhere/home"


@setup("an entry of `python-path=` does not exist")
def _(it):
    it.options = "python-path=/nowhere/lib"


@setup("the locale does not exist")
def _(it):
    it.options = "locale=xx_XX.UTF-8"


@setup("a longer path after a shorter one")
def _(it):
    it.after = "WSGIScriptAlias /shop {apps}/shop.wsgi process-group=site application-group=%{GLOBAL}"
    it.prepare = lambda server: shutil.copy(server.apps + "/app.wsgi", server.apps + "/shop.wsgi")


@setup("embedded mode is forbidden, and an alias leads there")
def _(it):
    it.conf = "WSGIRestrictEmbedded On\nWSGIScriptAlias / {apps}/app.wsgi"


@setup("an alias to a group with `threads=0`")
def _(it):
    it.conf = GROUP.replace("threads=2", "threads=0") + "\n" + ALIAS


# MARK: limits

@setup("more threads than httpd has")
def _(it):
    it.options, it.more = "processes=8", {"threads": 5}
    it.conf = "WSGIDaemonProcess site processes=8 threads=2\n" + ALIAS


@setup("too few open files")
def _(it):
    it.more = {"wrapper": ["prlimit", "--nofile=200:200", "--"]}


@setup("too little memory for the application")
def _(it):
    it.script, it.options = "block = bytearray(1 << 30)\n" + GOOD, "memory-limit=300M"


@setup("the log's directory does not exist")
def _(it):
    it.after = "ErrorLog /nowhere/error_log"


@setup("the log's file system is full", needs_root)
def _(it):
    def prepare(server):
        place = server.make_directory("full")
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", place], capture_output=True, text=True)
        if done.returncode:
            server.remove()
            pytest.skip("no file system can be mounted here: " + done.stderr)
        with open(place + "/large", "wb") as out:
            try:
                out.write(b"x" * 65536)
            except OSError:
                pass

    it.prepare, it.after, it.level = prepare, "ErrorLog {root}/full/error_log", "warn"
    it.cleanup = lambda server: subprocess.run(["umount", "-l", os.path.join(server.root, "full")])


# MARK: the table

def table():
    """Name of a set-up: what the client gets, the log, configtest and doctor say."""
    section = chapter("troubleshooting").split("\n## Ways to break a set-up\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ") and "---" not in line]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]
    return {row[0]: row[1:] for row in rows}


def test_the_table_has_every_set_up():
    assert list(table()) == list(SETUPS)
    assert len(SETUPS) >= 20


@pytest.fixture(scope="module")
def wsgictl():
    directory = tempfile.mkdtemp(prefix="wsgi-command-")
    yield command(directory)
    shutil.rmtree(directory)


def examine(program, server, wrapper):
    """What doctor finds: its exit status, and level, check, message and remedy of each finding."""
    done = subprocess.run(wrapper + [program, "doctor", "--json", "--config", server.conf], capture_output=True, text=True,
                          cwd="/", timeout=60)
    assert done.stdout.startswith("["), done.stdout + done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.difference("doctor is this module's")
@pytest.mark.parametrize("name", [pytest.param(name, marks=marks) for name, (_, marks) in SETUPS.items()])
def test_what_is_said(name, wsgictl):
    it = Setup()
    SETUPS[name][0](it)
    more = dict(it.more)
    wrapper, without = more.pop("wrapper", []), more.pop("without", False)
    server = Httpd(name="broken", log_level=it.level, **more)
    with open(server.apps + "/app.wsgi", "w") as out:
        out.write(it.script)
    os.chmod(server.apps + "/app.wsgi", 0o644)
    it.prepare(server)
    try:
        server.wrapper = wrapper
        # Where no process can serve, the refusal is not waited for for long; others may take their time to start.
        refused = "503" in table().get(name, ["?"])[0]
        server.configure(it.text() if refused else it.text().replace(" connect-timeout=2", ""))
        if without:
            with open(server.conf) as conf:
                lines = [line for line in conf if "wsgi_module" not in line and not line.startswith("WSGIPythonPath")]
            with open(server.conf, "w") as conf:
                conf.writelines(lines)
        compare(name, it, server, wrapper, wsgictl)
    finally:
        it.cleanup(server)
        server.remove()


def compare(name, it, server, wrapper, wsgictl):
    client, log, configtest, doctor = table().get(name, ["?"] * 4)
    server.expected_crashes = True  # a process that ends for lack of memory
    said = {}
    code, output = server.check()
    said["configtest"] = output
    numbers = re.findall(r"`?(WSGI\d{4}|AH\d{5})`?", configtest)
    assert all(number in output for number in numbers), said
    if "refused" in configtest:
        assert code != 0, said
    else:
        assert code == 0 and (numbers or "WSGI0" not in output), said
    if client == "–":
        status, findings = examine(wsgictl, server, wrapper)
    else:
        with server:
            with Client(server.port, timeout=60) as connection:
                if hasattr(it, "first"):
                    connection.request("GET", it.first)
                answer = connection.request("GET", "/")
            said["client"] = (answer.status, answer.text)
            assert str(answer.status) in re.findall(r"\d{3}", client), (said, server.story())
            for number in re.findall(r"WSGI\d{4}|AH\d{5}", log):
                server.log.wait_for(number)
            status, findings = examine(wsgictl, server, wrapper)
    said["doctor"] = [finding for finding in findings if finding["level"] != "ok"]
    wanted = re.findall(r"`(warn|fail) ([\w ]+)`", doctor)
    assert wanted, doctor
    for level, check in wanted:
        found = [one for one in findings if (one["level"], one["check"]) == (level, check)]
        assert found, (level, check, said)
        assert all(one["message"] and one["remedy"] for one in found), found
    assert status == (2 if any(level == "fail" for level, _ in wanted) else 1), said


def test_a_sound_set_up(wsgictl):
    server = Httpd(ALIAS + "\n" + GROUP, log_level="notice wsgi:info")
    with open(server.apps + "/app.wsgi", "w") as out:
        out.write(GOOD)
    os.chmod(server.apps + "/app.wsgi", 0o644)
    stopped = examine(wsgictl, server, [])[1]
    assert [one for one in stopped if one["check"] == "server"][0]["message"].startswith("it is stopped")
    with server:
        assert server.get("/").text == "served"
        status, findings = examine(wsgictl, server, [])
        assert "process %d" % server.pid in [one for one in findings if one["check"] == "server"][0]["message"]
        checks = {one["check"] for one in findings}
        assert checks >= {"configuration", "module", "server", "limits", "log", "python", "script", "security"}
        notable = [one for one in findings if one["level"] != "ok" and one["check"] not in ("package", "rights", "security")]
        assert not notable and status in (0, 1)
        done = subprocess.run([wsgictl, "doctor", "--config", server.conf], capture_output=True, text=True)
        assert done.returncode == status and all(re.match(r"(ok  |warn|fail) \w", line) for line in done.stdout.splitlines())


@needs_root
def test_scripts_are_looked_at_as_the_groups_user(wsgictl, monkeypatch):
    """Nothing of a script is run, and an interpreter that is the user's own learns nothing of root's environment."""
    server = Httpd("WSGIDaemonProcess site user=nobody python-home={apps}/venv\n" + ALIAS)
    try:
        with open(server.apps + "/app.wsgi", "w") as out:
            out.write("open('%s/run', 'w')\n" % server.apps + GOOD)
        os.makedirs(server.apps + "/venv/bin")
        with open(server.apps + "/venv/pyvenv.cfg", "w") as out:
            out.write("home = /usr/bin\nversion = %s.2\n" % VERSION)
        with open(server.apps + "/venv/bin/python3", "w") as out:
            out.write("#!/bin/sh\nenv > %s/environment\nexec /usr/bin/python3 \"$@\"\n" % server.apps)
        os.chmod(server.apps + "/venv/bin/python3", 0o755)
        os.chmod(server.apps, 0o777)
        monkeypatch.setenv("SECRET", "of root")
        findings = examine(wsgictl, server, [])[1]
        assert any("as uid 65534" in one["message"] for one in findings)
        assert not os.path.exists(server.apps + "/run")
        with open(server.apps + "/environment") as environment:
            text = environment.read()
        assert "PATH=" in text and "SECRET" not in text
    finally:
        server.remove()


def test_a_configuration_that_is_not_there(wsgictl):
    done = subprocess.run([wsgictl, "doctor", "--config", "/nowhere/httpd.conf"], capture_output=True, text=True)
    assert done.returncode == 2 and "/nowhere/httpd.conf" in done.stdout
