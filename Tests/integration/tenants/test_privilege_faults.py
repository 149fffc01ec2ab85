"""Each step of a daemon process out of root made to fail, or to lie: no such process ever runs Python."""
import os
import shutil
import subprocess

import pytest

from httpd_env import MODES, Httpd
from processes import about, descendants, name_of

FAILS = ["chroot", "chdir", "setresgid", "setgroups", "setresuid", "getresuid", "getresgid", "getgroups", "bounding-set",
         "ambient-set", "no-new-privileges", "dumpable", "capset", "capget"]
LIES = ["setresgid-lies", "setgroups-lies", "setresuid-lies", "setuid-succeeds"]
COMPILER = shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")

pytestmark = [
    pytest.mark.skipif("daemon" not in MODES, reason="daemon mode is not tested here"),
    pytest.mark.skipif(os.getuid() != 0, reason="only root has something to give up"),
    pytest.mark.skipif(COMPILER is None, reason="no C compiler for what makes the calls fail"),
    pytest.mark.unsanitized("the runtime itself would get what the library makes of system calls"),
]


def test_a_process_that_is_still_root_runs_no_python():
    server = Httpd(name="faults")
    library, marks = os.path.join(server.root, "fault.so"), server.make_directory("marks", 0o777)
    source = os.path.join(os.path.dirname(__file__), "fault.c")
    subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    script = os.path.join(server.apps, "app.wsgi")
    with open(script, "w") as out:
        # sitecustomize would be earlier still; that a script is loaded at start is as early as an application can be.
        out.write("import os\nopen(os.path.join(%r, str(os.getpid())), 'w').close()\n"
                  "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'served']\n" % marks)
    lines = []
    for name in FAILS + LIES + ["none"]:
        lines += ["WSGIDaemonProcess %s user=games connect-timeout=1 %s" % (name, "chroot=/" if name == "chroot" else ""),
                  "WSGIScriptAlias /%s %s process-group=%s application-group=%%{GLOBAL}" % (name, script, name)]
    server.environment["LD_PRELOAD"] = library
    server.configure("\n".join(lines))
    with server:
        server.expected_crashes = True
        # The library is in place, and harmless where it is to be.
        assert server.get("/none").text == "served"
        for name in FAILS + LIES:
            line = server.log.wait_for(r"process group '%s' .* during startup" % name)[0]
            assert ":alert]" in line and "WSGI0" in line, line
        assert server.get("/capset").status == 503
        served = set(os.listdir(marks))
        assert len(served) == 1
        for pid in descendants(server.pid):
            if str(pid) not in served:
                assert name_of(pid) != "wsgi-worker" or "libpython" not in about(pid, "maps"), pid
