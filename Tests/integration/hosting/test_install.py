"""What was built, and where `make install` puts it."""
import os
import re
import shutil
import subprocess
import sys

import pytest

from httpd_env import MODULE, ROOT, Httpd, query_apxs
from served import Project, Served

sys.path.insert(0, os.path.join(ROOT, "Tests"))
import lint  # noqa: E402

STAGE = os.path.dirname(MODULE)
SWIFT = r"libswift|libFoundation|libdispatch|lib_Foundation|libBlocksRuntime"
# A test of the sources, which is of no interest while one of them is being worked on.
staged = pytest.mark.skipif(not os.path.exists(os.path.join(STAGE, "wsgi-worker")), reason="the module is another's")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    destination = str(tmp_path_factory.mktemp("install"))
    install(destination)
    return destination


def install(destination):
    """What `make install` prints."""
    return subprocess.run(["make", "--no-print-directory", "install", "DESTDIR=" + destination, "STAGE=" + STAGE], cwd=ROOT,
                          check=True, stdout=subprocess.PIPE, text=True).stdout


def engines():
    return sorted(name for name in os.listdir(STAGE) if re.fullmatch(r"wsgi-engine-3\.\d+\.so", name))


@pytest.mark.unsanitized("images need its runtime")
@staged
@pytest.mark.parametrize("name, exported, needed, undefined", [
    ("mod_wsgi.so", "wsgi_module", SWIFT + "|libpython", r"_?Py[A-Z_]"),
    ("wsgi-worker", None, SWIFT + "|libpython|libapr", r"ap_|apr_|_?Py[A-Z_]"),
] + [(name, "wsgi_engine", SWIFT + "|libapr", r"ap_|apr_") for name in engines()])
def test_images(name, exported, needed, undefined):
    before = list(lint.problems)
    lint.problems.clear()
    lint.check_image(os.path.join(STAGE, name), exported, needed, undefined)
    found, lint.problems[:] = list(lint.problems), before
    assert not found


@pytest.mark.unsanitized("images need its runtime")
@staged
def test_no_image_needs_a_swift_runtime_or_a_library_that_is_missing():
    for name in ["wsgi-worker"] + engines():
        out = subprocess.run(["ldd", os.path.join(STAGE, name)], capture_output=True, text=True).stdout
        assert "not found" not in out and "swift" not in out, out


@pytest.mark.unsanitized("images need its runtime")
@staged
@pytest.mark.parametrize("name", ["mod_wsgi.so"] + engines())
def test_the_names_of_an_image_are_its_own(name):
    """After an upgrade httpd has two versions of the module: none uses what another exports, or looks for libraries beside it."""
    path = os.path.join(STAGE, name)
    header = subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=True).stdout
    assert "(SYMBOLIC)" in header and "$ORIGIN" not in header, header
    relocations = subprocess.run(["readelf", "-r", path], capture_output=True, text=True, check=True).stdout
    assert not re.search(r"_(GLOB_DAT|JUMP_SLO\w*|64) .* wsgi_(module|engine)\b", relocations)


@staged
def test_install_puts_three_images_side_by_side(installed):
    directory = installed + query_apxs("LIBEXECDIR")
    assert sorted(os.listdir(directory)) == sorted(["mod_wsgi.so", "wsgi-worker"] + engines())
    assert os.access(os.path.join(directory, "wsgi-worker"), os.X_OK)


@staged
def test_the_manual_is_where_debian_keeps_documentation(installed):
    """With what its chapters link to."""
    base = installed + "/usr/share/doc/libapache2-mod-wsgi-swift"
    assert sorted(os.listdir(base)) == ["containers", "manual", "monitoring"]
    for name in os.listdir(base):
        assert sorted(os.listdir(os.path.join(base, name))) == sorted(os.listdir(os.path.join(ROOT, "conf", name)))


