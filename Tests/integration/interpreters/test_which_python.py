"""Which Python runs: in every mode it is what the same interpreter is on a command line, wherever httpd was started."""
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile

import pytest

from httpd_env import MODES, Httpd, wait_until

USER = pwd.getpwnam("www-data")
# What a command line says of itself; `-c` puts the working directory in front of sys.path.
ASK = """
import json, sys
print(json.dumps({"prefix": sys.prefix, "exec_prefix": sys.exec_prefix, "base_prefix": sys.base_prefix,
    "base_exec_prefix": sys.base_exec_prefix, "executable": sys.executable, "path": sys.path[1:],
    "flags": {name: getattr(sys.flags, name) for name in dir(sys.flags)
              if not name.startswith(("_", "n_")) and not callable(getattr(sys.flags, name))}}))
"""
SAME = ("prefix", "exec_prefix", "base_prefix", "base_exec_prefix", "executable", "path", "flags")
DAEMON = """
WSGIDaemonProcess plain threads=2 {options}
WSGIDaemonProcess homely threads=2 home={trap} {options}
WSGIDaemonProcess service threads=0 {options}
WSGIImportScript {apps}/app.wsgi process-group=plain application-group=early
WSGIImportScript {apps}/app.wsgi process-group=service application-group=%{GLOBAL}
WSGIScriptAlias /plain {apps}/app.wsgi process-group=plain application-group=%{GLOBAL}
WSGIScriptAlias /sub {apps}/app.wsgi process-group=plain application-group=sub
WSGIScriptAlias /homely {apps}/app.wsgi process-group=homely application-group=%{GLOBAL}
"""
EMBEDDED = """
WSGIImportScript {apps}/app.wsgi process-group=%{GLOBAL} application-group=early
WSGIScriptAlias /embedded {apps}/app.wsgi process-group=%{GLOBAL} application-group=%{GLOBAL}
WSGIScriptAlias /embedded-sub {apps}/app.wsgi process-group=%{GLOBAL} application-group=sub
"""
PLACES = {"embedded": ["embedded", "embedded-sub"], "daemon": ["plain", "sub", "homely"]}


def asked(program):
    """The same of a command line, as httpd's user."""
    who = {"user": USER.pw_uid, "group": USER.pw_gid, "extra_groups": []} if os.getuid() == 0 else {}
    done = subprocess.run([program, "-c", ASK], capture_output=True, text=True, cwd="/",
                          env=dict(os.environ, HOME=USER.pw_dir), **who)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Served:
    """A server for one Python: with WSGIPythonHome and python-home= `home`, or with `python=` in its groups alone."""

    def __init__(self, home=None, python=None, cwd="/", environment=None):
        self.httpd = Httpd("", apps="pythons", name="pythons", environment=dict(environment or {}, HOME=USER.pw_dir))
        self.httpd.directory = cwd
        os.chmod(self.httpd.make_directory("out"), 0o777)
        self.modes = [mode for mode in MODES if mode == "daemon" or not python]
        conf = "WSGIPythonHome %s\n" % home if home else ""
        for mode in self.modes:
            conf += {"embedded": EMBEDDED, "daemon": DAEMON}[mode]
        options = "python=" + python if python else ""
        self.trap = make_trap(self.httpd.make_directory("trap"))
        self.httpd.configure(conf.replace("{options}", options).replace("{trap}", self.trap))

    def __enter__(self):
        self.httpd.__enter__()
        return self

    def __exit__(self, *failure):
        self.httpd.__exit__(*failure)

    def facts(self):
        """What each place says, by its name."""
        found = {}
        for mode in self.modes:
            for place in PLACES[mode]:
                answer = self.httpd.get("/" + place)
                assert answer.status == 200, (place, self.httpd.log.text()[-3000:])
                found[place] = json.loads(answer.text)
        for mode in self.modes:
            for name in {"embedded": ["embedded-early"], "daemon": ["plain-early", "service-main"]}[mode]:
                path = os.path.join(self.httpd.root, "out", name)
                wait_until(lambda: os.path.exists(path), path)
                with open(path) as journal:
                    found[name] = json.load(journal)
        for place, it in found.items():
            if place.startswith("homely"):
                assert it["cwd"] == self.trap and it["path"].pop(0) == self.trap
            # The tests' own entry, which embedded mode has.
            it["path"] = [entry for entry in it["path"] if entry != os.path.join(self.httpd.root, "lib")]
        return found


