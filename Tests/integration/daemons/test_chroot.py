"""A process group behind chroot=: what its tree must hold, and how paths are told to it."""
import glob
import grp
import json
import os
import pwd
import re
import shutil
import stat
import subprocess

import pytest

from httpd_env import MODES, Httpd, wait_until

pytestmark = [pytest.mark.skipif("daemon" not in MODES, reason="daemon mode is not tested here"),
              pytest.mark.skipif(os.getuid() != 0, reason="only root can change a process's root directory")]

# What Python does not need to start and to serve.
LEFT_OUT = shutil.ignore_patterns("test", "tests", "__pycache__", "site-packages", "dist-packages", "idlelib", "tkinter",
                                  "ensurepip", "lib2to3", "config-*", "pydoc_data", "turtledemo")

CONF = """
DocumentRoot {jail}/srv
WSGIDaemonProcess jailed chroot={jail} home=/srv python-path=/srv/lib user=games group=users processes=1 threads=2
WSGIScriptAlias /app {jail}/srv/app.wsgi process-group=jailed application-group=%{GLOBAL}
WSGIScriptAlias /outside {apps}/app.wsgi process-group=jailed
WSGIImportScript {jail}/srv/early.py process-group=jailed application-group=%{GLOBAL}
"""
EARLY = "open('/srv/journal/early', 'w').write(__file__)\n"


def put(path, root):
    """A copy of a file below `root`, at the place that it has."""
    target = root + path
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if not os.path.exists(target):
        shutil.copy2(path, target)


def libraries(paths):
    """The shared libraries that images need, and the loader."""
    said = subprocess.run(["ldd", *paths], capture_output=True, text=True).stdout
    return set(re.findall(r"(?:=> |^\s+)(/\S+) \(0x", said, re.M))


