"""Files that a tenant can put anything in place of: nobody with more rights than the tenant's looks at them."""
import fcntl
import os
import pty
import pwd
import re
import subprocess
import termios

import pytest

from httpd_env import MODES, Httpd, httpd_program, wait_until
from processes import descendants, fields

pytestmark = [pytest.mark.skipif("daemon" not in MODES, reason="daemon mode is not tested here"),
              pytest.mark.skipif(os.getuid() != 0, reason="only root has more rights than a tenant")]

CONF = """
WSGIDaemonProcess tenant user=games group=games processes=1 threads=1 python-home={root}/tenant/venv connect-timeout=1
WSGIDaemonProcess other processes=1 threads=1 python-path={lib}
WSGIScriptAlias /tenant {root}/tenant/app.wsgi process-group=tenant application-group=%{GLOBAL}
WSGIScriptAlias /other {apps}/app.wsgi process-group=other application-group=%{GLOBAL}
"""
TENANT = pwd.getpwnam("games")


class Tenant:
    """A server with a tenant's directory, `venv/pyvenv.cfg` of which is what the test makes it."""

    def __init__(self, conf=CONF):
        self.httpd = Httpd("", apps="daemon", name="tenants")
        self.home = self.httpd.make_directory("tenant")
        self.venv = self.httpd.make_directory("tenant/venv")
        self.configuration = os.path.join(self.venv, "pyvenv.cfg")
        with open(os.path.join(self.home, "app.wsgi"), "w") as script:
            script.write("def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'tenant']\n")
        for path in (self.home, self.venv):
            os.chown(path, TENANT.pw_uid, TENANT.pw_gid)
        self.httpd.expected_crashes = True
        self.httpd.configure(conf)


@pytest.fixture
def tenant():
    made = Tenant()
    yield made
    made.httpd.remove()


def check_that_it_serves_others(tenant):
    code, said = tenant.httpd.check()
    assert code == 0 and said.rstrip().endswith("Syntax OK"), said
    with tenant.httpd as server:
        for _ in range(2):
            assert server.get("/other/pid").status == 200
            assert server.get("/tenant").status == 503
            server.graceful()
        line = server.log.wait_for("WSGI0457.*tenant")[0]
        assert tenant.venv in line
        assert not [pid for pid in [server.pid] + descendants(server.pid) if fields(pid)[4:5] not in ([], ["0"])]


def test_a_pipe(tenant):
    os.mkfifo(tenant.configuration, 0o666)
    check_that_it_serves_others(tenant)


def test_a_terminal_does_not_become_anybodys(tenant):
    master, slave = pty.openpty()
    try:
        os.chown(os.ttyname(slave), TENANT.pw_uid, TENANT.pw_gid)
        os.symlink(os.ttyname(slave), tenant.configuration)
        check_that_it_serves_others(tenant)
        # Nobody took it: a session may still do so.
        pid = os.fork()
        if not pid:
            try:
                os.setsid()
                fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    finally:
        os.close(master)
        os.close(slave)


@pytest.mark.parametrize("target", ["/dev/zero", "/dev/null", "/proc/kmsg", "/"])
def test_a_device_or_a_directory(tenant, target):
    os.symlink(target, tenant.configuration)
    check_that_it_serves_others(tenant)


@pytest.mark.unsanitized("memory-limit is left out")
def test_an_endless_file(tenant):
    with open(tenant.configuration, "wb") as endless:
        endless.truncate(1 << 40)
    os.chmod(tenant.configuration, 0o644)
    tenant.httpd.configure(CONF.replace("connect-timeout=1", "connect-timeout=1 memory-limit=300000000"))
    code, said = tenant.httpd.check()
    assert code == 0, said
    with tenant.httpd as server:
        assert server.get("/other/pid").status == 200
        server.graceful()
        assert server.get("/other/pid").status == 200


def test_no_process_of_root_touches_what_is_the_tenants(tenant):
    """Told by the system itself: what was read below the directory was read with the tenant's ids."""
    strace = "/usr/bin/strace"
    if not os.path.exists(strace):
        pytest.skip("strace is not installed")
    os.rmdir(tenant.venv)
    subprocess.run(["/usr/bin/python3", "-m", "venv", "--without-pip", tenant.venv], check=True)
    trace = os.path.join(tenant.httpd.root, "trace")
    subprocess.run([strace, "-f", "-qq", "-e", "trace=file,setresuid,setuid,execve", "-o", trace, httpd_program(), "-t", "-f",
                    tenant.httpd.conf], check=True, capture_output=True, timeout=120)
    root, touched = {}, []
    with open(trace, errors="replace") as lines:
        for line in lines:
            pid, _, call = line.partition(" ")
            if re.match(r"\s*setres?uid\(%d" % TENANT.pw_uid, call):
                root[pid] = False
            elif tenant.home in call and root.get(pid, True) and tenant.httpd.conf not in call:
                touched.append(line.strip())
            elif tenant.home in call:
                root.setdefault("tenant", True)
    assert not touched, touched
    assert root.get("tenant"), "nothing was looked at"