def make_trap(directory):
    """A directory that looks like a Python installation from inside, and is none."""
    for minor in range(10, 16):
        library = os.path.join(directory, "lib", "python3.%d" % minor)
        os.makedirs(os.path.join(library, "lib-dynload"))
        with open(os.path.join(library, "os.py"), "w") as module:
            module.write("raise SystemExit('the wrong library')\n")
    return directory


def check(served, executable):
    with served:
        expected = asked(executable)
        for place, it in served.facts().items():
            for name in SAME:
                assert it[name] == expected[name], (place, name)
            assert os.path.isabs(it["executable"]) and it["executable"] == executable, place
        for mode in served.modes:
            for place in PLACES[mode]:
                with served.httpd.client(timeout=90) as client:
                    answer = client.request("GET", "/%s/started" % place)
                assert answer.status == 200, served.httpd.log.text()[-3000:]
                assert json.loads(answer.text) == {"subprocess": expected["prefix"], "spawned": "here"}, place
        assert not served.httpd.log.lines(r"WSGI050\d")


@pytest.fixture(scope="module")
def own():
    """The interpreter that the engine was built for, as it says itself."""
    with Served() as served:
        return next(iter(served.facts().values()))["executable"]


@pytest.fixture
def directory():
    """One that httpd's user can reach."""
    made = tempfile.mkdtemp(prefix="wsgi-python-")
    os.chmod(made, 0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def test_the_python_that_the_engine_was_built_for(own):
    version = subprocess.check_output([own, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], text=True).strip()
    assert os.path.basename(own) == "python" + version
    check(Served(), own)


def test_started_where_another_library_lies(own, directory):
    check(Served(cwd=make_trap(os.path.join(directory, "trap"))), own)


@pytest.mark.skipif(not os.path.isdir("/usr/lib/python3/dist-packages"), reason="no Debian")
def test_packages_that_were_installed_for_the_system_are_found(own):
    """The Python of Debian has the directory for pip, where that exists, as on the command line."""
    made = None
    path = "/usr/local/lib/%s/dist-packages" % os.path.basename(own)
    if not os.path.isdir(path):
        if os.getuid() != 0 or not own.startswith("/usr/bin/"):
            pytest.skip("%s is not there" % path)
        os.makedirs(path)
        made = path
    try:
        with Served() as served:
            for place, it in served.facts().items():
                assert path in it["path"], place
    finally:
        if made:
            os.rmdir(made)


def make_venv(own, target):
    subprocess.run([own, "-m", "venv", "--without-pip", target], check=True, capture_output=True)


def tool(name):
    """A program of the environment that the tests run in."""
    program = os.path.join(os.path.dirname(sys.executable), name)
    if not os.path.exists(program):
        pytest.skip("%s is not installed beside pytest (Tests/requirements.txt)" % name)
    return program


def make_virtualenv(own, target):
    subprocess.run([tool("virtualenv"), "-q", "-p", own, "--no-download", "--without-pip", target], check=True,
                   capture_output=True)


def make_uv(own, target):
    subprocess.run([tool("uv"), "venv", "-q", "--offline", "--python", own, target], check=True, capture_output=True,
                   env=dict(os.environ, UV_CACHE_DIR=target + ".cache"))


def make_system_site(own, target):
    subprocess.run([own, "-m", "venv", "--without-pip", "--system-site-packages", target], check=True, capture_output=True)


MAKERS = {"venv": make_venv, "venv with the system's packages": make_system_site, "virtualenv": make_virtualenv, "uv": make_uv}


@pytest.mark.parametrize("kind", MAKERS)
def test_environments(own, directory, kind):
    home = os.path.join(directory, "env")
    MAKERS[kind](own, home)
    check(Served(home=home), home + "/bin/python3")


def test_an_environment_by_its_interpreter(own, directory):
    home = os.path.join(directory, "env")
    make_venv(own, home)
    check(Served(python=home + "/bin/python"), home + "/bin/python")


def test_an_environment_behind_a_symbolic_link(own, directory):
    home, link = os.path.join(directory, "env-1"), os.path.join(directory, "env")
    make_venv(own, home)
    os.symlink(home, link)
    check(Served(home=link), link + "/bin/python3")


def make_installation(own, prefix):
    """Another prefix, such as /usr/local, with an interpreter and a library."""
    standard = subprocess.check_output([own, "-c", "import os; print(os.path.dirname(os.__file__))"], text=True).strip()
    os.makedirs(os.path.join(prefix, "bin"))
    os.makedirs(os.path.join(prefix, "lib"))
    os.symlink(standard, os.path.join(prefix, "lib", os.path.basename(standard)))
    shutil.copy2(os.path.realpath(own), os.path.join(prefix, "bin", os.path.basename(own)))
    os.symlink(os.path.basename(own), os.path.join(prefix, "bin", "python3"))


def test_an_installation(own, directory):
    prefix = os.path.join(directory, "local")
    make_installation(own, prefix)
    check(Served(home=prefix), prefix + "/bin/python3")


@pytest.mark.parametrize("name", ["python3", "python3.{minor}"])
def test_an_installation_by_its_interpreter(own, directory, name):
    prefix = os.path.join(directory, "local")
    make_installation(own, prefix)
    program = os.path.join(prefix, "bin", name.replace("{minor}", own.rsplit(".", 1)[1]))
    check(Served(python=program), program)


def test_a_symbolic_link_to_the_interpreter(own, directory):
    link = os.path.join(directory, "interpreter")
    os.symlink(own, link)
    check(Served(python=link), link)


def test_a_copy_of_the_interpreter(own, directory):
    """Alone it finds the library that it was built with."""
    os.mkdir(os.path.join(directory, "bin"))
    copy = shutil.copy2(os.path.realpath(own), os.path.join(directory, "bin", "python3"))
    check(Served(python=copy), copy)


@pytest.mark.skipif("WSGI_TEST_OTHER_PYTHON" not in os.environ,
                    reason="WSGI_TEST_OTHER_PYTHON names no second Python; Tests/run.py does where there is one")
@pytest.mark.parametrize("way", ["home", "python", "installation"])
def test_another_python_than_the_module_was_built_for(way):
    home = os.environ["WSGI_TEST_OTHER_PYTHON"]
    if way == "installation":
        base = subprocess.check_output([home + "/bin/python3", "-c", "import sys; print(sys.base_prefix)"], text=True).strip()
        check(Served(python=base + "/bin/python3"), base + "/bin/python3")
    elif way == "python":
        check(Served(python=home + "/bin/python3"), home + "/bin/python3")
    else:
        check(Served(home=home), home + "/bin/python3")


@pytest.mark.skipif("daemon" not in MODES, reason="python= is an option of process groups")
def test_an_interpreter_that_does_not_exist_is_no_other_one():
    """It does not become the Python that the module was built for."""
    server = Httpd("WSGIDaemonProcess site python={root}/no-such-python connect-timeout=1\n"
                   "WSGIScriptAlias / {apps}/app.wsgi process-group=site application-group=%{GLOBAL}", apps="pythons",
                   log_level="notice")
    with server:
        assert server.get("/").status == 503
        line, = server.log.wait_for("WSGI0457")[:1]
        assert "no-such-python' does not exist" in line
