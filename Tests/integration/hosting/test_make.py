"""What `make` asks for before it builds, and what `make uninstall` removes."""
import os
import subprocess

import pytest

from httpd_env import MODULE, ROOT, query_apxs

STAGE = os.path.dirname(MODULE)


def make(*arguments, **environment):
    done = subprocess.run(["make", "--no-print-directory", *arguments], cwd=ROOT, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(os.environ, **environment))
    return done.returncode, done.stdout


def program(directory, name, script):
    path = os.path.join(str(directory), name)
    with open(path, "w") as file:
        file.write("#!/bin/sh\n" + script + "\n")
    os.chmod(path, 0o755)
    return path


@pytest.fixture()
def a_user(tmp_path):
    """A machine without apache2-dev, and a user who may not install it; whatever compiles leaves a note."""
    program(tmp_path, "dpkg-query", """for name; do case $name in -*|'$'*|apache2-dev) ;;
*) printf '%s=installed ' "$name" ;; esac; done""")
    program(tmp_path, "id", "echo 1000")
    swift = program(tmp_path, "swift", "touch " + str(tmp_path / "compiled"))
    for name in ("sh", "sed", "rm", "mkdir", "cat", "ls", "tr", "touch"):
        os.symlink("/bin/" + name, str(tmp_path / name))
    return {"PATH": str(tmp_path), "SWIFT": swift, "APXS": "/usr/bin/apxs", "MAKEFLAGS": ""}


@pytest.mark.parametrize("target", ["all", "engine", "run"])
def test_missing_packages_are_named_before_anything_is_compiled(a_user, tmp_path, target):
    make_program = next(path for path in ("/usr/bin/make", "/bin/make") if os.path.exists(path))
    os.symlink(make_program, str(tmp_path / "make"))
    code, output = make(target, "STAGE=%s/stage" % tmp_path, **a_user)
    assert code != 0
    assert "Debian packages are missing: apache2-dev" in output, output
    assert "Nothing has been built yet. First, as root: apt-get install --no-install-recommends apache2-dev" in output, output
    assert not os.path.exists(str(tmp_path / "compiled"))


@pytest.mark.skipif(not os.path.exists(os.path.join(STAGE, "wsgi-worker")), reason="the module is another's")
@pytest.mark.parametrize("target", ["install", "uninstall"])
@pytest.mark.parametrize("package", ["libapache2-mod-wsgi-py3", "libapache2-mod-wsgi-swift"])
def test_files_of_a_package_are_left_alone(tmp_path, target, package):
    program(tmp_path, "dpkg-query", "printf '%s installed '" % package)
    apxs = program(tmp_path, "apxs", "echo %s/there" % tmp_path)
    code, output = make(target, "STAGE=" + STAGE, "APXS=" + apxs, "DOCDIR=%s/there" % tmp_path,
                        PATH="%s:%s" % (tmp_path, os.environ["PATH"]))
    assert code != 0 and "mod_wsgi belongs to a package here: apt-get" in output and package in output, output
    assert not os.path.exists(str(tmp_path / "there"))


@pytest.mark.skipif(not os.path.exists(os.path.join(STAGE, "wsgi-worker")), reason="the module is another's")
@pytest.mark.parametrize("changed", [False, True])
def test_uninstall_removes_what_install_made(tmp_path, changed):
    where = ("DESTDIR=%s" % tmp_path, "STAGE=" + STAGE)
    code, output = make("install", *where)
    assert code == 0, output
    conf = str(tmp_path) + query_apxs("SYSCONFDIR") + "/mods-available/wsgi.conf"
    if changed:
        with open(conf, "a") as file:
            file.write("# of my own\n")
    code, output = make("uninstall", *where)
    assert code == 0, output
    left = [os.path.join(directory, name) for directory, _, names in os.walk(str(tmp_path)) for name in names]
    assert left == ([conf] if changed else [])
    assert ("Kept, since it was changed: " + conf in output) == changed
