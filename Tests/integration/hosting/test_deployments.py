"""Configurations as the deployment guides of well-known applications give them, with stand-ins at their scripts' places."""
import base64
import os
import pwd
import re

import pytest

from guides import MORE_GUIDES, Guide
from httpd_env import MODES, REFERENCE, Httpd, free_port, virtual_environment

USER = "daemon" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
SCRIPT = """
import mod_wsgi, sys
LOADED = []
def application(environ, start_response):
    LOADED.append(1)
    start_response('200 OK', [('Content-Type', 'text/plain')])
    facts = {key: environ.get(key) for key in ('SCRIPT_NAME', 'PATH_INFO', 'REMOTE_USER', 'HTTP_AUTHORIZATION', 'REQUEST_METHOD',
             'wsgi.multithread', 'wsgi.multiprocess', 'SERVER_PORT')}
    facts.update(group=mod_wsgi.process_group, application=mod_wsgi.application_group, name=__file__, path=sys.path,
                 prefix=sys.prefix, count=len(LOADED))
    return [repr(facts).encode()]
"""
AUTH = """
def check_password(environ, user, password):
    return {'ann': 'secret', 'ben': 'secret'}.get(user) == password if user in ('ann', 'ben') else None
def groups_for_user(environ, user):
    return ['staff'] if user == 'ann' else []
"""


def basic(user, password):
    return [("Authorization", "Basic " + base64.b64encode(("%s:%s" % (user, password)).encode()).decode())]