def test_what_does_not_answer_holds_nobody_up(tenant):
    """A process that looks may be made to wait; here it is stopped."""
    wrapper = os.path.join(os.path.dirname(tenant.httpd.module), "wsgi-worker")
    os.rename(wrapper, wrapper + ".real")
    with open(wrapper, "w") as script:
        script.write("#!/bin/sh\ncase $0 in *) ;; esac\nkill -STOP $$\n")
    os.chmod(wrapper, 0o755)
    code, said = tenant.httpd.check()
    assert code == 0 and "WSGI0632" in said and "games" in said, said
    # However many they are.
    tenant.httpd.configure(CONF + "\n".join(
        "WSGIDaemonProcess of-%s user=%s home=/tmp\nWSGIScriptAlias /%s {apps}/app.wsgi process-group=of-%s" % ((user,) * 4)
        for user in ("daemon", "bin", "sys", "man", "lp", "mail")))
    code, said = tenant.httpd.check()
    assert code == 0 and said.count("WSGI0632") == 3, said


CLOSED = [("tenant", 0o700, 0), ("tenant/venv", 0o700, 0), ("tenant/venv/pyvenv.cfg", 0o600, 0)]


@pytest.mark.parametrize("path, permissions, owner", CLOSED)
def test_an_environment_that_the_user_cannot_read_is_one_line(tenant, path, permissions, owner):
    with open(tenant.configuration, "w") as made:
        made.write("home = /usr/bin\nversion = 3.11.2\n")
    closed = os.path.join(tenant.httpd.root, path)
    os.chown(closed, owner, owner)
    os.chmod(closed, permissions)
    code, said = tenant.httpd.check()
    lines = [line for line in said.splitlines() if "WSGI0310" in line]
    assert code == 0 and len(lines) == 1 and closed in lines[0] and "%04o" % permissions in lines[0], said
    with tenant.httpd as server:
        assert server.get("/other/pid").status == 200
        line = server.log.wait_for("WSGI0457")[0]
        wanted = "chmod o+%s %s" % ("x" if os.path.isdir(closed) else "r", closed)
        assert closed in line and wanted in line, line
        # A line for each try, and nothing of Python's own.
        assert "Fatal Python error" not in server.log.text() and "PYTHONHOME" not in server.log.text()


def test_an_installation_behind_an_environment_that_the_user_cannot_read(tenant):
    base = tenant.httpd.make_directory("hidden", 0o700)
    os.makedirs(os.path.join(base, "python/bin"))
    with open(tenant.configuration, "w") as made:
        made.write("home = %s/python/bin\nversion = 3.11.2\n" % base)
    with tenant.httpd as server:
        line = server.log.wait_for("WSGI0457")[0]
        assert "chmod o+x " + base in line and "Fatal Python error" not in server.log.text()


def test_an_environment_that_is_mended_is_used_without_a_restart(tenant):
    """The process that starts decides, not httpd."""
    with tenant.httpd as server:
        server.log.wait_for("WSGI0457.*tenant")
        version = subprocess.check_output(["/usr/bin/python3", "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"],
                                          text=True)
        os.mkdir(os.path.join(tenant.venv, "bin"))
        os.symlink("/usr/bin/python3", os.path.join(tenant.venv, "bin/python3"))
        with open(tenant.configuration + ".new", "w") as made:
            made.write("home = /usr/bin\nversion = %s" % version)
        os.rename(tenant.configuration + ".new", tenant.configuration)
        wait_until(lambda: server.get("/tenant").status == 200, "the application", deadline=60)


# MARK: what belongs to the administrator

def test_a_worker_that_cannot_be_executed_is_told_by_configtest(tenant):
    worker = os.path.join(os.path.dirname(tenant.httpd.module), "wsgi-worker")
    os.chmod(worker, 0o644)
    code, said = tenant.httpd.check()
    assert code == 0 and re.search(r"WSGI0630: .*%s.*chmod 755" % re.escape(worker), said), said
    os.unlink(worker)
    code, said = tenant.httpd.check()
    assert code == 0 and re.search(r"WSGI0630: .*%s.*No such file" % re.escape(worker), said), said


@pytest.mark.parametrize("conf", [CONF, "WSGIScriptAlias /x {apps}/app.wsgi"])
def test_missing_engines_are_told_by_configtest(conf):
    tenant = Tenant(conf)
    directory = os.path.dirname(tenant.httpd.module)
    for name in os.listdir(directory):
        if name.startswith("wsgi-engine"):
            os.unlink(os.path.join(directory, name))
    code, said = tenant.httpd.check()
    assert code == 0 and len(re.findall(r"WSGI0631: .*%s.*make engine" % re.escape(directory), said)) == 1, said
    tenant.httpd.remove()
