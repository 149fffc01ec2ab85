"""Applications of Debian's packages, at the paths where Debian installs them, with the configuration that comes with them."""
import re

import pytest

from httpd_env import REFERENCE
from installed_packages import InstalledServer

pytestmark = pytest.mark.skipif(REFERENCE, reason="mod_wsgi 6.1.1 needs a module that knows its directory")


def diagnostics(server):
    """The numbers of what configtest says."""
    code, output = server.check()
    assert code == 0, output
    return re.findall(r"WSGI\d{4}", output)


def own(complaints):
    """Those that are the module's, not the application's."""
    return [line for line in complaints if re.search(r"WSGI\d{4}|Traceback", line)]


def test_pywps():
    """In httpd's own processes, with C extensions (GDAL, NumPy, lxml) that have to live in a sub-interpreter."""
    with InstalledServer(["pywps-wsgi", "python3-pywps"], ["/etc/apache2/conf-available/pywps-wsgi.conf"]) as server:
        assert diagnostics(server) == []
        answer = server.get("/pywps/wps.py?service=WPS&request=GetCapabilities")
        assert answer.status == 200 and "<ows:Identifier>say_hello</ows:Identifier>" in answer.text, (
            answer, server.complaints()[-20:])
        assert not own(server.complaints()), own(server.complaints())


def test_wims_lti():
    """A WSGIProcessGroup that names no group, which the process-group= of each alias overrules."""
    with InstalledServer(["wims-lti"], ["/etc/apache2/sites-available/wims-lti-django.conf-dist"], {"lti": "/var/lib/wims-lti"},
                         setup="""
cd /var/lib/wims-lti
sed 's/ALLOWED_HOSTS = ./&"*"/' wimsLTI/config.py_dpkg_dist >wimsLTI/config.py
./manage.py migrate -v 0
chown lti . db.sqlite3
""") as server:
        assert diagnostics(server) == []
        answer = server.get("/")
        assert answer.status == 200 and "<title>WIMS - LTI</title>" in answer.text, (answer, server.complaints()[-20:])
        assert not own(server.complaints()), own(server.complaints())


def test_mailman_web():
    """Its configuration of httpd leads to uWSGI, and has no WSGI directive; an administrator adds two of them."""
    with InstalledServer(["mailman3-web"], ["/etc/mailman3/apache.conf"], setup="""
cp /usr/share/mailman3-web/settings_local.py.sample /etc/mailman3/mailman-web.py
sed -i 's/change-this-on-your-production-server/a secret/' /etc/mailman3/mailman-web.py
mkdir -p /var/lib/mailman3/web/static
chown -R www-data: /var/lib/mailman3/web /var/log/mailman3/web
for command in 'migrate --no-input' 'collectstatic --no-input' compress; do
    setpriv --reuid www-data --regid www-data --clear-groups python3 -m django $command -v 0 \
        --pythonpath /usr/share/mailman3-web --settings settings
done
""", conf="""
WSGIDaemonProcess mailman3-web user=www-data group=www-data connect-timeout=60 python-path=/usr/share/mailman3-web
WSGIScriptAlias /mailman3 /usr/share/mailman3-web/wsgi.py process-group=mailman3-web application-group=%{GLOBAL}
""") as server:
        assert diagnostics(server) == []
        answer = server.get("/mailman3/hyperkitty/")
        assert answer.status == 200 and "HyperKitty" in answer.text, (answer, server.complaints()[-20:])
        assert server.get("/mailman3/static/postorius/img/favicon.ico").status == 200
        assert not own(server.complaints()), own(server.complaints())


def test_dicoweb():
    """Its configuration of httpd has no WSGI directive: an administrator adds the alias. The page's templates are where its
    settings do not look for them."""
    with InstalledServer(["dicoweb"], ["/etc/dicoweb/apache2.conf"],
                         setup="ln -s /etc/dicoweb/templates /usr/share/dicoweb/templates",
                         conf="WSGIScriptAlias / /usr/share/dicoweb/wsgi.py") as server:
        assert diagnostics(server) == []
        answer = server.get("/")
        assert answer.status == 200 and "GNU Dico" in answer.text, (answer, server.complaints()[-20:])
        assert not server.complaints(), server.complaints()


