"""The steps of the manual's "Migrating", from Debian's own package, carried out on a copy of this system that is thrown away."""
import os
import re
import shutil
import subprocess

import pytest

from documents import example
from httpd_env import MODULE, ROOT, Httpd, httpd_program, query_apxs

STAGE = os.path.dirname(MODULE)
PACKAGE = "libapache2-mod-wsgi-py3"
# An overlay of the running system: what is written there lies in a tmpfs that goes with the mount namespace.
ENTER = """
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs {tmp}
mkdir {tmp}/upper {tmp}/work {tmp}/root
mount -t overlay overlay -o lowerdir=/,upperdir={tmp}/upper,workdir={tmp}/work {tmp}/root
mount --rbind /dev {tmp}/root/dev
mount -t proc proc {tmp}/root/proc
"""


class Copy:
    def __init__(self, directory):
        self.root = os.path.join(directory, "root")
        self.shell = subprocess.Popen(["unshare", "-m", "sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True)

    def run(self, text):
        """What the lines print, and the status of the last."""
        self.shell.stdin.write("(%s\n) </dev/null\necho \"<<$?>>\"\n" % text)
        self.shell.stdin.flush()
        lines = []
        for line in self.shell.stdout:
            done = re.match(r"(.*)<<(\d+)>>$", line.rstrip("\n"))
            if done:
                return int(done[2]), "".join(lines) + done[1]
            lines.append(line)
        raise AssertionError("the shell has ended:\n" + "".join(lines))

    def inside(self, text):
        return self.run("DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 chroot %s sh -ec '%s'" % (self.root, text))

    def must(self, text):
        code, output = self.inside(text)
        assert code == 0, output
        return output

    def path(self, path):
        return "/proc/%d/root%s%s" % (self.shell.pid, self.root, path)

    def end(self):
        self.shell.stdin.close()
        self.shell.wait(30)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    if os.getuid():
        pytest.skip("only root can remove packages, and mount the system anew for that")
    for tool in ("apt-get", "dpkg", "unshare", "a2enmod"):
        if not shutil.which(tool):
            pytest.skip("there is no %s: this is about Debian" % tool)
    if not os.path.exists(os.path.join(STAGE, "wsgi-worker")):
        pytest.skip("the module is another's")
    directory = tmp_path_factory.mktemp("package")
    done = subprocess.run(["apt-get", "download", "-q", PACKAGE], cwd=directory, capture_output=True, text=True)
    found = [name for name in os.listdir(directory) if name.endswith(".deb")]
    if done.returncode or not found:
        pytest.skip("%s cannot be downloaded: %s" % (PACKAGE, (done.stderr.strip().splitlines() or ["no index"])[-1]))
    return os.path.join(str(directory), found[0])


@pytest.fixture
def copy(package, tmp_path):
    made = Copy(str(tmp_path))
    try:
        code, output = made.run(ENTER.format(tmp=tmp_path))
        if code:
            pytest.skip("no overlay of the system can be mounted here: " + output.strip())
        made.run("cp %s %s/package.deb" % (package, made.root))
        # Whatever this system has of either module is no part of the test.
        made.inside("dpkg --force-depends --purge %s; rm -f /etc/apache2/mods-*/wsgi.* %s/mod_wsgi.so*"
                    % (PACKAGE, query_apxs("LIBEXECDIR")))
        made.must("dpkg --force-depends -i /package.deb && a2enmod -q wsgi")
        yield made
    finally:
        made.end()


def steps():
    """The commands that the manual gives."""
    found = example("migration")[0].text.splitlines()
    assert len(found) == 3 and found[1] == "apt-get purge " + PACKAGE, found
    return found


def install(copy):
    code, output = copy.run("cd %s && make --no-print-directory install DESTDIR=%s STAGE=%s" % (ROOT, copy.root, STAGE))
    assert code == 0, output


def is_ours(copy):
    module = os.path.join(query_apxs("LIBEXECDIR"), "mod_wsgi.so")
    return copy.run("cmp -s %s %s%s" % (os.path.join(STAGE, "mod_wsgi.so"), copy.root, module))[0] == 0


def test_from_debians_package(copy):
    keep, purge, both = steps()
    copy.must("echo \"# of my own\" >> /etc/apache2/mods-available/wsgi.conf")
    copy.must("mkdir -p /root && " + keep)
    copy.must(purge.replace("apt-get purge", "apt-get -o Dpkg::Options::=--force-depends -y purge"))
    assert "# of my own" in copy.must("cat /var/backups/wsgi.conf.old")
    assert copy.inside("ls %s/mod_wsgi.so*" % query_apxs("LIBEXECDIR"))[0] != 0
    assert both == "make install && a2enmod wsgi"
    install(copy)
    copy.must("a2enmod wsgi")
    assert is_ours(copy)
    for path in (query_apxs("LIBEXECDIR") + "/mod_wsgi.so", "/etc/apache2/mods-available/wsgi.load",
                 "/etc/apache2/mods-available/wsgi.conf"):
        assert copy.inside("dpkg -S " + path)[0] != 0, "a package owns " + path
    # Nothing of the package is left that could take the new files away.
    copy.inside("dpkg --purge " + PACKAGE)
    assert is_ours(copy)
    code, output = copy.inside(". /etc/apache2/envvars; mkdir -p $APACHE_RUN_DIR $APACHE_LOCK_DIR; %s -M" % httpd_program())
    assert code == 0 and "wsgi_module (shared)" in output, output


def test_debians_own_configuration(package):
    """Its wsgi.conf, which begins with <IfModule mod_wsgi.c>."""
    text = subprocess.run("dpkg-deb --fsys-tarfile '%s' | tar -xO ./etc/apache2/mods-available/wsgi.conf" % package, shell=True,
                          capture_output=True, text=True, check=True).stdout
    assert "<IfModule mod_wsgi.c>" in text
    server = Httpd(text + "\nWSGIScriptAlias / {apps}/app.wsgi", apps="restart", log_level="warn",
                   processes=2)
    try:
        code, output = server.check()
        assert code == 0 and output.strip() == "Syntax OK", output
        with server:
            assert server.get("/").status == 200
        assert not [line for line in server.log.lines(r"\[\w*:(warn|error|crit|alert|emerg)\]") if "AH00128" not in line]
    finally:
        server.remove()


def test_why_the_package_goes_first(copy):
    """The order that the manual warns of."""
    install(copy)
    assert is_ours(copy)
    copy.must("dpkg --force-depends --force-confold -i /package.deb")
    assert not is_ours(copy), "an upgrade of the package has left the new module in place"
