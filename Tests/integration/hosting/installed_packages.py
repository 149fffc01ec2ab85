"""httpd as Debian configures it, with packages at their real paths.

The packages' files lie over the system's /usr, /etc and /var in a mount namespace of the server: nothing is installed, and
nothing that the packages' programs write there stays."""
import os
import re
import shutil
import subprocess

import pytest

import debian_packages
from httpd_env import Httpd, Log

# What apache2's postinst enables.
ENABLED = ["access_compat", "alias", "auth_basic", "authn_core", "authn_file", "authz_core", "authz_host", "authz_user",
           "autoindex", "deflate", "dir", "env", "filter", "mime", "mpm_event", "negotiation", "reqtimeout", "setenvif", "status"]
SERVER = ["apache2", "libapache2-mod-wsgi-py3"]
LAYERS = """
layers=$1 logs=$2
shift 2
mkdir -p $logs/apache2
mount -t tmpfs -o mode=755 tmpfs $layers
for directory in usr etc var; do
    below=/$directory
    for package; do
        [ ! -d $package/$directory ] || below=$package/$directory:$below
    done
    mkdir -p $layers/$directory/upper $layers/$directory/work
    mount -t overlay overlay -o lowerdir=$below,upperdir=$layers/$directory/upper,workdir=$layers/$directory/work /$directory
done
for package; do
    [ ! -d $package/var/log ] || cp -a $package/var/log/. $logs
done
mount --bind $logs /var/log
cd /etc/apache2
rm -rf mods-enabled conf-enabled sites-enabled
mkdir mods-enabled conf-enabled sites-enabled
"""


def with_dependencies(*names):
    """Directories with these packages and with what apt-get would install with them. Not what the system has already."""
    plan = debian_packages.apt("-s", "--no-install-recommends", "install", "libapache2-mod-wsgi-py3", *names)
    if plan.returncode:
        pytest.skip("apt-get finds no %s: %s" % (" ".join(names), (plan.stderr.splitlines() or ["?"])[-1]))
    missing = set(re.findall(r"(?m)^Inst (\S+)", plan.stdout)) | set(names)
    return debian_packages.unpacked(*sorted(missing - set(SERVER)))


class InstalledServer(Httpd):
    """`sites` are configuration files, enabled as a2enconf would; `users` are those that the packages' postinst makes, and
    their homes; `setup` is the rest of the postinst, as a shell script; `conf` is an administrator's own configuration."""

    def __init__(self, packages, sites=(), users={}, setup="", conf=""):
        if os.getuid():
            pytest.skip("only root can mount file systems and start processes of other users")
        self.directories = [debian_packages.unpacked(*SERVER), with_dependencies(*packages)]
        self.sites, self.users, self.setup, self.more = sites, users, setup, conf
        self.holder = None
        super().__init__(name="installed", log_level="notice")

    def configure(self, conf):
        logs = self.make_directory("logs")
        self.log = Log(os.path.join(logs, "apache2", "error.log"))
        self.environment = {
            "APACHE_RUN_USER": "www-data", "APACHE_RUN_GROUP": "www-data", "APACHE_RUN_DIR": self.root, "LANG": "C",
            "APACHE_PID_FILE": os.path.join(self.root, "pid"), "APACHE_LOCK_DIR": self.root, "APACHE_LOG_DIR": "/var/log/apache2"}
        self.conf = "/etc/apache2/apache2.conf"
        script = [
            *("ln -s /etc/apache2/mods-available/%s.* mods-enabled/" % name for name in ENABLED + ["wsgi"]),
            "sed -i 's#/usr/lib/apache2/modules/mod_wsgi.so#%s#' mods-available/wsgi.load" % self.module,
            "echo 'Listen 127.0.0.1:%d\nServerName localhost' >ports.conf" % self.port,
            *("getent passwd %s || useradd --system --user-group --create-home --home-dir %s %s" % (user, home, user)
              for user, home in self.users.items()),
            *("sed -i 's/:80>/:%d>/' %s\nln -s %s conf-enabled/site%d.conf" % (self.port, site, site, index)
              for index, site in enumerate(self.sites)),
            "cat >conf-enabled/more.conf <<'END'\n%s\nEND" % self.more,
            self.setup,
        ]
        try:
            self.lay(self.directories, self.make_directory("layers"), logs)
            done = self.run("cd /etc/apache2\n" + "\n".join(script))
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        except BaseException:
            self.remove()
            raise

    def lay(self, directories, layers, logs):
        """Mounts the packages' files in a namespace, which a process holds until the server is removed."""
        for tool in ("unshare", "nsenter", "useradd"):
            if not shutil.which(tool):
                pytest.skip("there is no " + tool)
        self.holder = subprocess.Popen(["unshare", "-m", "sh", "-c", "echo ready; read -r end"], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        answer = self.holder.stdout.readline()
        if answer != "ready\n":
            pytest.skip("no mount namespace can be made here: " + answer.strip())
        self.wrapper = ["nsenter", "-m", "-t", str(self.holder.pid), "--"]
        mounted = self.run(LAYERS, layers, logs, *directories)
        if mounted.returncode:
            pytest.skip("no overlay of the system can be mounted here: " + mounted.stderr.strip())

    def run(self, script, *arguments):
        """The outcome of a shell script that runs where the packages are."""
        return subprocess.run(self.wrapper + ["sh", "-ec", script, "sh", *arguments], capture_output=True, text=True, cwd="/",
                              env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}, timeout=300)

    def remove(self):
        if self.holder:
            self.holder.communicate("end\n")
        super().remove()

    def complaints(self):
        return debian_packages.complaints(os.path.join(self.root, "logs", "*", "*error*log"))