def test_x2gobroker():
    """Its application cannot be loaded, by any WSGI server: it calls what its Tornado, of the same Debian, no longer has."""
    with InstalledServer(["x2gobroker-wsgi"], ["/etc/apache2/conf-available/x2gobroker-wsgi.conf"],
                         {"x2gobroker": "/var/lib/x2gobroker"},
                         setup="mkdir -p /var/log/x2gobroker\nchown x2gobroker:adm /var/log/x2gobroker") as server:
        assert diagnostics(server) == []
        assert server.get("/x2gobroker/").status == 500
        server.log.wait_for("module 'tornado.wsgi' has no attribute 'WSGIApplication'")
        told = set(re.findall(r"WSGI\d{4}", "\n".join(server.complaints())))
        assert told == {"WSGI0109", "WSGI0174"}, server.complaints()


# Two packages make a process group that nothing leads to: their files have a WSGIDaemonProcess, but no WSGIProcessGroup (in
# OpenStack's it is commented out, and names another group) and no process-group=. The application runs in httpd's own processes
# and the group's only cost memory, as the warning says.

def test_supysonic():
    with InstalledServer(["supysonic"], ["/usr/share/doc/supysonic/examples/apache.conf"], {"supysonic": "/var/lib/supysonic"},
                         setup="""
mkdir /var/lib/supysonic/data
chown www-data /var/lib/supysonic/data
printf '[base]\ndatabase_uri = sqlite:////var/lib/supysonic/data/db\n[webapp]\ncache_dir = /var/lib/supysonic/data\n' \
    >/etc/supysonic
""") as server:
        assert diagnostics(server) == ["WSGI0305"]
        answer = server.get("/user/login")
        assert answer.status == 200 and "Supysonic" in answer.text, (answer, server.complaints()[-20:])
        assert [line for line in own(server.complaints()) if "WSGI0305" not in line] == []
        # httpd's user has made the database, not the group's.
        assert server.run("stat -c %U /var/lib/supysonic/data/db").stdout == "www-data\n"


def test_openstack_dashboard():
    with InstalledServer(["openstack-dashboard-apache"], ["/etc/apache2/sites-available/openstack-dashboard-alias-only.conf"],
                         setup="""
cd /etc/openstack-dashboard
mkdir -p local_settings.d /var/lib/openstack-dashboard/secret-key /var/lib/openstack-dashboard/static
cp /usr/share/openstack-dashboard-debian-settings.d/*.py local_settings.d
sed -i 's|^WEBROOT.*|WEBROOT = "/horizon/"|' local_settings.d/_0005_debian_webroot.py
cp /usr/share/openstack-dashboard/examples/local_settings.py .
sed -i "s/^[# ]*ALLOWED_HOSTS *=.*/ALLOWED_HOSTS = ['*']/" local_settings.py
cd /usr/lib/python3/dist-packages/openstack_dashboard
mkdir -p local/enabled
ln -sfn /usr/share/openstack-dashboard/themes themes
ln -sfn /etc/openstack-dashboard/local_settings.d local/local_settings.d
ln -sfn /etc/openstack-dashboard/local_settings.py local/local_settings.py
ln -sfn /etc/openstack-dashboard/policy conf
ln -sfn /var/lib/openstack-dashboard/static /usr/share/openstack-dashboard/static
# Style sheets, whose compilation takes a minute, are not the subject.
echo 'COMPRESS_ENABLED = COMPRESS_OFFLINE = False
COMPRESS_PRECOMPILERS = ()' >local/local_settings.d/_0100_no_style_sheets.py
chown -R www-data /var/lib/openstack-dashboard
""") as server:
        assert diagnostics(server) == ["WSGI0305"]
        answer = server.get("/horizon/auth/login/")
        assert answer.status == 200 and "Horizon" in answer.text, (answer, server.complaints()[-20:])
        assert [line for line in own(server.complaints()) if "WSGI0305" not in line] == []