GUIDES = {
    **MORE_GUIDES,
    "django, embedded": Guide("""
        WSGIScriptAlias / {srv}/mysite.com/mysite/wsgi.py
        WSGIPythonHome {venv}
        WSGIPythonPath {srv}/mysite.com
        Alias /robots.txt {srv}/static/robots.txt
        Alias /static/ {srv}/static/
        <Directory {srv}/static>
            Require all granted
        </Directory>
        <Directory {srv}/mysite.com/mysite>
            <Files wsgi.py>
                Require all granted
            </Files>
        </Directory>""", ["mysite.com/mysite/wsgi.py"], [
            ("/polls/", [], {"SCRIPT_NAME": "", "PATH_INFO": "/polls/", "group": "", "prefix": "{venv}"}),
            ("/robots.txt", [], "of httpd"), ("/static/robots.txt", [], "of httpd"), ("/static/nosuch", [], 404)],
        files=["static/robots.txt"], daemon=False),
    "django, daemon": Guide("""
        WSGIDaemonProcess example.com python-home={venv} python-path={srv}/mysite.com
        WSGIProcessGroup example.com
        WSGIScriptAlias /mysite {srv}/mysite.com/mysite/wsgi.py process-group=example.com
        <Directory {srv}/mysite.com/mysite>
            <Files wsgi.py>
                Require all granted
            </Files>
        </Directory>""", ["mysite.com/mysite/wsgi.py"], [
            ("/mysite/polls/", [], {"SCRIPT_NAME": "/mysite", "PATH_INFO": "/polls/", "group": "example.com", "prefix": "{venv}",
                                    "application": "localhost|/mysite", "wsgi.multithread": True, "wsgi.multiprocess": False}),
            ("/mysite", [], {"PATH_INFO": ""}), ("/other", [], 404)]),
    "django, users": Guide("""
        WSGIScriptAlias / {srv}/mysite.com/mysite/wsgi.py
        WSGIPythonPath {srv}/mysite.com
        WSGIProcessGroup %{GLOBAL}
        WSGIApplicationGroup %{GLOBAL}
        <Location "/secret">
            AuthType Basic
            AuthName "Top Secret"
            Require valid-user
            AuthBasicProvider wsgi
            WSGIAuthUserScript {srv}/auth.py
        </Location>
        <Location "/staff">
            AuthType Basic
            AuthName "Top Secret"
            AuthBasicProvider wsgi
            WSGIAuthUserScript {srv}/auth.py
            WSGIAuthGroupScript {srv}/auth.py
            Require wsgi-group staff
        </Location>""", ["mysite.com/mysite/wsgi.py"], [
            ("/open", [], {"REMOTE_USER": None, "application": ""}), ("/secret", [], 401), ("/secret", basic("ann", "wrong"),
                                                                                            401),
            ("/secret", basic("ben", "secret"), {"REMOTE_USER": "ben", "HTTP_AUTHORIZATION": None}),
            ("/staff", basic("ann", "secret"), {"REMOTE_USER": "ann"}), ("/staff", basic("ben", "secret"), 401)],
        modules=["auth_basic", "authn_core", "authz_user"], auth=["auth.py"], daemon=False),
    "flask": Guide("""
        <VirtualHost *>
            ServerName example.com
            WSGIDaemonProcess yourapplication user={user} group={user} threads=5
            WSGIScriptAlias / {srv}/yourapplication/yourapplication.wsgi
            WSGIScriptReloading On
            <Directory {srv}/yourapplication>
                WSGIProcessGroup yourapplication
                WSGIApplicationGroup %{GLOBAL}
                Order deny,allow
                Allow from all
            </Directory>
        </VirtualHost>""", ["yourapplication/yourapplication.wsgi"], [
            ("/x", [("Host", "example.com")], {"group": "yourapplication", "application": "", "PATH_INFO": "/x"})],
        modules=["access_compat", "authz_host"]),
    "flask, embedded": Guide("""
        <VirtualHost *:{port}>
            ServerName example.com
            WSGIScriptAlias / {srv}/hello/wsgi.py
            <Directory {srv}/hello/>
                Require all granted
            </Directory>
        </VirtualHost>""", ["hello/wsgi.py"], [
            ("/", [], {"group": "", "application": "example.com|", "PATH_INFO": "/"})], daemon=False),
    "trac": Guide("""
        WSGIScriptAlias /trac/mysite {srv}/mysite/apache/mysite.wsgi
        Alias /trac/mysite/chrome/common {srv}/static
        <Directory {srv}/mysite/apache>
            WSGIApplicationGroup %{GLOBAL}
            <IfModule !mod_authz_core.c>
                Order deny,allow
                Allow from all
            </IfModule>
            <IfModule mod_authz_core.c>
                Require all granted
            </IfModule>
        </Directory>
        WSGIScriptAliasMatch ^/projects/([^/]+) {srv}/projects/$1/apache/$1.wsgi
        <Directory {srv}/projects>
            WSGIApplicationGroup %{GLOBAL}
        </Directory>
        <LocationMatch "/[^/]+/[^/]+/login">
            AuthType Basic
            AuthName "Trac"
            AuthBasicProvider wsgi
            WSGIAuthUserScript {srv}/auth.py
            Require valid-user
        </LocationMatch>""", ["mysite/apache/mysite.wsgi", "projects/two/apache/two.wsgi"], [
            ("/trac/mysite/wiki", [], {"SCRIPT_NAME": "/trac/mysite", "PATH_INFO": "/wiki", "application": "",
                                       "REMOTE_USER": None}),
            ("/trac/mysite/login", [], 401),
            ("/trac/mysite/login", basic("ann", "secret"), {"REMOTE_USER": "ann", "PATH_INFO": "/login"}),
            ("/trac/mysite/chrome/common/robots.txt", [], "of httpd"),
            ("/projects/two/ticket/1", [], {"SCRIPT_NAME": "/projects/two", "PATH_INFO": "/ticket/1"}), ("/projects/three", [],
                                                                                                         404)],
        modules=["auth_basic", "authn_core", "authz_user"], files=["static/robots.txt"], auth=["auth.py"], daemon=False),
    "openstack, keystone": Guide("""
        Listen 127.0.0.1:{second}
        <VirtualHost *:{port}>
            WSGIDaemonProcess keystone-public processes=2 threads=1 user={user} group={user} display-name=%{GROUP}
            WSGIProcessGroup keystone-public
            WSGIScriptAlias / {srv}/bin/keystone-wsgi-public
            WSGIApplicationGroup %{GLOBAL}
            WSGIPassAuthorization On
            LimitRequestBody 114688
            <IfVersion >= 2.4>
                ErrorLogFormat "%{cu}t %M"
            </IfVersion>
            <Directory {srv}/bin>
                Require all granted
            </Directory>
        </VirtualHost>
        <VirtualHost *:{second}>
            WSGIDaemonProcess keystone-admin processes=2 threads=1 user={user} group={user} display-name=%{GROUP}
            WSGIProcessGroup keystone-admin
            WSGIScriptAlias / {srv}/bin/keystone-wsgi-admin
            WSGIApplicationGroup %{GLOBAL}
            WSGIPassAuthorization On
            LimitRequestBody 114688
        </VirtualHost>
        Alias /identity {srv}/bin/keystone-wsgi-public
        <Location /identity>
            SetHandler wsgi-script
            Options +ExecCGI
            WSGIProcessGroup keystone-public
            WSGIApplicationGroup %{GLOBAL}
            WSGIPassAuthorization On
        </Location>""", ["bin/keystone-wsgi-public", "bin/keystone-wsgi-admin"], [
            ("/v3/auth/tokens", [("Authorization", "Bearer x")], {
                "group": "keystone-public", "application": "", "HTTP_AUTHORIZATION": "Bearer x", "wsgi.multithread": False,
                "wsgi.multiprocess": True, "name": "{srv}/bin/keystone-wsgi-public"}),
            ("second:/v3", [], {"group": "keystone-admin", "name": "{srv}/bin/keystone-wsgi-admin", "SCRIPT_NAME": ""}),
            ("/identity/v3", [], {"group": "keystone-public", "SCRIPT_NAME": "/identity", "PATH_INFO": "/v3"})],
        modules=["version"]),
    "openstack, horizon": Guide("""
        WSGIScriptAlias /dashboard {srv}/openstack_dashboard/wsgi.py process-group=horizon
        WSGIDaemonProcess horizon user={user} group={user} processes=3 threads=10 display-name=%{GROUP}
        WSGIProcessGroup horizon
        WSGIApplicationGroup %{GLOBAL}
        WSGISocketPrefix run/wsgi
        Alias /dashboard/static {srv}/static
        <Directory {srv}/openstack_dashboard>
            Options All
            AllowOverride All
            Require all granted
        </Directory>""", ["openstack_dashboard/wsgi.py"], [
            ("/dashboard/auth/login/", [], {"group": "horizon", "application": "", "SCRIPT_NAME": "/dashboard"}),
            ("/dashboard/static/robots.txt", [], "of httpd")], files=["static/robots.txt"]),
    "graphite": Guide("""
        <IfModule !wsgi_module.c>
            WSGISocketRotation On
        </IfModule>
        WSGISocketPrefix run/wsgi
        <VirtualHost *:{port}>
            ServerName graphite
            DocumentRoot "{srv}/webapp"
            WSGIDaemonProcess graphite processes=2 threads=5 display-name='%{GROUP}' inactivity-timeout=120
            WSGIProcessGroup graphite
            WSGIApplicationGroup %{GLOBAL}
            WSGIImportScript {srv}/conf/graphite.wsgi process-group=graphite application-group=%{GLOBAL}
            WSGIScriptAlias / {srv}/conf/graphite.wsgi
            Alias /content/ {srv}/webapp/content/
            <Location "/content/">
                SetHandler None
            </Location>
            <Directory {srv}/conf/>
                Order deny,allow
                Allow from all
            </Directory>
        </VirtualHost>""", ["conf/graphite.wsgi"], [
            ("/render", [], {"group": "graphite", "application": "", "SCRIPT_NAME": "", "PATH_INFO": "/render"}),
            ("/content/robots.txt", [], "of httpd")],
        files=["webapp/content/robots.txt"], modules=["access_compat", "authz_host"]),
    "freeipa": Guide("""
        WSGISocketPrefix {root}/wsgi
        WSGIDaemonProcess ipa processes=2 threads=1 maximum-requests=500 \\
            user={user} group={user} display-name=%{GROUP} socket-timeout=2147483647 \\
            lang=C.UTF-8 locale=C.UTF-8
        WSGIImportScript {srv}/share/ipa/wsgi.py process-group=ipa application-group=ipa
        WSGIScriptAlias /ipa {srv}/share/ipa/wsgi.py
        WSGIScriptReloading Off
        WSGIDaemonProcess kdcproxy processes=2 threads=15 maximum-requests=1000 user={user} display-name=%{GROUP}
        WSGIImportScript {srv}/kdcproxy/__init__.py process-group=kdcproxy application-group=kdcproxy
        WSGIScriptAlias /KdcProxy {srv}/kdcproxy/__init__.py
        <Location "/KdcProxy">
            Satisfy Any
            Order Deny,Allow
            Allow from all
            WSGIProcessGroup kdcproxy
            WSGIApplicationGroup kdcproxy
        </Location>
        Alias /ipa/ui "{srv}/static"
        <Directory "{srv}/static">
            SetHandler None
            AllowOverride None
        </Directory>
        <Location "/ipa">
            AuthType Basic
            AuthName "Kerberos Login"
            AuthBasicProvider wsgi
            WSGIAuthUserScript {srv}/auth.py
            Require valid-user
            WSGIProcessGroup ipa
            WSGIApplicationGroup ipa
        </Location>
        <Location "/ipa/session">
            Satisfy Any
            Order Deny,Allow
            Allow from all
        </Location>""", ["share/ipa/wsgi.py", "kdcproxy/__init__.py"], [
            ("/ipa/xml", [], 401),
            ("/ipa/xml", basic("ann", "secret"), {"group": "ipa", "application": "ipa", "wsgi.multithread": False,
                                                  "PATH_INFO": "/xml",
                                                  "REMOTE_USER": "ann"}),
            ("/ipa/session/login", [], {"group": "ipa", "PATH_INFO": "/session/login"}),
            ("/KdcProxy", [], {"group": "kdcproxy", "application": "kdcproxy", "wsgi.multithread": True}),
            ("/ipa/ui/robots.txt", basic("ben", "secret"), "of httpd")],
        modules=["auth_basic", "authn_core", "authz_user", "access_compat", "authz_host"], files=["static/robots.txt"],
        auth=["auth.py"]),
}


