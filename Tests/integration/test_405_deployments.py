"""Configurations as the deployment guides of well-known applications have them, with stand-ins at their scripts' places."""
import os

import pytest

from httpd_env import MODES, Httpd

needs_daemon = pytest.mark.skipif("daemon" not in MODES, reason="daemon mode is not tested here")
USER = "user=www-data group=www-data" if os.getuid() == 0 else ""

APPLICATION = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ["|".join(environ[key] for key in (
        "SCRIPT_NAME", "PATH_INFO", "mod_wsgi.process_group", "mod_wsgi.application_group")).encode()]
"""

DJANGO_EMBEDDED = """
WSGIScriptAlias / {apps}/wsgi.py
WSGIPythonPath {apps}
<Directory {apps}>
<Files wsgi.py>
Require all granted
</Files>
</Directory>
"""

DJANGO_DAEMON = """
WSGIDaemonProcess example.com python-path={apps}
WSGIProcessGroup example.com
WSGIScriptAlias /mysite {apps}/wsgi.py process-group=example.com
"""

FLASK = """
<VirtualHost *:{port}>
    ServerName example.com
    WSGIDaemonProcess yourapplication USER threads=5
    WSGIScriptAlias / {apps}/wsgi.py
    <Directory {apps}>
        WSGIProcessGroup yourapplication
        WSGIApplicationGroup %{GLOBAL}
        Require all granted
    </Directory>
</VirtualHost>
"""

TRAC = """
WSGIScriptAlias /trac {apps}/wsgi.py
<Directory {apps}>
    WSGIApplicationGroup %{GLOBAL}
    Require all granted
</Directory>
"""

KEYSTONE = """
<VirtualHost *:{port}>
    WSGIDaemonProcess keystone-public processes=2 threads=1 USER display-name=%{GROUP}
    WSGIProcessGroup keystone-public
    WSGIScriptAlias / {apps}/wsgi.py
    WSGIApplicationGroup %{GLOBAL}
    WSGIPassAuthorization On
    LimitRequestBody 114688
    ErrorLogFormat "%{cu}t %M"
    <Directory {apps}>
        Require all granted
    </Directory>
</VirtualHost>
"""

GRAPHITE = """
WSGISocketPrefix run/wsgi
<VirtualHost *:{port}>
    ServerName graphite
    WSGIDaemonProcess graphite processes=2 threads=5 display-name='%{GROUP}' inactivity-timeout=120
    WSGIProcessGroup graphite
    WSGIApplicationGroup %{GLOBAL}
    WSGIImportScript {apps}/wsgi.py process-group=graphite application-group=%{GLOBAL}
    WSGIScriptAlias / {apps}/wsgi.py
</VirtualHost>
"""

FREEIPA = """
WSGISocketPrefix run/httpd/wsgi
WSGIDaemonProcess ipa processes=2 threads=1 maximum-requests=500 USER display-name=%{GROUP} \\
    socket-timeout=2147483647 lang=C.UTF-8 locale=C.UTF-8
WSGIImportScript {apps}/wsgi.py process-group=ipa application-group=ipa
WSGIScriptAlias /ipa {apps}/wsgi.py
WSGIScriptReloading Off
<Location "/ipa">
    Require all granted
    WSGIProcessGroup ipa
    WSGIApplicationGroup ipa
</Location>
"""

CASES = [
    pytest.param(DJANGO_EMBEDDED, "/page", "|/page||localhost|", id="django-embedded"),
    pytest.param(DJANGO_DAEMON, "/mysite/page", "/mysite|/page|example.com|localhost|/mysite", id="django", marks=needs_daemon),
    pytest.param(FLASK, "/page", "|/page|yourapplication|", id="flask", marks=needs_daemon),
    pytest.param(TRAC, "/trac/wiki", "/trac|/wiki||", id="trac"),
    pytest.param(KEYSTONE, "/v3", "|/v3|keystone-public|", id="openstack", marks=needs_daemon),
    pytest.param(GRAPHITE, "/render", "|/render|graphite|", id="graphite", marks=needs_daemon),
    pytest.param(FREEIPA, "/ipa/json", "/ipa|/json|ipa|ipa", id="freeipa", marks=needs_daemon),
]


@pytest.mark.parametrize("conf, path, expected", CASES)
def test_the_configuration_of_a_guide(conf, path, expected):
    server = Httpd("", name="guide")
    with open(os.path.join(server.apps, "wsgi.py"), "w") as script:
        script.write(APPLICATION)
    server.configure(conf.replace("USER", USER))
    status, output = server.check()
    assert status == 0, output
    with server:
        answer = server.get(path)
        assert (answer.status, answer.text) == (200, expected), (answer, server.story())
