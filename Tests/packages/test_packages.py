#!/usr/bin/env python3
"""The Debian packages, installed, upgraded, removed and purged in fresh Debian 12 systems: what `make test-deb` runs, as root."""
import argparse
import glob
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import chroot  # noqa: E402
from load import Load, get, wait_for  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OURS = "libapache2-mod-wsgi-swift"
DEBIANS = "libapache2-mod-wsgi-py3"
INSTALL = "apt-get install -q -y --allow-downgrades ./%s*_%s_*.deb"
AVAILABLE = "/etc/apache2/mods-available/"
ENABLED = "/etc/apache2/mods-enabled/wsgi.load"
CHANGED = "# What an administrator wrote.\nWSGIPythonPath /srv/shared\n"
# What the second version's module says at its start, in place of what the first one's does.
SAYS, SAYS_LATER = b"with engines for Python", b"WITH ENGINES FOR PYTHON"
APPLICATION = """import os, sys
def application(environ, start_response):
    group = environ["mod_wsgi.process_group"]
    if not group:
        import shared
        group = shared.WORD
    start_response("200 OK", [("Content-Type", "text/plain")])
    version = ".".join(map(str, environ["mod_wsgi.version"]))
    return [("%s, %s, mod_wsgi %s" % (environ["HTTP_HOST"], group, version)).encode()]
"""
SITES = """<VirtualHost *:80>
    ServerName a.test
    WSGIDaemonProcess a processes=2 threads=5
    WSGIScriptAlias / /srv/a/app.wsgi process-group=a application-group=%{GLOBAL}
</VirtualHost>
<VirtualHost *:80>
    ServerName b.test
    WSGIScriptAlias / /srv/b/app.wsgi
</VirtualHost>
<Directory /srv>
    Require all granted
</Directory>
LogLevel wsgi:info
ServerName localhost
"""
EXPECTED = {"a.test": "a.test, a,", "b.test": "b.test, shared,"}
with open(ROOT + "/conf/debian/changelog") as changelog:
    FIRST = changelog.readline().partition("(")[2].partition(")")[0]
LATER = FIRST + "+later"


def install(system, version, fails=False):
    return system.run("cd /root && " + INSTALL % (OURS, version), fails=fails)


def version_of(host):
    return get("/", host)[2].partition("mod_wsgi ")[2]


def two_sites(system):
    """Two virtual hosts, one with a daemon process group, one without, which imports a module from WSGIPythonPath."""
    for name in "ab":
        system.write("/srv/%s/app.wsgi" % name, APPLICATION)
    system.write("/srv/shared/shared.py", "WORD = 'shared'\n")
    system.write("/etc/apache2/sites-enabled/sites.conf", SITES)


def starts(system):
    system.stop_httpd()
    system.run("apache2ctl start")
    wait_for("two sites", lambda: all(answers(host, body) for host, body in EXPECTED.items()))


def answers(host, body):
    try:
        status, _, text = get("/", host)
    except OSError:
        return False
    return status == 200 and text.startswith(body)


def serves(port):
    try:
        return get("/", port=port)[0] == 200
    except OSError:
        return False


def files_of_ours(system):
    """Whatever has to do with the module, wherever it is, but for what was there before."""
    found = system.run("find / -xdev \\( -path /proc -o -path /root -o -path /var/cache -o -path /srv \\) -prune "
                       "-o -iname '*wsgi*' ! -iname '*uwsgi*' -print", quiet=True).split()
    return [name for name in found if "/dist-packages/" not in name and "/python3.11/" not in name]


# MARK: what is tested

def test_a_bare_system(base, packages):
    """Installed on a bare system, they bring httpd along and enable the module; removed and purged, they leave nothing."""
    with chroot.system(base, packages) as system:
        assert not system.exists("/opt") or not os.listdir(system.path("/opt"))
        before = files_of_ours(system)
        install(system, FIRST)
        assert "wsgi" in system.run("a2query -m wsgi")
        missing = system.run("for file in /usr/lib/mod_wsgi/*; do ldd $file; done 2>&1 | grep 'not found' || true")
        assert not missing, missing
        assert "7.0" in system.run("wsgictl version")
        system.write("/srv/a/app.wsgi", APPLICATION)
        system.run("wsgictl serve --port 8001 /srv/a/app.wsgi > /root/serve.log 2>&1 & echo $! > /root/serve.pid")
        wait_for("wsgictl serve", lambda: serves(8001))
        system.run("kill $(cat /root/serve.pid)")
        system.run("apt-get remove -q -y " + OURS)
        assert not system.exists(ENABLED) and system.exists(AVAILABLE + "wsgi.conf")
        assert "Syntax OK" in system.run("apache2ctl configtest 2>&1")
        system.run("apt-get install -q -y /root/%s_%s_*.deb" % (OURS, FIRST))
        assert system.exists(ENABLED), "installed again, it is enabled again"
        system.run("apt-get purge -q -y '%s*'" % OURS)
        assert not system.exists(ENABLED)
        left = [name for name in files_of_ours(system) if name not in before]
        assert not left, left


