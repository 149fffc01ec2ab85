"""WSGIDaemonTemplate: groups of tenants that none has declared, each run as the user who owns the script."""
import json
import os
import pwd

import pytest

from httpd_env import REFERENCE, Httpd, run_together, wait_until
from processes import called

pytestmark = pytest.mark.skipif(REFERENCE or os.getuid() != 0, reason="templates are new, and need root")

USERS = [pwd.getpwnam(name) for name in ("daemon", "bin", "games", "man", "proxy", "backup")]
SCRIPT = """import os
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [('%d %s %d' % (os.getuid(), environ['mod_wsgi.process_group'], os.getpid())).encode()]
"""
STATUS = "<Location /wsgi-status>\nSetHandler wsgi-status\nRequire all granted\n</Location>\n"
BY_USER = """WSGIDaemonTemplate site uid-range=1-60000 threads=2 %s
WSGIScriptAliasMatch ^/~([a-z]+) {root}/home/$1/app.wsgi process-group=site
""" + STATUS


def write_script(server, user, name="app.wsgi", text=SCRIPT, directory=None):
    """A user's script in the user's directory below the server's."""
    home = os.path.join(server.root, "home", directory or user.pw_name)
    os.makedirs(home, exist_ok=True)
    os.chown(home, user.pw_uid, user.pw_gid)
    path = os.path.join(home, name)
    with open(path, "w") as script:
        script.write(text)
    os.chown(path, user.pw_uid, user.pw_gid)
    os.chmod(path, 0o644)
    return path


@pytest.fixture
def serve():
    made = []

    def start(options="", conf=BY_USER, **more):
        server = Httpd(conf % options if "%s" in conf else conf, name="templates", **more)
        made.append(server)
        for user in USERS:
            write_script(server, user)
        server.__enter__()
        return server
    yield start
    for server in made:
        server.__exit__(None, None, None)


def groups(server):
    return {group["name"]: group for group in json.loads(server.get("/wsgi-status?json").text)["groups"]}


def test_each_owner_gets_a_group_of_its_own(serve):
    server = serve()
    assert not groups(server)
    for user in USERS:
        answer = server.get("/~%s" % user.pw_name)
        assert answer.status == 200, server.story()
        assert answer.text.split()[:2] == [str(user.pw_uid), "site/%s" % user.pw_name]
    assert set(groups(server)) == {"site/%s" % user.pw_name for user in USERS}
    assert not server.log.lines(r":(warn|error|crit|alert|emerg)\]")
