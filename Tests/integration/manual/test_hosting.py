"""Groups and users of the README, of the chapters "Shared hosting" and "Sessions", and of conf/wsgi.conf."""
import ast
import grp
import os
import pwd
import re

import pytest

from documents import example, text_of
from httpd_env import ROOT, wait_until
from machine import USERS

SCRIPT = """
import os, mod_wsgi, sys
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [repr((mod_wsgi.process_group, mod_wsgi.application_group, os.getuid(), sys.prefix,
                  environ['SCRIPT_NAME'], environ['PATH_INFO'])).encode()]
"""


def furnished(machine, *names):
    """A machine where these users have a script and an environment below /srv."""
    one = machine()
    for name in names:
        one.run("adduser {0}\npython3 -m venv /srv/{0}/venv".format(name))
        one.write("/srv/%s/app.wsgi" % name, SCRIPT, name)
    return one


def facts(answer):
    assert answer.status == 200, answer
    return ast.literal_eval(answer.text)


def test_the_first_site_of_the_readme(machine):
    one = furnished(machine, "shop")
    one.play(example("readme"))
    assert facts(one.serve().get("/"))[:4] == ("shop", "", USERS["shop"], "/srv/shop/venv")
    assert not one.complaints()


def test_a_template_for_all(machine):
    one = furnished(machine)
    access, = [block.text for block in example("template") if "file" in block.marks]
    for name in ("shop", "wiki"):
        site = "/home/%s/public_html" % name
        # No more than httpd must be able to do.
        one.run("install -d -m 711 -o {0} -g {0} /home/{0} {1}\npython3 -m venv /home/{0}/venv".format(name, site))
        one.write(site + "/app.wsgi", SCRIPT, name)
        one.write(site + "/.htaccess", access, name)
        os.chmod(one.path(site + "/app.wsgi"), 0o600)
    one.play(example("template"))
    server = one.serve()
    for name in ("shop", "wiki"):
        for url, path in (("/", "/"), ("/app.wsgi", ""), ("/some/page?x=1", "/some/page")):
            found = facts(server.get(url, [("Host", name + ".example.org")]))
            assert found[0::2][:2] == ("customers/" + name, USERS[name]) and found[3] == "/home/%s/venv" % name
            assert url == "/" or found[4:] == ("/app.wsgi", path)
    assert not one.complaints()


def test_declared_tenants(machine):
    one = furnished(machine, "shop", "app")
    one.play(example("tenants"))
    for name in ("shop", "app"):
        assert facts(one.serve().get("/" + name))[:4] == (name, "", USERS[name], "/srv/%s/venv" % name)
    assert not one.complaints()


def test_sessions_stay_by_a_cookie_of_the_server(machine):
    one = furnished(machine, "shop")
    one.play(example("sticky-cookie"))
    one.configure("WSGIScriptAlias / /srv/shop/app.wsgi process-group=shop application-group=%{GLOBAL}\n"
                  "<Directory /srv/shop>\nRequire all granted\n</Directory>")
    cookie = one.serve().get("/").header("Set-Cookie")
    assert re.match(r"shop_route=\d+\.\S+; Path=/; HttpOnly; SameSite=Lax$", cookie)
    assert one.server.get("/", [("Cookie", cookie.split(";")[0])]).header("Set-Cookie") is None


def test_sessions_stay_by_what_the_configuration_says(machine):
    one = furnished(machine, "shop")
    script = SCRIPT.replace("repr((", "environ.get('SHOP_ROUTE', '-').encode() or repr((")
    one.write("/srv/shop/app.wsgi", script)
    one.configure("WSGIDaemonProcess shop processes=2 threads=5 sticky-header=SHOP_ROUTE\nRewriteEngine On\n"
                  "WSGIScriptAlias / /srv/shop/app.wsgi process-group=shop application-group=%{GLOBAL}\n"
                  "<Directory /srv/shop>\nRequire all granted\n</Directory>")
    one.play(example("sticky-header"))
    server = one.serve()
    assert server.get("/").text == "-" and server.get("/shops/north/list").text == "north"
    assert server.get("/", [("Cookie", "a=b; sessionid=s1")]).text == "s1"


def test_the_installed_configuration(machine):
    """All that conf/wsgi.conf has as comments, taken as it stands."""
    one = furnished(machine, "app")
    one.configure(re.sub(r"^( *)#(?=\S|    )", r"\1", text_of(os.path.join(ROOT, "conf", "wsgi.conf")), flags=re.M))
    assert facts(one.serve().get("/"))[:4] == ("app", "", USERS["app"], "/srv/app/venv")
    assert one.server.get("/wsgi-status?json").text.startswith("{")
    assert not one.complaints()


def test_the_status_page(machine):
    one = furnished(machine, "shop")
    one.play(example("readme") + example("status-page"))
    server = one.serve()
    assert server.get("/").status == 200 and server.get("/wsgi-status?json").text.startswith("{")
    wait_until(lambda: server.get("/wsgi-status?ready=shop").text == "ready\n", "the group to be ready")
    assert not one.complaints()


def test_the_paths_of_a_virtual_host(machine):
    one = furnished(machine, "shop")
    one.play(example("status-page") + example("status-paths"))
    server = one.serve()
    assert server.get("/", [("Host", "shop.example.com")]).status == 200
    assert server.get("/wsgi-status?group=shop").status == 200
    assert not one.complaints()


def test_the_users_of_the_manual_are_none_of_this_system():
    for name in USERS:
        with pytest.raises(KeyError):
            pwd.getpwnam(name)
        with pytest.raises(KeyError):
            grp.getgrnam(name)