def test_no_path_of_the_build(base, packages):
    """No file of the packages names the directory that they were built in."""
    with chroot.system(base, packages) as system:
        install(system, FIRST)
        for name in system.run("dpkg -L %s %s-engine-3.11" % (OURS, OURS), quiet=True).split():
            if os.path.isfile(system.path(name)) and not os.path.islink(system.path(name)):
                with open(system.path(name), "rb") as file:
                    assert ROOT.encode() not in file.read(), name


def test_a_package_that_depends_on_debians(base, packages):
    """A package that needs libapache2-mod-wsgi-py3 (>= 4.9), or httpd-wsgi3, is content with ours."""
    with chroot.system(base, packages) as system:
        install(system, FIRST)
        system.write("/root/needs/DEBIAN/control",
                     "Package: needs\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\n"
                     "Depends: %s (>= 4.9), httpd-wsgi3\nDescription: needs mod_wsgi\n" % DEBIANS)
        system.run("cd /root && dpkg-deb -b needs needs.deb && apt-get install -q -y ./needs.deb")
        assert system.installed("needs") == "installed" and system.installed(OURS) == "installed"


def test_in_place_of_debians_package(base, packages):
    """Two sites that Debian's mod_wsgi serves are served by ours, with the configuration that was changed for them, and what is
    left of Debian's package can be purged."""
    with chroot.system(base, packages) as system:
        system.run("apt-get install -q -y apache2 " + DEBIANS)
        two_sites(system)
        system.write(AVAILABLE + "wsgi.conf", CHANGED)
        starts(system)
        assert version_of("a.test").startswith("4.9"), get("/", "a.test")
        with Load(EXPECTED) as load:
            install(system, FIRST)
            wait_for("mod_wsgi 6.1.1", lambda: version_of("a.test") == version_of("b.test") == "6.1.1")
            load.wait_for_more()
        print("    under load: %s" % load)
        assert system.read(AVAILABLE + "wsgi.conf") == CHANGED
        assert not glob.glob(system.path(AVAILABLE) + "wsgi*.dpkg-*")
        print("    Debian's package is " + system.installed(DEBIANS))
        system.run("dpkg --purge " + DEBIANS)
        assert system.installed(DEBIANS) == "not-installed"
        assert system.exists(ENABLED) and system.read(AVAILABLE + "wsgi.conf") == CHANGED
        system.run("apache2ctl graceful")
        for host, body in EXPECTED.items():
            assert answers(host, body), get("/", host)
        assert version_of("a.test") == "6.1.1"


def test_debians_configuration_unchanged(base, packages):
    """Debian's own wsgi.conf, which nobody has changed, gives way to ours; and the way back works as well."""
    with chroot.system(base, packages) as system:
        system.run("apt-get install -q -y apache2 " + DEBIANS)
        install(system, FIRST)
        assert "wsgi-status" in system.read(AVAILABLE + "wsgi.conf")
        assert system.exists(ENABLED)
        system.run("apt-get install -q -y -o Dpkg::Options::=--force-confnew " + DEBIANS)
        system.run("dpkg --purge " + OURS)
        assert system.exists(ENABLED) and "Syntax OK" in system.run("apache2ctl configtest 2>&1")


def test_an_upgrade_under_load(base, packages):
    """A later version takes over by a graceful restart, and no request fails; a file that was changed stays."""
    with chroot.system(base, packages) as system:
        install(system, FIRST)
        two_sites(system)
        system.write(AVAILABLE + "wsgi.conf", CHANGED)
        starts(system)
        log = "/var/log/apache2/error.log"
        assert SAYS.decode() in system.read(log)
        parent = system.read("/run/apache2/apache2.pid")
        with Load(EXPECTED) as load:
            for version in (LATER, FIRST, LATER):
                says = (SAYS_LATER if version == LATER else SAYS).decode()
                earlier = system.read(log).count(says)
                install(system, version)
                wait_for("the other version", lambda: system.read(log).count(says) > earlier)
                load.wait_for_more()
        print("    under load, three times: %s" % load)
        assert load.failed == 0, load
        assert system.read("/run/apache2/apache2.pid") == parent, "httpd was restarted"
        assert system.read(AVAILABLE + "wsgi.conf") == CHANGED


def test_disabled_stays_disabled(base, packages):
    """An administrator who disabled the module finds it disabled after an upgrade."""
    with chroot.system(base, packages) as system:
        install(system, FIRST)
        system.run("a2dismod wsgi")
        install(system, LATER)
        assert not system.exists(ENABLED)


def test_where_services_must_not_be_touched(base, packages):
    """Where policy-rc.d forbids it, as in the making of an image, nothing is started or reloaded."""
    with chroot.system(base, packages) as system:
        system.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
        install(system, FIRST)
        install(system, LATER)
        assert system.exists(ENABLED) and not system.exists("/run/apache2/apache2.pid")


