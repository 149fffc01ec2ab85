"""Configurations of packages and deployment guides, in good order: nothing about them deserves a warning."""


class Guide:
    """`conf` as the guide has it, its paths below {srv}; `scripts` are made there. Each of `requests` is a path (with a port's
    name before it where there are several), headers, and what the stand-in must see, or a status."""

    def __init__(self, conf, scripts, requests, modules=(), files=(), auth=(), daemon=True):
        self.conf, self.scripts, self.requests, self.modules, self.files = conf, scripts, requests, modules, files
        self.auth, self.daemon = auth, daemon


def host(name):
    return [("Host", name)]


# Beside those of test_deployments.py: what packages and administrators of several sites write.
MORE_GUIDES = {
    "moinmoin": Guide("""
        <IfModule mod_wsgi.c>
            Alias /moin_static {srv}/static/
            WSGIScriptAlias /wiki {srv}/moin/server/moin.wsgi
            WSGIDaemonProcess moin user={user} group={user} home={srv}/moin processes=5 threads=10 \\
                maximum-requests=1000 umask=0007
            WSGIProcessGroup moin
        </IfModule>
        <Directory {srv}/moin/server>
            Require all granted
        </Directory>""", ["moin/server/moin.wsgi"], [
            ("/wiki/FrontPage", [], {"SCRIPT_NAME": "/wiki", "PATH_INFO": "/FrontPage", "group": "moin"}),
            ("/moin_static/robots.txt", [], "of httpd")], files=["static/robots.txt"]),
    "mercurial": Guide("""
        <VirtualHost *:{port}>
            WSGIScriptAliasMatch ^(.*)$ {srv}/hg/hgweb.wsgi$1
            WSGIDaemonProcess hg threads=15 maximum-requests=1000
            WSGIProcessGroup hg
            WSGIPassAuthorization On
            <Directory {srv}/hg>
                Options ExecCGI FollowSymlinks
                AddHandler wsgi-script .wsgi
                AllowOverride None
                Require all granted
            </Directory>
            <Location />
                <LimitExcept GET HEAD>
                    AuthType Basic
                    AuthName hg
                    AuthBasicProvider wsgi
                    WSGIAuthUserScript {srv}/auth.py application-group=%{GLOBAL}
                    Require valid-user
                </LimitExcept>
            </Location>
            ServerName hg.example.com
        </VirtualHost>""", ["hg/hgweb.wsgi"], [
            ("/repo/rev/1", [], {"group": "hg", "PATH_INFO": "/repo/rev/1"})],
        modules=["auth_basic", "authn_core", "authz_user"], auth=["auth.py"]),
    "mailman": Guide("""
        Alias /mailman3/favicon.ico {srv}/static/robots.txt
        Alias /mailman3/static {srv}/static
        <Directory "{srv}/static">
            Require all granted
        </Directory>
        <IfModule mod_proxy_uwsgi.c>
            ProxyPass /mailman3 unix:/run/mailman3-web/uwsgi.sock|uwsgi://localhost/
        </IfModule>
        <IfModule !mod_proxy_uwsgi.c>
            WSGIDaemonProcess mailman-web display-name=mailman-web maximum-requests=1000 umask=0002 user={user} group={user}
            WSGIScriptAlias /mailman3 {srv}/web/wsgi.py process-group=mailman-web application-group=%{GLOBAL}
            <Directory "{srv}/web">
                <Files wsgi.py>
                    Require all granted
                </Files>
            </Directory>
        </IfModule>""", ["web/wsgi.py"], [
            ("/mailman3/lists/", [], {"group": "mailman-web", "SCRIPT_NAME": "/mailman3", "application": ""}),
            ("/mailman3/static/robots.txt", [], "of httpd")], files=["static/robots.txt"]),
    "several sites, names last": Guide("""
        WSGIRestrictEmbedded On
        <VirtualHost *:{port}>
            WSGIDaemonProcess one user={user} group={user} threads=5 home={srv}/one
            WSGIScriptAlias / {srv}/one/app.wsgi process-group=one application-group=%{GLOBAL}
            ServerName one.example.com
            ServerAlias www.one.example.com
        </VirtualHost>
        <VirtualHost *:{port}>
            WSGIScriptAlias / {srv}/two/app.wsgi process-group=two application-group=%{GLOBAL}
            WSGIDaemonProcess two user={user} group={user} threads=5 home={srv}/two
            ServerName two.example.com
        </VirtualHost>
        <VirtualHost *:{port}>
            ServerName old.example.com
            Redirect permanent / http://one.example.com/
        </VirtualHost>""", ["one/app.wsgi", "two/app.wsgi"], [
            ("/", host("www.one.example.com"), {"group": "one"}), ("/", host("two.example.com"), {"group": "two"}),
            ("/", host("old.example.com"), 301)]),
    "plain and secure, one group": Guide("""
        Listen 127.0.0.1:{second}
        <VirtualHost *:{port}>
            ServerName shop.example.com
            WSGIDaemonProcess shop user={user} group={user} processes=2 display-name=%{GROUP}
            WSGIScriptAlias / {srv}/shop.wsgi process-group=shop application-group=%{GLOBAL}
        </VirtualHost>
        <VirtualHost *:{second}>
            ServerName shop.example.com
            WSGIScriptAlias / {srv}/shop.wsgi process-group=shop application-group=%{GLOBAL}
        </VirtualHost>""", ["shop.wsgi"], [
            ("/", [], {"group": "shop", "wsgi.multiprocess": True}), ("second:/", host("shop.example.com"), {"group": "shop"})]),
    "a default group that every alias overrules": Guide("""
        WSGIProcessGroup default
        WSGIDaemonProcess blog threads=2
        WSGIScriptAlias /blog {srv}/blog.wsgi process-group=blog application-group=%{GLOBAL}
        WSGIScriptAlias /here {srv}/here.wsgi process-group=%{GLOBAL} application-group=%{GLOBAL}
        WSGISlowRequests 30""", ["blog.wsgi", "here.wsgi"], [
            ("/blog", [], {"group": "blog"}), ("/here", [], {"group": "", "application": ""})]),
    "a directory of scripts": Guide("""
        Alias /apps {srv}/apps
        <Directory {srv}/apps>
            Options +ExecCGI
            AddHandler wsgi-script .py
            WSGIProcessGroup apps
            WSGIApplicationGroup %{RESOURCE}
            Require all granted
        </Directory>
        WSGIScriptAlias /tools/ {srv}/tools/
        WSGIDaemonProcess apps processes=1 threads=5 inactivity-timeout=300 request-timeout=60 graceful-timeout=10""",
        ["apps/a.py", "tools/b.py"], [
            ("/apps/a.py/x", [], {"group": "apps", "SCRIPT_NAME": "/apps/a.py", "PATH_INFO": "/x"}),
            ("/tools/b.py", [], {"group": "", "SCRIPT_NAME": "/tools/b.py"})]),
}