def make_jail(root, standard):
    """What the manual says that a chroot must contain: Python's standard library where Python looks for it, and the shared
    libraries of its extension modules."""
    jail = os.path.join(root, "jail")
    shutil.copytree(standard, jail + standard, ignore=LEFT_OUT)
    for library in libraries(glob.glob(os.path.join(standard, "lib-dynload", "*.so"))):
        put(library, jail)
    for path, mode in (("dev", 0o755), ("tmp", 0o1777), ("srv", 0o755), ("srv/journal", 0o777)):
        os.makedirs(os.path.join(jail, path), exist_ok=True)
        os.chmod(os.path.join(jail, path), mode)
    os.mknod(os.path.join(jail, "dev/null"), 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    return jail


def ask_for_standard_library():
    """Where the Python of the processes has it."""
    with Httpd("WSGIDaemonProcess plain python-path={lib}\n"
               "WSGIScriptAlias /plain {apps}/app.wsgi process-group=plain application-group=%{GLOBAL}\n", apps="daemon",
               name="plain") as server:
        return json.loads(server.get("/plain/state").text)["standard"]


@pytest.fixture(scope="module")
def server():
    if not shutil.which("ldd"):
        pytest.skip("no ldd to tell which libraries belong into the tree")
    standard = ask_for_standard_library()
    running = Httpd("", apps="daemon", name="chroot")
    running.jail = make_jail(running.root, standard)
    running.prefix = os.path.dirname(os.path.dirname(standard))
    shutil.copy2(os.path.join(running.apps, "app.wsgi"), os.path.join(running.jail, "srv"))
    shutil.copytree(os.path.join(running.root, "lib"), os.path.join(running.jail, "srv/lib"))
    with open(os.path.join(running.jail, "srv/early.py"), "w") as script:
        script.write(EARLY)
    running.configure(CONF.replace("{jail}", running.jail))
    with running:
        yield running


def test_the_process_is_behind_its_root(server):
    it = json.loads(server.get("/app/paths").text)
    assert os.readlink("/proc/%d/root" % it["pid"]) == server.jail
    assert (it["cwd"], it["prefix"]) == ("/srv", server.prefix) and "/srv/lib" in it["path"]
    with open("/proc/%d/status" % it["pid"]) as status:
        text = status.read()
    assert re.search(r"^CapEff:\s+0+$", text, re.M) and re.search(r"^NoNewPrivs:\s+1$", text, re.M)
    assert not server.log.lines("WSGI045[0-9]")


def test_paths_are_those_of_the_inside(server):
    told = json.loads(server.get("/app/paths").text)
    names = ("file", "SCRIPT_FILENAME", "DOCUMENT_ROOT", "CONTEXT_DOCUMENT_ROOT")
    assert [told[name] for name in names] == ["/srv/app.wsgi", "/srv/app.wsgi", "/srv", "/srv"]
    # A script that is imported at the start is named from outside as well.
    with open(os.path.join(server.jail, "srv/journal/early")) as journal:
        assert journal.read() == "/srv/early.py"


def test_extension_modules_and_threads_work_inside(server):
    assert server.get("/app/imports/ssl,ctypes,sqlite3,decimal,hashlib,socket,subprocess").text == "imported"


def test_a_changed_script_is_reloaded(server):
    before = server.get("/app/pid").text.split()
    path = os.path.join(server.jail, "srv/app.wsgi")
    with open(path) as script:
        text = script.read().replace("VERSION = 0", "VERSION = 1")
    with open(path + ".new", "w") as script:
        script.write(text)
    os.replace(path + ".new", path)
    after = server.get("/app/pid").text.split()
    assert before[1] == "0" and after[1] == "1" and before[0] != after[0]


def test_a_script_outside_is_refused(server):
    mark = server.log.mark()
    assert server.get("/outside/pid").status == 502
    line, = server.log.wait_for("WSGI0081", mark)
    assert server.jail in line


def test_configtest_tells_of_the_script_outside(server):
    code, said = server.check()
    assert code == 0 and re.findall(r"WSGI03\d\d: .*", said) == re.findall(r"WSGI0307: .*outside the chroot=.*", said), said
    assert "WSGI0307" in said


def test_a_tree_without_python_fails_alone():
    with Httpd("", apps="daemon", name="chroot") as server:
        empty = server.make_directory("empty")
        server.configure("WSGIDaemonProcess empty chroot=%s connect-timeout=500ms\n" % empty
                         + "WSGIScriptAlias /empty %s/app.wsgi process-group=empty\n" % empty
                         + "WSGIDaemonProcess good python-path={lib}\n"
                         "WSGIScriptAlias /good {apps}/app.wsgi process-group=good application-group=%{GLOBAL}\n")
        with open(os.path.join(empty, "app.wsgi"), "w") as script:
            script.write("\n")
        server.expected_crashes = True
        server.restart()
        line = server.log.wait_for("WSGI0028")[0]
        assert "empty" in line, line
        assert server.get("/empty").status == 503
        assert server.get("/good/pid").status == 200


WITNESS = r"""
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
__attribute__((constructor)) static void tell(void) {
  char text[8192];
  int status = open("/proc/self/status", O_RDONLY), out = open("%s", O_WRONLY | O_CREAT | O_TRUNC, 0644);
  ssize_t count = read(status, text, sizeof text);
  if (count > 0) count = write(out, text, count);
  char *argv[] = {"sh", "-c", "grep Cap /proc/self/status > %s.program", NULL};
  if (vfork() == 0) { execv("/bin/sh", argv); _exit(1); }
}
"""


@pytest.mark.parametrize("options", ["", "new-privileges=On"])
def test_what_an_engine_brings_is_loaded_by_the_user(options):
    """Its library may lie in the tenant's tree: it finds nothing of root but the right to change the root directory, which no
    program inherits."""
    compiler = shutil.which("cc") or shutil.which("clang")
    if not compiler:
        pytest.skip("no C compiler")
    with Httpd("", apps="daemon", name="chroot") as server:
        jail, told = server.make_directory("jail"), server.unused_path("status")
        source = os.path.join(server.root, "witness.c")
        with open(source, "w") as text:
            text.write(WITNESS % (told, told))
        for engine in glob.glob(os.path.join(os.path.dirname(server.module), "wsgi-engine-*.so")):
            os.unlink(engine)
            subprocess.run([compiler, "-shared", "-fPIC", "-o", engine, source], check=True)
        server.configure("WSGIDaemonProcess jailed chroot=%s user=games group=users %s\n" % (jail, options)
                         + "WSGIScriptAlias /jailed %s/app.wsgi process-group=jailed" % jail)
        server.restart()
        server.log.wait_for("WSGI0457")
        with open(told) as text:
            status = dict(line.split(":\t", 1) for line in text.read().splitlines() if ":\t" in line)
        user, group = pwd.getpwnam("games").pw_uid, grp.getgrnam("users").gr_gid
        assert status["Uid"].split() == [str(user)] * 4 and status["Gid"].split() == [str(group)] * 4
        chroot = 1 << 18
        assert [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")] == [0, chroot, chroot, 0]
        assert status["NoNewPrivs"] == ("0" if options else "1")
        programs = wait_until(lambda: os.path.exists(told + ".program") and open(told + ".program").read().count("\n") == 5
                              and open(told + ".program").read(), "the program")
        for name, value in re.findall(r"(Cap(?:Inh|Prm|Eff|Amb)):\s*(\w+)", programs):
            assert int(value, 16) == 0, name


def test_directories_above_the_root_may_be_closed(server):
    """Root finds the way, as far as it alone has a say in it."""
    closed = os.path.join("/root", "wsgi-chroot-%d" % os.getpid())
    os.makedirs(closed, 0o700)
    try:
        jail = os.path.join(closed, "jail")
        shutil.copytree(server.jail, jail, symlinks=True, ignore=lambda path, names: ["null"] if path.endswith("/dev") else [])
        os.chmod(os.path.join(jail, "srv/journal"), 0o777)
        with Httpd("", apps="daemon", name="chroot") as inner:
            journal = os.path.join(jail, "srv/journal/early")
            os.path.exists(journal) and os.unlink(journal)
            inner.configure("WSGIDaemonProcess jailed threads=0 chroot=%s user=games group=users\n" % jail
                            + "WSGIImportScript %s/srv/early.py process-group=jailed application-group=%%{GLOBAL}\n" % jail)
            inner.restart()
            wait_until(lambda: os.path.exists(journal), lambda: inner.log.text()[-2000:])
    finally:
        shutil.rmtree(closed)