@pytest.fixture
def served(request):
    guide = GUIDES[request.param]
    if guide.daemon and "daemon" not in MODES:
        pytest.skip("no daemon mode")
    if not guide.daemon and "embedded" not in MODES:
        pytest.skip("no embedded mode")
    second = free_port()
    server = Httpd(name="guide", modules=guide.modules, log_level="warn", processes=3, threads=8)
    values = {"srv": os.path.join(server.root, "srv"), "user": USER, "second": str(second)}
    if "{venv}" in guide.conf:
        values["venv"] = virtual_environment()
    for name, text in [(name, SCRIPT) for name in guide.scripts] + [(name, "of httpd") for name in guide.files] + [
            (name, AUTH) for name in guide.auth]:
        path = os.path.join(values["srv"], name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as out:
            out.write(text)
    server.make_directory("run")
    conf = guide.conf
    for name, value in values.items():
        conf = conf.replace("{%s}" % name, value)
    if REFERENCE and "WSGISocketPrefix" not in conf:
        conf = "WSGISocketPrefix {root}/wsgi\n" + conf
    server.configure(conf)
    yield guide, server, values
    server.remove()


@pytest.mark.parametrize("served", GUIDES, indirect=True)
def test_a_guides_configuration_is_in_good_order_and_serves(served):
    guide, server, values = served
    code, output = server.check()
    assert code == 0 and output.strip() == "Syntax OK", output
    with server:
        for path, headers, expected in guide.requests:
            port, path = (int(values["second"]), path[7:]) if path.startswith("second:") else (server.port, path)
            before, server.port = server.port, port
            answer = server.get(path, headers)
            server.port = before
            if isinstance(expected, int):
                assert answer.status == expected, (path, answer)
            elif isinstance(expected, str):
                assert (answer.status, answer.text) == (200, expected), (path, answer)
            else:
                assert answer.status == 200, (path, answer, server.log.text()[-3000:])
                seen = eval(answer.text)
                for key, value in expected.items():
                    if isinstance(value, str):
                        for name in values:
                            value = value.replace("{%s}" % name, values[name])
                    assert seen[key] == value, (path, key, seen)
    # WSGI0059 and WSGI0135 are the refusals that are asked for, as are those of passwords.
    assert not [line for line in server.log.lines(r"\[\w*:(warn|error|crit|alert|emerg)\]")
                if not re.search(r"WSGI0(059|135)|AH01617|AH01618|AH00128", line)], server.log.text()
