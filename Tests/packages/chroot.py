"""Fresh Debian 12 systems to install packages in: directories with an overlay each, in namespaces of their own, without a
network and without Swift. What they need of Debian is fetched once, before."""
import contextlib
import os
import shutil
import subprocess
import sys

import load

SUITE = "bookworm"
# What the tests install beside our packages, and what that depends on.
FETCHED = "apache2 libapache2-mod-wsgi-py3 python3-django python3-typing-extensions"
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
SOURCES = """deb {mirror} {suite} main
deb {mirror} {suite}-updates main
deb {mirror}-security {suite}-security main
"""


def prepare(directory, mirror):
    """A minimal system, with the packages in its cache that `apt-get` will be asked for; kept for the next run."""
    base = os.path.join(directory, "base")
    done = os.path.join(directory, "base.done")
    if os.path.exists(done):
        return
    print("$ debootstrap --variant=minbase %s base %s" % (SUITE, mirror), flush=True)
    shutil.rmtree(base, ignore_errors=True)
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "prepare.log"), "wb") as log:
        def run(*command):
            if subprocess.call(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT):
                sys.exit("%s failed: see %s" % (" ".join(command), log.name))
        run("debootstrap", "--variant=minbase", SUITE, base, mirror)
        with open(base + "/etc/apt/sources.list", "w") as sources:
            sources.write(SOURCES.format(mirror=mirror, suite=SUITE))
        with open(base + "/etc/dpkg/dpkg.cfg.d/speed", "w") as settings:
            settings.write("force-unsafe-io\n")
        run("chroot", base, "apt-get", "update", "-q")
        run("chroot", base, "apt-get", "install", "-q", "-y", "--download-only", *FETCHED.split())
    open(done, "w").close()


def is_entered():
    return os.environ.get("WSGI_TEST_NAMESPACES") == "entered"


def enter():
    """Starts this program again in namespaces of its own, as a child of a process that waits for whatever httpd leaves."""
    if not is_entered():
        os.environ["WSGI_TEST_NAMESPACES"] = "entered"
        sys.stdout.flush()
        namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--net", "--uts"]
        os.execvp("unshare", namespaces + [sys.executable] + sys.argv)
    subprocess.run(["mount", "-t", "proc", "proc", "/proc"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    child = os.fork()
    while child:
        pid, status = os.wait()
        if pid == child:
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


class System:
    """One Debian. What is typed in it is printed, as a person would type it."""

    def __init__(self, root):
        self.root = root

    def path(self, name):
        return self.root + name

    def write(self, name, text, mode=0o644):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w") as file:
            file.write(text)
        os.chmod(self.path(name), mode)

    def read(self, name):
        with open(self.path(name), errors="replace") as file:
            return file.read()

    def exists(self, name):
        return os.path.lexists(self.path(name))

    def run(self, command, fails=False, quiet=False):
        """Without a terminal and without anybody to answer a question."""
        if not quiet:
            print("    # " + command, flush=True)
        result = subprocess.run(
            ["chroot", self.root, "/bin/sh", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors="replace", cwd="/",
            env=ENVIRONMENT)
        assert (result.returncode != 0) == fails, "%s ended with %d:\n%s" % (command, result.returncode, result.stdout)
        return result.stdout

    def stop_httpd(self):
        """`apache2ctl stop` does not wait for the end."""
        if self.exists("/run/apache2/apache2.pid"):
            pid = self.read("/run/apache2/apache2.pid").strip()
            self.run("apache2ctl stop", quiet=True)
            load.wait_for("the end of httpd", lambda: not os.path.exists("/proc/" + pid))

    def installed(self, package):
        """Its state, as dpkg has it: installed, config-files, not-installed."""
        query = "dpkg-query -W -f '${db:Status-Status}' %s 2>/dev/null || echo not-installed" % package
        return self.run(query, quiet=True).strip()


@contextlib.contextmanager
def system(base, packages):
    """A new system, with the packages in /root."""
    top = "/mnt"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", top], check=True)
    root = top + "/root"
    for name in ("upper", "work", "root"):
        os.mkdir("%s/%s" % (top, name))
    subprocess.run(["mount", "-t", "overlay", "-o", "lowerdir=%s,upperdir=%s/upper,workdir=%s/work" % (base, top, top), "overlay",
                    root], check=True)
    subprocess.run(["mount", "-t", "proc", "proc", root + "/proc"], check=True)
    subprocess.run(["mount", "--bind", "/dev", root + "/dev"], check=True)
    try:
        for package in packages:
            shutil.copy(package, root + "/root/")
        made = System(root)
        # A system without an init process lets no service be started, unless it is told to.
        made.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 0\n", 0o755)
        try:
            yield made
        finally:
            made.stop_httpd()
    finally:
        subprocess.run(["umount", "-R", "-l", top], check=True)
