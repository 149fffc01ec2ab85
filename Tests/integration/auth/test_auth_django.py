"""django.contrib.auth.handlers.modwsgi against a real Django database: the reason why many have auth scripts."""
import json
import os
import subprocess
import sys

import pytest

from credentials import basic
from httpd_env import APPS, MODES, Httpd, run_together, virtual_environment

MODULES = ["authn_core", "auth_basic", "authz_user", "authz_host"]

SCRIPT = """
import os
import sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
os.environ["DJANGO_SETTINGS_MODULE"] = "settings_first"
import django
django.setup()
from django.contrib.auth.handlers.modwsgi import check_password, groups_for_user
"""

FILL = """
from django.contrib.auth.models import Group, User
staff, wiki = Group.objects.create(name="staff"), Group.objects.create(name="Wiki Editors")
for name, groups, active in (("anna", [staff, wiki], True), ("ben", [wiki], True), ("carl", [], True), ("dora", [staff], False),
                             ("J\\u00f6rg", [staff], True)):
    user = User.objects.create_user(name, password="secret of " + name, is_active=active)
    user.groups.set(groups)
"""

CONF = """
WSGIPythonHome %(home)s
WSGIScriptAlias /app {apps}/app.wsgi
%(daemon)s
<Location /app>
AuthType Basic
AuthName django
AuthBasicProvider wsgi
WSGIAuthUserScript {apps}/django_auth.py%(group)s
Require valid-user
</Location>
<Location /app/staff>
WSGIAuthGroupScript {apps}/django_auth.py%(group)s
Require wsgi-group staff
</Location>
<Location /app/wiki>
WSGIAuthGroupScript {apps}/django_auth.py%(group)s
Require wsgi-group "wiki editors"
</Location>
"""


@pytest.fixture(scope="module", params=MODES)
def server(request):
    home = virtual_environment()
    daemon = "" if request.param == "embedded" else (
        "WSGIRestrictEmbedded On\nWSGISocketPrefix {root}/wsgi\nWSGIDaemonProcess site threads=8 python-home=%s\n"
        "WSGIProcessGroup site" % home)
    group = "" if request.param == "embedded" else " application-group=django"
    server = Httpd(CONF % {"home": home, "daemon": daemon, "group": group}, apps="authentication", modules=MODULES,
                   name="django-auth", threads=64)
    for name in ("settings_first.py", "django_urls.py"):
        with open(os.path.join(APPS, "frameworks", name)) as source, open(os.path.join(server.apps, name), "w") as copy:
            copy.write(source.read())
    with open(os.path.join(server.apps, "django_auth.py"), "w") as script:
        script.write(SCRIPT)
    data = os.path.join(server.apps, "data")
    os.mkdir(data)
    environment = dict(os.environ, DJANGO_SETTINGS_MODULE="settings_first", PYTHONPATH=server.apps, PYTHONDONTWRITEBYTECODE="1")
    django = [sys.executable, "-m", "django"]
    subprocess.run(django + ["migrate", "-v", "0"], env=environment, check=True)
    subprocess.run(django + ["shell", "-v", "0", "-c", FILL], env=environment, check=True)
    os.chmod(data, 0o777)
    os.chmod(os.path.join(data, "site.db"), 0o666)
    with server:
        yield server


@pytest.mark.parametrize("user,everything,staff,wiki", [
    ("anna", 200, 200, 200), ("ben", 200, 401, 200), ("carl", 200, 401, 401), ("dora", 401, 401, 401), ("nobody", 401, 401, 401)])
def test_users_and_groups(server, user, everything, staff, wiki):
    for path, status in (("/app", everything), ("/app/staff", staff), ("/app/wiki", wiki)):
        answer = server.get(path, basic(user))
        assert answer.status == status, server.log.text()[-3000:]
        if status == 200:
            assert json.loads(answer.body)["environ"]["REMOTE_USER"] == user
        assert server.get(path, basic(user, "wrong")).status == 401
    assert server.get("/app").status == 401


def test_many_at_once(server):
    """Each thread has a database connection of its own, and they are all closed."""
    def work(index):
        with server.client() as client:
            return [client.request("GET", "/app/staff", basic(user)).status for _ in range(4) for user in ("anna", "ben", "dora")]
    assert run_together(50, work) == [[200, 401, 401] * 4] * 50