def test_where_systemd_runs(base, packages):
    """systemd is asked for a start and for reloads; nothing restarts httpd."""
    with chroot.system(base, packages) as system:
        os.makedirs(system.path("/run/systemd/system"))
        system.write("/usr/bin/systemctl", "#!/bin/sh\necho \"$*\" >> /run/asked\n", 0o755)
        system.run("apt-get install -q -y apache2")
        # Another engine, which comes by itself, pulls this trigger.
        engine = "dpkg-trigger --by-package=%s-engine-3.11 mod-wsgi-swift-engine && dpkg --triggers-only --pending" % OURS
        for change in (INSTALL % (OURS, FIRST), engine, INSTALL % (OURS, LATER), "apt-get remove -q -y " + OURS):
            system.write("/run/asked", "")
            system.run("cd /root && " + change)
            asked = system.read("/run/asked").splitlines()
            assert "reload apache2.service" in asked, asked
            assert not any(word in line for line in asked for word in ("restart", "stop")), asked


def test_a_newcomer(base, packages):
    """A bare system, five commands and one file: a Django site with its static files."""
    with chroot.system(base, packages) as system:
        system.run("cd /root && apt-get install -q -y ./*_%s_*.deb python3-django" % FIRST)
        system.run("cd /srv && django-admin startproject shop")
        system.run("cd /srv/shop && echo \"STATIC_ROOT = BASE_DIR / 'static'\" >> shop/settings.py")
        print("    " + system.run("python3 /srv/shop/manage.py collectstatic").strip())
        site = """<VirtualHost *:80>
    ServerName localhost
    WSGIDaemonProcess shop user=www-data group=www-data home=/srv/shop
    WSGIScriptAlias / /srv/shop/shop/wsgi.py process-group=shop application-group=%{GLOBAL}
    Alias /static/ /srv/shop/static/
    <Directory /srv/shop>
        Require all granted
    </Directory>
</VirtualHost>
"""
        print("    /etc/apache2/sites-enabled/shop.conf:")
        print("".join("        " + line for line in site.splitlines(True)), end="")
        system.write("/etc/apache2/sites-enabled/shop.conf", site)
        system.run("service apache2 reload")
        status, _, page = wait_for("Django", lambda: get("/")[0] == 200 and get("/"))
        assert "The install worked successfully" in page, page[:500]
        print("    GET /: %d, %s" % (status, "The install worked successfully! Congratulations!"))
        status, headers, page = get("/static/admin/css/base.css")
        assert status == 200 and "DJANGO" in page, page[:200]
        print("    GET /static/admin/css/base.css: %d, %s, %d bytes" % (status, headers["Content-Type"], len(page)))


def later_version(stage, directory):
    """The images of a later build: another build-id, and other words at the start of the module."""
    shutil.copytree(stage, directory, dirs_exist_ok=True)
    module = directory + "/mod_wsgi.so"
    notes = subprocess.run(["readelf", "-n", module], stdout=subprocess.PIPE, text=True, check=True).stdout
    build = bytes.fromhex(notes.partition("Build ID: ")[2].split()[0])
    with open(module, "rb") as file:
        image = file.read()
    assert SAYS in image and build in image
    with open(module, "wb") as file:
        file.write(image.replace(SAYS, SAYS_LATER).replace(build, build[::-1]))


def make(arguments, stage, directory, *version):
    subprocess.run([ROOT + "/conf/debian/package", ROOT, stage, arguments.python, directory, *version], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", required=True, help="for what is fetched and made, and kept for the next time")
    parser.add_argument("--mirror", default="http://deb.debian.org/debian")
    parser.add_argument("--stage", required=True, help="what was built")
    parser.add_argument("--python", required=True, help="the version of Python that it was built for")
    parser.add_argument("--matching", default="", help="a word in the names of the tests to run")
    arguments = parser.parse_args()
    directory = os.path.abspath(arguments.directory)
    versions = [directory + "/" + name for name in ("first", "later")]
    base = directory + "/base"
    if not chroot.is_entered():
        chroot.prepare(directory, arguments.mirror)
        later_version(arguments.stage, directory + "/stage")
        make(arguments, arguments.stage, versions[0])
        make(arguments, directory + "/stage", versions[1], LATER)
    chroot.enter()
    packages = [package for name in versions for package in glob.glob(name + "/*.deb")]
    failed = passed = 0
    for name, test in list(globals().items()):
        if not name.startswith("test_") or arguments.matching not in name:
            continue
        started = time.monotonic()
        print("== %s ==\n%s" % (name[5:].replace("_", " "), test.__doc__), flush=True)
        try:
            test(base, packages)
            passed += 1
            print("ok, %.0f s" % (time.monotonic() - started), flush=True)
        except AssertionError as error:
            failed += 1
            print("FAILED: %s" % error, flush=True)
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
