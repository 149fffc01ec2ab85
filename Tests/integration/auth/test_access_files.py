"""Code that `.htaccess` files name runs only where the administrator has put that directory's code."""
import base64
import os

import pytest

from httpd_env import MODES, Httpd

AUTH = """
import os
open(%(marker)r + '-' + str(os.getpid()), 'w').close()
def check_password(environ, user, password):
    return True
def groups_for_user(environ, user):
    return ['staff']
def allow_access(environ, host):
    return True
def application_group(environ):
    return 'chosen'
def process_group(environ):
    return %(group)r
"""
APP = """
import mod_wsgi
def application(environ, start_response):
    start_response('200 OK', [])
    return [repr((mod_wsgi.process_group, mod_wsgi.application_group)).encode()]
def handle_request(environ, start_response):
    return application(environ, start_response)
"""
MODULES = ["auth_basic", "authn_core", "authz_user", "authn_file"]
USER = "AuthType Basic\nAuthName here\nAuthBasicProvider wsgi\nWSGIAuthUserScript {apps}/auth.py\nRequire valid-user\n"
FILES = {
    "user": USER,
    "group": "AuthType Basic\nAuthName here\nAuthBasicProvider file\nAuthUserFile {root}/users\n"
             "WSGIAuthGroupScript {apps}/auth.py\nRequire wsgi-group staff\n",
    "access": "WSGIAccessScript {apps}/auth.py\n",
    "dispatch": "WSGIDispatchScript {apps}/auth.py\n",
}
DAEMONS = "WSGIDaemonProcess tenant threads=2\nWSGIDaemonProcess other threads=2\n"
PLACES = {
    # Nothing is said of the directory: its code runs in httpd's processes.
    "embedded": ("", True, ""),
    "embedded, restricted": ("WSGIRestrictEmbedded On\n", False, ""),
    "group": ("", False, "WSGIProcessGroup tenant\n"),
    "group, restricted": ("WSGIRestrictEmbedded On\n", False, "WSGIProcessGroup tenant\n"),
    "unknown group": ("", False, "WSGIProcessGroup nowhere\n"),
    "group by variable": ("SetEnv GROUP tenant\n", False, "WSGIProcessGroup %{ENV:GROUP}\n"),
}
LOGIN = [("Authorization", "Basic " + base64.b64encode(b"ann:secret").decode())]


@pytest.fixture
def make():
    made = []

    def make(place, file, group=None):
        before, _, inside = PLACES[place]
        conf = (DAEMONS if "daemon" in MODES else "") + before + (
            "<Directory {docs}/site>\nAllowOverride All\nOptions +ExecCGI\n%s</Directory>\n"
            "AddHandler wsgi-script .wsgi\n" % inside)
        server = Httpd(conf, name="htaccess", modules=MODULES)
        server.marker = server.unused_path("ran")
        with open(os.path.join(server.apps, "auth.py"), "w") as script:
            script.write(AUTH % {"marker": server.marker, "group": group})
        site = os.path.join(server.docs, "site")
        os.mkdir(site)
        with open(os.path.join(site, "app.wsgi"), "w") as script:
            script.write(APP)
        with open(os.path.join(server.root, "users"), "w") as users:
            users.write("ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n")
        with open(os.path.join(site, "page.txt"), "w") as page:
            page.write("a page")
        with open(os.path.join(site, ".htaccess"), "w") as access:
            access.write(file.replace("{apps}", server.apps).replace("{root}", server.root).replace("{site}", site))
        made.append(server)
        return server.__enter__()
    yield make
    for server in made:
        server.__exit__(None, None, None)


def ran(server):
    return os.listdir(os.path.dirname(server.marker))


@pytest.mark.skipif("daemon" not in MODES, reason="no daemon mode")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", FILES)
def test_where_a_tenants_scripts_run(make, place, kind):
    server = make(place, FILES[kind])
    is_allowed = PLACES[place][1]
    answer = server.get("/site/app.wsgi", LOGIN)
    assert bool(ran(server)) == is_allowed, (answer, ran(server))
    if is_allowed:
        assert answer.status == 200, (answer, server.log.text()[-2000:])
        if kind == "dispatch":
            assert eval(answer.text) == ("", "chosen")
    else:
        assert answer.status == {"access": 403, "group": 401}.get(kind, 500), answer
        number = "WSGI0623" if kind == "dispatch" else "WSGI0622"
        line = server.log.lines(number)[0]
        assert ".htaccess file is refused" in line and "server's configuration" in line
        if place == "group":
            assert "run in process group 'tenant'" in line


@pytest.mark.skipif("daemon" not in MODES, reason="no daemon mode")
def test_the_administrators_scripts_run_all_the_same(make):
    server = make("group, restricted", "")
    conf = open(server.conf).read() + "<Location /site>\n%s</Location>\n" % USER.replace("{apps}", server.apps)
    with open(server.conf, "w") as out:
        out.write(conf)
    server.graceful(alone=True)
    answer = server.get("/site/app.wsgi", LOGIN)
    assert answer.status == 200 and eval(answer.text)[0] == "tenant" and ran(server)


@pytest.mark.skipif("daemon" not in MODES, reason="no daemon mode")
def test_a_dispatch_script_of_a_tenant_chooses_no_process_group(make):
    """Its author's code would run as another tenant."""
    server = make("embedded", FILES["dispatch"], group="other")
    assert server.get("/site/app.wsgi").status == 500
    assert "chose process group 'other'" in server.log.wait_for("WSGI0624")[0]


@pytest.mark.skipif("daemon" not in MODES, reason="no daemon mode")
def test_a_handler_script_of_a_tenant_runs_in_his_group(make):
    server = make("group, restricted", "WSGIHandlerScript mine {site}/app.wsgi\n<Files page.txt>\nSetHandler mine\n</Files>\n")
    answer = server.get("/site/page.txt")
    assert answer.status == 200 and eval(answer.text)[0] == "tenant"
