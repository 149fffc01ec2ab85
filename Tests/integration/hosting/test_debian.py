"""Debian's packages that bring WSGI configurations: these load in Debian's own apache2 configuration without a warning, and
serve their first page. The packages are unpacked beside the system, and paths and users in them are made to fit."""
import glob
import os
import re
import shutil
import subprocess

import pytest

import debian_packages
from httpd_env import REFERENCE, Httpd, Log, wait_until

pytestmark = pytest.mark.skipif(REFERENCE, reason="mod_wsgi 6.1.1 needs a module that knows its directory")

# What apache2's postinst enables.
ENABLED = ["access_compat", "alias", "auth_basic", "authn_core", "authn_file", "authz_core", "authz_host", "authz_user",
           "autoindex", "deflate", "dir", "env", "filter", "mime", "mpm_event", "negotiation", "reqtimeout", "setenvif", "status"]


class DebianServer(Httpd):
    """apache2 as Debian configures it, with packages' configuration files enabled as a2enconf and a2ensite would."""

    def __init__(self, packages=(), sites=(), edit=lambda server: None, mpm="event"):
        self.sites, self.edit = sites, edit
        self.packages = [debian_packages.unpacked("apache2", "libapache2-mod-wsgi-py3")] + list(packages)
        super().__init__(name="debian", mpm=mpm)

    def configure(self, conf):
        for package in self.packages:
            shutil.copytree(package, self.root, symlinks=True, dirs_exist_ok=True)
        self.etc = os.path.join(self.root, "etc", "apache2")
        for kind in ("mods", "conf", "sites"):
            os.makedirs(os.path.join(self.etc, kind + "-enabled"), exist_ok=True)
        logs = os.path.join(self.root, "var", "log", "apache2")
        os.makedirs(logs, exist_ok=True)
        site = os.path.join(self.root, "var", "www", "html")
        os.makedirs(site, exist_ok=True)
        self.environment = {"APACHE_RUN_USER": "www-data", "APACHE_RUN_GROUP": "www-data", "APACHE_RUN_DIR": self.root,
                            "APACHE_PID_FILE": os.path.join(self.root, "pid"), "APACHE_LOCK_DIR": self.root,
                            "APACHE_LOG_DIR": logs, "LANG": "C",
                            # Where Debian's Python looks for the modules of packages, in this root.
                            "PYTHONPATH": os.path.join(self.root, "usr", "lib", "python3", "dist-packages")}
        self.log = Log(os.path.join(logs, "error.log"))
        for name in ENABLED:
            self.enable("mods", name.replace("mpm_event", "mpm_" + self.mpm))
        self.replace("etc/apache2/mods-available/wsgi.load", {"/usr/lib/apache2/modules/mod_wsgi.so": self.module})
        self.enable("mods", "wsgi")
        self.replace("etc/apache2/ports.conf", {"Listen 80": "Listen 127.0.0.1:%d" % self.port})
        self.relocate("etc/apache2/apache2.conf")
        for index, path in enumerate(self.sites):
            shutil.copy(os.path.join(self.root, path), os.path.join(self.etc, "conf-enabled", "site%d.conf" % index))
            self.relocate("etc/apache2/conf-enabled/site%d.conf" % index)
        self.edit(self)
        self.conf = os.path.join(self.root, "httpd.conf")
        with open(self.conf, "w") as out:
            out.write('ServerRoot "%s"\nServerName localhost\nDocumentRoot %s\nInclude apache2.conf\n' % (self.etc, site))

    def enable(self, kind, name):
        for path in glob.glob(os.path.join(self.etc, kind + "-available", name + ".*")):
            os.symlink(path, os.path.join(self.etc, kind + "-enabled", os.path.basename(path)))

    def replace(self, path, changes):
        path = os.path.join(self.root, path)
        with open(path) as file:
            text = file.read()
        for old, new in changes.items():
            assert old in text, (path, old)
            text = text.replace(old, new)
        os.remove(path)  # it may be a link
        with open(path, "w") as file:
            file.write(text)

    def relocate(self, path):
        """Paths of the package, its user and its port become those of this server."""
        path = os.path.join(self.root, path)
        with open(path) as file:
            text = file.read()
        text = re.sub(r"(?<![\w.}])/(usr|var|etc)/", self.root + r"/\1/", text)
        text = re.sub(r"(?<![-\w])(user|group)=\S+", r"\1=www-data", text).replace(":80>", ":%d>" % self.port)
        os.remove(path)
        with open(path, "w") as file:
            file.write(text)

    def complaints(self):
        return debian_packages.complaints(os.path.join(self.root, "var", "log", "*", "*error*log"))


def unpacked_with_dependencies(name):
    """A package and what apt-get would install with it. Not what the system has already, which its Python finds."""
    plan = debian_packages.apt("-s", "--no-install-recommends", "install", name)
    if plan.returncode:
        pytest.skip("apt-get finds no %s: %s" % (name, (plan.stderr.splitlines() or ["?"])[-1]))
    missing = re.findall(r"(?m)^Inst (\S+)", plan.stdout)
    return debian_packages.unpacked(*sorted(set(missing) | {name}))


# The packages, and the files of theirs that are enabled.
CONFIGURATIONS = {
    "graphite-web": ["usr/share/graphite-web/apache2-graphite.conf"],
    "linkchecker-web": ["etc/apache2/conf-available/linkchecker-web.conf"],
    "pywps-wsgi": ["etc/apache2/conf-available/pywps-wsgi.conf"],
    "x2gobroker x2gobroker-wsgi": ["etc/x2go/x2gobroker-wsgi.apache.conf"],
    # A WSGIProcessGroup names no group, but each alias has a process-group= of its own.
    "wims-lti": ["etc/apache2/sites-available/wims-lti-django.conf-dist"],
    # No WSGI directive in these: the first leads to uWSGI, the second leaves the alias to the administrator.
    "mailman3-web": ["etc/mailman3/apache.conf"],
    "dicoweb": ["etc/dicoweb/apache2.conf"],
}


