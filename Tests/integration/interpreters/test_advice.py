"""What the log says beside a traceback: modules that are not found, files that may not be read, callables of another name,
extension modules that refuse where they are loaded."""
import os
import re
import shutil

import pytest

from httpd_env import MODES, REFERENCE, Site

pytestmark = pytest.mark.skipif(REFERENCE, reason="advice is this module's own")


def SITE():
    conf = []
    for mode in MODES:
        for kind, group in (("main", "%{GLOBAL}"), ("sub", "sub")):
            conf += ["WSGIScriptAlias /%s-%s/ {apps}/" % (mode, kind), "<Location /%s-%s>" % (mode, kind),
                     "WSGIProcessGroup %s" % ("site" if mode == "daemon" else "%{GLOBAL}"),
                     "WSGIApplicationGroup %s" % group, "</Location>"]
    return Site("loading", conf="\n".join(conf))


def write(site, name, source):
    path = os.path.join(site.httpd.apps, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as out:
        out.write(source)
    return path


def get(site, mode, name, kind="main"):
    return site.httpd.get("/%s-%s/%s" % (mode, kind, name))


HELLO = """
def application(environ, start_response):
    start_response('200 OK', [])
    return [b'hello']
"""


@pytest.mark.parametrize("kind", ["main", "sub"])
def test_a_missing_module(site, mode, kind):
    name = "%s-%s-missing.wsgi" % (mode, kind)
    write(site, name, "import no_such_module\n" + HELLO)
    mark = site.log.mark()
    assert get(site, mode, name, kind).status == 500
    line = site.log.wait_for("WSGI0610", mark)[0]
    assert "'no_such_module'" in line
    assert ("main interpreter" if kind == "main" else "sub-interpreter 'sub'") in line
    assert re.search(r"of Python 3\.\d+\.\d+ \(/", line), line
    assert "sys.path is [" in line and "'%s/lib'" % site.httpd.root in line
    assert re.search("python-home=" if mode == "daemon" else "WSGIPythonHome", line), line
    lines = site.log.lines("ModuleNotFoundError:|WSGI0610", mark)
    assert "ModuleNotFoundError:" in lines[0] and "WSGI0610" in lines[1], "it follows the traceback"


def test_a_module_beside_the_script(site, mode):
    write(site, "project/%s_beside/__init__.py" % mode, "")
    script = "project/%s-site/%s.wsgi" % (mode, mode)
    write(site, script, "import %s_beside\n" % mode + HELLO)
    mark = site.log.mark()
    assert get(site, mode, script).status == 500
    line = site.log.wait_for("WSGI0610", mark)[0]
    directory = site.httpd.apps + "/project"
    assert "It is in '%s'" % directory in line
    option = "python-path=%s on WSGIDaemonProcess" % directory if mode == "daemon" else "WSGIPythonPath %s" % directory
    assert option in line


def test_a_module_of_the_environment_beside_the_script(site, mode):
    write(site, mode + "-version.wsgi", "import sys\n" + HELLO.replace("b'hello'", "b'%d.%d' % sys.version_info[:2]"))
    version = "python" + get(site, mode, mode + "-version.wsgi").text
    home = "shop-%s/venv" % mode
    write(site, home + "/lib/%s/site-packages/%s_framework/__init__.py" % (version, mode), "")
    script = "shop-%s/app.wsgi" % mode
    write(site, script, "from %s_framework import thing\n" % mode + HELLO)
    mark = site.log.mark()
    assert get(site, mode, script).status == 500
    line = site.log.wait_for("WSGI0610", mark)[0]
    assert "The virtual environment '%s/%s' has it" % (site.httpd.apps, home) in line
    assert ("python-home=" if mode == "daemon" else "WSGIPythonHome ") + site.httpd.apps + "/" + home in line


def test_a_submodule_is_looked_for_in_its_package(site, mode):
    name = mode + "-submodule.wsgi"
    write(site, name, "import json.nowhere\n" + HELLO)
    mark = site.log.mark()
    assert get(site, mode, name).status == 500
    line = site.log.wait_for("WSGI0610", mark)[0]
    assert "'json.nowhere' was not found in 'json', which is '/" in line


def test_a_module_that_is_missed_behind_another_exception(site, mode):
    name = mode + "-chained.wsgi"
    write(site, name, "try:\n  import no_such_framework\nexcept ImportError as error:\n"
          "  raise RuntimeError('is it installed?') from error\n")
    mark = site.log.mark()
    assert get(site, mode, name).status == 500
    assert "no_such_framework" in site.log.wait_for("WSGI0610", mark)[0]


def test_a_module_that_a_request_misses(site, mode):
    name = mode + "-late.wsgi"
    write(site, name, "def application(environ, start_response):\n  import no_such_module_at_all\n")
    mark = site.log.mark()
    assert get(site, mode, name).status == 500
    assert "no_such_module_at_all" in site.log.wait_for("WSGI0610", mark)[0]


def test_other_exceptions_have_no_advice(site, mode):
    name = mode + "-other.wsgi"
    write(site, name, "open('/no/such/file')\n")
    mark = site.log.mark()
    assert get(site, mode, name).status == 500
    site.flush_log(mode)
    assert not site.log.lines("WSGI061|WSGI0501|chmod", mark)


# MARK: permissions

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root, whom httpd's children are not")


@needs_root
def test_an_unreadable_script(site, mode):
    name = mode + "-unreadable.wsgi"
    path = write(site, name, HELLO)
    os.chmod(path, 0o600)
    mark = site.log.mark()
    assert get(site, mode, name).status == 500
    line = site.log.wait_for("WSGI0611", mark)[0]
    assert "'www-data' may not read '%s' (mode 0600, owner 'root'" % path in line
    assert "'chmod o+r %s' allows it" % path in line


@needs_root
def test_the_remedy_is_that_of_the_owner(site, mode):
    name = mode + "-own.wsgi"
    path = write(site, name, HELLO)
    shutil.chown(path, "www-data", "www-data")
    os.chmod(path, 0o044)
    mark = site.log.mark()
    assert get(site, mode, name).status == 500
    assert "'chmod u+r %s' allows it" % path in site.log.wait_for("WSGI0611", mark)[0]


@needs_root
def test_a_directory_of_modules_that_may_not_be_entered(site, mode):
    hidden = os.path.join(site.httpd.apps, mode + "-hidden")
    write(site, mode + "-hidden/site/%s_hidden.py" % mode, "")
    os.chmod(hidden, 0o700)
    name = mode + "-hidden.wsgi"
    write(site, name, "import sys\nsys.path.append(%r)\nimport %s_hidden\n" % (hidden + "/site", mode))
    mark = site.log.mark()
    assert get(site, mode, name).status == 500
    line = site.log.wait_for("WSGI0611", mark)[0]
    assert "'www-data' may not enter '%s' on the way to '%s/site' (mode 0700" % (hidden, hidden) in line
    assert "'chmod o+x %s' allows it" % hidden in line


@needs_root
def test_a_file_that_may_not_be_read_while_importing(site, mode):
    secret = write(site, mode + "-settings.ini", "")
    os.chmod(secret, 0o640)
    name = mode + "-settings.wsgi"
    write(site, name, "settings = open(%r)\n" % secret)
    mark = site.log.mark()
    assert get(site, mode, name).status == 500
    assert "'chmod o+r %s' allows it" % secret in site.log.wait_for("WSGI0611", mark)[0]


@needs_root
def test_a_script_that_the_group_s_user_cannot_reach(make_httpd):
    if "daemon" not in MODES:
        pytest.skip("there is no daemon mode")

    def close_directory(server):
        shutil.chown(server.apps + "/private", "www-data", "www-data")
        os.chmod(server.apps + "/private", 0o750)
    server = make_httpd("""
WSGIDaemonProcess other user=nobody group=nogroup threads=2
WSGIScriptAlias / {apps}/private/app.wsgi process-group=other application-group=%{GLOBAL}
""", name="unreachable", files={"private/app.wsgi": HELLO}, prepare=close_directory)
    private = server.apps + "/private"
    assert server.get("/").status == 500
    line = server.log.wait_for("WSGI0611")[0]
    assert "User 'nobody' may not enter '%s' on the way to '%s/app.wsgi'" % (private, private) in line
    assert "'chmod o+x %s' allows it" % private in line


# MARK: callables

@pytest.mark.parametrize("source, advice", [
    ("wsgi_app = len\n", "It has 'wsgi_app': set 'WSGICallableObject wsgi_app'"),
    ("def app(environ, start_response): pass\n", "It has 'app': set 'WSGICallableObject app'"),
    ("def create_app(): pass\n", "It has 'create_app': add \"application = create_app()\""),
    ("import os as app\n", None),
    ("", None),
])
def test_a_callable_of_another_name(site, mode, source, advice):
    name = "%s-callable-%s.wsgi" % (mode, "".join(filter(str.isalnum, source)))
    write(site, name, source)
    mark = site.log.mark()
    assert get(site, mode, name).status in (404, 500)
    line = site.log.wait_for("WSGI0089", mark)[0]
    assert advice in line if advice else "It has" not in line


# MARK: extension modules

def test_what_loads_once_in_a_process(site, mode):
    name = mode + "-once.wsgi"
    write(site, name, "raise ImportError('cannot load module more than once per process')\n")
    mark = site.log.mark()
    assert get(site, mode, name, "sub").status == 500
    line = site.log.wait_for("WSGI0501", mark)[0]
    assert "can be loaded once in a process" in line and "WSGIApplicationGroup %{GLOBAL}" in line
