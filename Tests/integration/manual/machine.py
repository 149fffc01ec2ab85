"""A machine to try the manual's examples on."""
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest

from httpd_env import MODES, Httpd, httpd_program, virtual_environment

# What examples enable on a real server with a2enmod.
MODULES = ["authz_host", "authz_user", "auth_basic", "authn_core", "authn_file", "dir", "rewrite", "vhost_alias", "headers",
           "expires", "slotmem_shm", "watchdog", "proxy", "proxy_http", "proxy_balancer", "proxy_hcheck", "lbmethod_byrequests",
           "lbmethod_bybusyness", "reqtimeout", "status"]
# Pages that the tests' own configuration opens to everybody are closed, as on a real server.
BASE = "<Directory />\nRequire all denied\n</Directory>\nAddType text/css .css\n"
USERS = {"shop": 50000, "app": 50001, "wiki": 50002}
# The commands of an example that mean the whole machine, for the one server that stands for it. `systemctl reload` is play()'s.
SHELL = """
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
apt() {{ :; }}
apt-get() {{ :; }}
a2enmod() {{ :; }}
a2ensite() {{ :; }}
systemctl() {{ :; }}
adduser() {{
  for name; do :; done
  install -d -o "$name" -g "$name" "/srv/$name"
  users=$(sed "s|:/home/$name:|:/srv/$name:|" /etc/passwd)
  echo "$users" > /etc/passwd
}}
apachectl() {{
  case "$1" in
    configtest) {program} -t -f {conf} 2>&1 ;;
    *) echo "apachectl $1?" >&2; return 1 ;;
  esac
}}
python3() {{
  {python} "$@" || return
  test "$2" != venv || for home; do :; done
  test "$2" != venv || {{ printf '#!/bin/sh\\necho %s > %s/lib/python{version}/site-packages/tests.pth\\n' {packages} "$home" \
    > "$home/bin/pip"; chmod 755 "$home/bin/pip"; }}
}}
curl() {{ command curl -sS --connect-to ::127.0.0.1:{port} "$@"; }}
"""


class Machine:
    """A server in a mount namespace of its own, where /srv and /home are directories of the test and the users of the manual
    exist."""

    def __init__(self, **httpd):
        self.server = Httpd(**dict(dict(name="manual", log_level="notice", processes=2, threads=8, modules=MODULES), **httpd))
        self.log, self.conf = self.server.log, ""
        srv, home = self.server.make_directory("srv"), self.server.make_directory("home")
        files = [os.path.join(self.server.root, name) for name in ("passwd", "group")]
        for name, path, line in zip(("passwd", "group"), files, ("%s:x:%d:%d::/home/%s:/bin/sh\n", "%s:x:%d:\n")):
            shutil.copy("/etc/" + name, path)
            with open(path, "a") as out:
                for user, number in USERS.items():
                    out.write(line % ((user, number, number, user) if name == "passwd" else (user, number)))
        mounts = [(srv, "/srv"), (home, "/home")] + [(path, "/etc/" + os.path.basename(path)) for path in files]
        self.holder = subprocess.Popen(
            ["unshare", "-m", "sh", "-ec", "".join("mount --bind %s %s\n" % pair for pair in mounts) + "echo\nexec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.holder.stdout.read(1) == b"\n", "no mount namespace"
        self.server.wrapper = ["nsenter", "-m", "-t", str(self.holder.pid), "--"]

    def end(self):
        try:
            if self.server.process:
                self.server.stop()
        finally:
            self.holder.stdin.close()
            self.holder.wait(30)
            self.holder.stdout.close()
            self.server.remove()

    def path(self, path):
        """Where a path of the machine lies."""
        assert re.match("/(srv|home)/", path), path
        return self.server.root + path

    def write(self, path, text, owner="shop"):
        with open(self.path(path), "w") as out:
            out.write(text)
        os.chown(self.path(path), USERS[owner], USERS[owner])

    def configure(self, conf):
        """Adds to the configuration."""
        self.conf += conf.replace("*:80>", "*:%d>" % self.server.port) + "\n"
        self.server.configure(BASE + self.conf)

    def check(self):
        """`apachectl configtest` finds nothing, not even to warn of."""
        code, output = self.server.check()
        assert code == 0 and output.strip() == "Syntax OK", output

    def serve(self):
        if not self.server.process:
            self.check()
            self.server.start()
        return self.server

    def graceful_stop(self):
        """`apachectl graceful-stop`, to its end."""
        server = self.server
        server.signal(signal.SIGWINCH)
        assert server.process.wait(30) == 0, server.story()
        server.process = None
        server.output.close()

    def run(self, text):
        """What a shell prints; fails as it does."""
        server = self.server
        packages = next(path for path in sys.path if path.startswith(sys.prefix) and path.endswith("site-packages"))
        shell = SHELL.format(root=server.root, program=httpd_program(), conf=server.conf, python=sys.executable, port=server.port,
                             version="%d.%d" % sys.version_info[:2],
                             packages=packages.replace(sys.prefix, virtual_environment(), 1))
        done = subprocess.run(server.wrapper + ["bash", "-ec", shell + text.replace("-m venv ", "-m venv --without-pip ")],
                              capture_output=True, text=True, cwd="/srv", timeout=120, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, (text, done.stdout, done.stderr, self.log.text())
        return done.stdout

    def play(self, blocks):
        """Does what a reader does with an example; what its last shell block prints."""
        printed = ""
        for block in blocks:
            if "file" in block.marks:
                self.write(block.marks["file"], block.text, re.match(r"/\w+/(\w+)", block.marks["file"])[1])
            elif block.language == "apache":
                self.configure(block.text)
            elif block.language == "sh":
                if self.server.process and "systemctl reload" in block.text:
                    self.server.graceful()
                elif re.search(r"^(curl|systemctl reload|touch)\b", block.text, re.M):
                    self.serve()
                printed = self.run(block.text)
            else:
                raise AssertionError("%s: nothing is known of %s" % (block, block.language))
        return printed

    def complaints(self):
        """What an example in good order does not have in its log."""
        found = self.log.lines(r"\[\w*:(warn|error|crit|alert|emerg)\]")
        return [line for line in found if "/no-such-file" not in line and "AH01630" not in line]


@pytest.fixture
def machine():
    made = []

    def make(**httpd):
        if os.getuid():
            pytest.skip("only root can mount another /srv and start processes of other users")
        if not shutil.which("unshare") or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
            pytest.skip("no mount namespace can be made here")
        if "daemon" not in MODES:
            pytest.skip("the examples are about process groups")
        made.append(Machine(**httpd))
        return made[-1]
    yield make
    for one in made:
        one.end()