@pytest.mark.parametrize("mpm", ["event", "prefork"])
def test_debians_own_configuration(mpm):
    with DebianServer(mpm=mpm) as server:
        # httpd starts them one after the other.
        wait_until(lambda: len(server.children()) > 1, server.story)
        assert server.get("/no-such-file").status == 404
        code, output = server.check()
        assert code == 0 and "WSGI" not in output, output
        assert not [line for line in server.complaints() if "WSGI" in line], server.complaints()


@pytest.mark.parametrize("packages", CONFIGURATIONS)
def test_a_packages_configuration_gives_no_warning(packages):
    server = DebianServer([debian_packages.unpacked(*packages.split())], CONFIGURATIONS[packages])
    try:
        code, output = server.check()
        assert code == 0 and not re.search(r"WSGI|warn", output), output
    finally:
        server.remove()


@pytest.mark.parametrize("packages, configuration", [
    # These make a process group that neither a WSGIProcessGroup nor a process-group= names: the application runs in httpd's own
    # processes, and the group's only cost memory.
    (["openstack-dashboard-apache", "openstack-dashboard"],
     "etc/apache2/sites-available/openstack-dashboard-alias-only.conf"),
    (["openstack-dashboard-apache", "openstack-dashboard"], "etc/apache2/sites-available/openstack-dashboard.conf"),
    (["supysonic"], "usr/share/doc/supysonic/examples/apache.conf"),
])
def test_what_is_wrong_with_a_packages_configuration_is_told(packages, configuration):
    server = DebianServer([debian_packages.unpacked(*packages)], [configuration])
    try:
        code, output = server.check()
        assert code == 0 and re.findall(r"WSGI\d+", output) == ["WSGI0305"], output
    finally:
        server.remove()


def test_mercurial_serves_its_first_page():
    def edit(server):
        script = "usr/share/doc/mercurial-common/examples/hgweb.wsgi"
        with open(os.path.join(server.root, "hgweb.config"), "w") as config:
            config.write("[paths]\n")
        server.replace(script, {"/path/to/repo/or/config": server.root + "/hgweb.config"})
        with open(os.path.join(server.etc, "conf-enabled", "hg.conf"), "w") as out:
            out.write("WSGIScriptAlias /hg %s/%s\n<Directory %s>\nRequire all granted\n</Directory>\n" % (
                server.root, script, server.root))
    with DebianServer([unpacked_with_dependencies("mercurial")], edit=edit) as server:
        answer = server.get("/hg/")
        assert answer.status == 200 and "/hg/static/hgicon.png" in answer.text, (answer, server.complaints())
        assert not server.complaints()


def test_linkchecker_serves_its_first_page():
    with DebianServer([unpacked_with_dependencies("linkchecker-web")], CONFIGURATIONS["linkchecker-web"]) as server:
        with open(os.path.join(server.root, "usr", "share", "linkchecker", "lconline", "index.html")) as page:
            assert server.get("/lconline/index.html").text == page.read()
        # Its form's target answers without a form that it was given nothing.
        answer = server.get("/lconlinewsgi/lc.wsgi")
        assert answer.status == 200 and "linkchecker" in answer.text.lower(), (answer, server.complaints())
        # It sends a header that is none, which goes out as it is meant, and is told once.
        assert answer.header("Pragma") == "no-cache"
        told, own = server.complaints()
        assert "b'Pragma:'" in told + own and "no url was given" in told + own


@pytest.mark.skipif(os.getuid() != 0, reason="files for another user")
def test_graphite_serves_its_first_page():
    """Django, in five daemon processes that import their script when they start."""
    def edit(server):
        server.relocate("usr/share/graphite-web/graphite.wsgi")
        shutil.copytree(os.path.join(server.root, "etc", "graphite"), os.path.join(server.root, "settings"))
        server.relocate("settings/local_settings.py")
        os.rename(os.path.join(server.root, "settings", "local_settings.py"),
                  os.path.join(server.root, "usr", "lib", "python3", "dist-packages", "graphite", "local_settings.py"))
        with open(os.path.join(server.root, "usr/lib/python3/dist-packages/graphite/local_settings.py"), "a") as settings:
            settings.write("SECRET_KEY = 'a secret'\n")
        # What its postinst does: directories of its user, a database.
        for directory in ("var/log/graphite", "var/lib/graphite"):
            os.makedirs(os.path.join(server.root, directory), exist_ok=True)
        subprocess.run(["/usr/bin/python3", "-m", "django", "migrate", "--run-syncdb", "-v", "0"], check=True, timeout=300,
                       capture_output=True,
                       env=dict(os.environ, **server.environment, DJANGO_SETTINGS_MODULE="graphite.settings",
                                GRAPHITE_SETTINGS_MODULE="graphite.local_settings"))
        for directory in ("var/log/graphite", "var/lib/graphite"):
            subprocess.run(["chown", "-R", "www-data:", os.path.join(server.root, directory)], check=True)
    with DebianServer([unpacked_with_dependencies("graphite-web")], CONFIGURATIONS["graphite-web"], edit=edit) as server:
        answer = server.get("/")
        assert answer.status == 200 and "Graphite" in answer.text, (answer, server.complaints())
        assert not server.complaints()