@staged
def test_the_command_has_its_page_and_completions(installed):
    share = os.path.join(installed + os.path.dirname(query_apxs("bindir")), "share")
    with open(os.path.join(share, "man/man1/wsgictl.1")) as page:
        text = page.read()
        assert text.startswith((".TH", ".\\\"")) and "explain" in text and "serve" in text
    with open(os.path.join(share, "bash-completion/completions/wsgictl")) as functions:
        assert subprocess.run(["bash", "-n"], stdin=functions).returncode == 0
    assert [name for _, _, names in os.walk(os.path.join(share, "zsh")) for name in names] == ["_wsgictl"]


def test_an_installed_tree_can_be_moved(installed, tmp_path):
    elsewhere = os.path.join(str(tmp_path), "elsewhere")
    shutil.copytree(installed + query_apxs("LIBEXECDIR"), elsewhere)
    path = elsewhere
    while os.stat(path).st_uid == os.getuid() and path != "/tmp":
        os.chmod(path, 0o755)
        path = os.path.dirname(path)
    conf = ("WSGIScriptAlias /e {apps}/app.wsgi\nWSGIDaemonProcess d threads=1\n"
            "WSGIScriptAlias /d {apps}/app.wsgi process-group=d application-group=%{GLOBAL}")
    with Httpd(conf, apps="restart", module=os.path.join(elsewhere, "mod_wsgi.so")) as server:
        assert server.get("/e").status == 200
        assert server.get("/d").status == 200


@staged
def test_a2enmod(installed, tmp_path):
    a2enmod = shutil.which("a2enmod")
    if not a2enmod:
        pytest.skip("there is no a2enmod: install Debian's apache2 package")
    confdir = os.path.join(str(tmp_path), "apache2")
    shutil.copytree(installed + query_apxs("SYSCONFDIR"), confdir)
    os.mkdir(os.path.join(confdir, "mods-enabled"))
    with open(os.path.join(confdir, "mods-available", "wsgi.load")) as load:
        line = load.read().strip()
    assert line == "LoadModule wsgi_module %s/mod_wsgi.so" % query_apxs("LIBEXECDIR")
    done = subprocess.run([a2enmod, "wsgi"], capture_output=True, text=True,
                          env=dict(os.environ, APACHE_CONFDIR=confdir, APACHE_ENVVARS="/dev/null"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(os.listdir(os.path.join(confdir, "mods-enabled"))) == ["wsgi.conf", "wsgi.load"]


@staged
def test_the_configuration_that_is_installed(installed):
    with open(installed + query_apxs("SYSCONFDIR") + "/mods-available/wsgi.conf") as conf:
        text = conf.read()
    for active in (text, text.replace("#WSGIRestrictEmbedded", "WSGIRestrictEmbedded")):
        server = Httpd(active)
        try:
            code, output = server.check()
            assert code == 0 and "Syntax OK" in output, output
        finally:
            server.remove()


@staged
def test_a_configuration_that_was_changed_is_kept(tmp_path):
    there = tmp_path / query_apxs("SYSCONFDIR").lstrip("/") / "mods-available" / "wsgi.conf"
    there.parent.mkdir(parents=True)
    there.write_text("# mine\n")
    printed = install(str(tmp_path))
    assert there.read_text() == "# mine\n" and "Kept, since it differs from conf/wsgi.conf: %s" % there in printed


def test_rooms_lines_and_messages():
    before = list(lint.problems)
    lint.problems.clear()
    lint.check_rooms()
    lint.check_lines()
    lint.check_messages()
    found, lint.problems[:] = list(lint.problems), before
    assert not found


def test_the_sample_application():
    """`make run` without its build: it says where it serves, answers, and stops cleanly."""
    with Project() as project, Served(project, os.path.join(ROOT, "conf", "hello.wsgi")) as served:
        answer = served.get("/page")
        assert answer.status == 200 and "It works" in answer.text, served.text()
        assert served.end() == 0
        assert "Stopped." in served.text()
