"""WSGIDaemonTemplate: groups of tenants that none has declared, each run as the user who owns the script."""
import json
import os
import pwd
import signal
import threading

import pytest

from control_groups import content, members, mounted, place_for
from httpd_env import REFERENCE, Httpd, run_together, wait_until
from processes import called, named

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


def waits_for(gate):
    """A script that answers when there is a file `gate`."""
    waits = "    import time\n    while not os.path.exists(%r):\n        time.sleep(0.02)\n" % gate
    return SCRIPT.replace("    start_response", waits + "    start_response")


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


def complaints(server):
    return server.log.lines(r":(warn|error|crit|alert|emerg)\]")


def pids(server):
    return {process["pid"] for group in groups(server).values() for process in group["processes"]}


BY_HANDLER = """%s
WSGIDaemonTemplate site uid-range=1-60000 threads=2
<Directory {root}/home>
AllowOverride All
AddHandler wsgi-script .wsgi
WSGIProcessGroup site
</Directory>
<DirectoryMatch {root}/home/[^/]+/public_html>
Options ExecCGI
DirectoryIndex app.wsgi
</DirectoryMatch>
""" + STATUS


def test_user_directories(serve):
    server = serve("UserDir {root}/home/*/public_html\n", BY_HANDLER, modules=("userdir", "dir"))
    for user in USERS[:3]:
        write_script(server, user, directory=user.pw_name + "/public_html")
    for user in USERS[:3]:
        for path in ("app.wsgi", ""):
            answer = server.get("/~%s/%s" % (user.pw_name, path))
            assert (answer.status, answer.text.split()[:2]) == (200, [str(user.pw_uid), "site/%s" % user.pw_name])
    assert not complaints(server)


def test_mass_virtual_hosts(serve):
    server = serve("VirtualDocumentRoot {root}/home/%1/public_html\nUseCanonicalName Off\n", BY_HANDLER,
                   modules=("vhost_alias", "dir"))
    for user in USERS[:3]:
        write_script(server, user, directory=user.pw_name + "/public_html")
    for user in USERS[:3]:
        answer = server.get("/app.wsgi", [("Host", "%s.example.org" % user.pw_name)])
        assert (answer.status, answer.text.split()[:2]) == (200, [str(user.pw_uid), "site/%s" % user.pw_name])
    assert server.get("/app.wsgi", [("Host", "nobody.example.org")]).status == 404
    # One user's several names are one group.
    os.symlink(os.path.join(server.root, "home", USERS[0].pw_name), os.path.join(server.root, "home", "alias"))
    assert server.get("/app.wsgi", [("Host", "alias.example.org")]).text.split()[1] == "site/%s" % USERS[0].pw_name
    assert not complaints(server)


def test_a_new_user_needs_nothing_but_a_script(serve):
    server = serve()
    user = pwd.getpwnam("sys")
    assert server.get("/~%s" % USERS[0].pw_name).status == 200
    assert server.get("/~sys").status == 404
    # The supervisor may note a process a little later than that answers.
    before, generation = wait_until(lambda: pids(server), "the process to be noted"), server.generation()
    write_script(server, user)
    answer = server.get("/~sys")
    assert (answer.status, answer.text.split()[:2]) == (200, [str(user.pw_uid), "site/sys"])
    assert server.generation() == generation
    wait_until(lambda: pids(server) == before | {int(answer.text.split()[2])}, lambda: (before, pids(server), answer.text))


KEYS = """SetEnvIf Request_URI "^/env/([^/?]*)" TENANT=$1
WSGIDaemonTemplate host uid-range=1-60000 key=%%{HOST}
WSGIDaemonTemplate env uid-range=1-60000 key=%%{ENV:TENANT}
WSGIDaemonTemplate mount uid-range=1-60000 key=%%{RESOURCE} %s
WSGIScriptAlias /host {root}/home/daemon/app.wsgi process-group=host
WSGIScriptAlias /env {root}/home/daemon/app.wsgi process-group=env
WSGIScriptAlias /mount {root}/home/bin/app.wsgi process-group=mount
WSGIScriptAliasMatch ^/host-of/([a-z]+) {root}/home/$1/app.wsgi process-group=host
""" + STATUS


def test_other_keys(serve):
    server = serve("display-name=(wsgi:{port}:%{KEY}:%{USER})", KEYS)
    uid, name, _ = server.get("/host", [("Host", "Shop.Example.org.")]).text.split()
    assert (int(uid), name) == (USERS[0].pw_uid, "host/shop.example.org")
    assert server.get("/env/alpha").text.split()[1] == "env/alpha"
    assert server.get("/env/beta").text.split()[1] == "env/beta"
    uid, name, pid = server.get("/mount").text.split()
    assert int(uid) == USERS[1].pw_uid and name == "mount/localhost@7C@2Fmount"
    assert called("(wsgi:%d:%s:bin)" % (server.port, name[6:])) == [int(pid)]
    # The first script's owner is whom the group runs as.
    other = server.get("/host-of/games", [("Host", "shop.example.org")])
    assert other.status == 403
    server.log.wait_for("WSGI0725.*belongs to another user.*host/shop.example.org")
    assert server.get("/host-of/games", [("Host", "games.example.org")]).text.split()[0] == str(pwd.getpwnam("games").pw_uid)


def test_names_that_are_no_keys_are_refused(serve):
    server = serve("", KEYS)
    for key in ("-a", ".a", "a%2Cb", "x" * 65):
        assert server.get("/env/" + key).status == 404
        server.log.wait_for("WSGI0722")
    assert server.get("/env").status == 500
    server.log.wait_for("WSGI0723.*TENANT")
    assert not groups(server)


def test_owners_outside_of_the_range_are_refused(serve):
    server = serve(conf=BY_USER.replace("uid-range=1-60000", "uid-range=3-60000"))
    root = pwd.getpwnam("root")
    write_script(server, root)
    for user in ("root", "daemon", "bin"):
        assert server.get("/~" + user).status == 403
        server.log.wait_for("WSGI0724.*'%s'.*uid-range=3-60000.*chown" % user)
    assert server.get("/~games").status == 200
    path = write_script(server, pwd.getpwnam("man"))
    os.chown(path, 54_321, 0)
    assert server.get("/~man").status == 403
    server.log.wait_for("WSGI0724.*uid 54321, which no user has")
    assert set(groups(server)) == {"site/games"}


def test_places_that_a_user_has(serve):
    server = serve("home=%{HOME} python-path=%{HOME}/lib python-home=%{HOME}")
    # None of these users has a Python at home: what the log says of it names the user's own directory.
    answer = server.get("/~games")
    assert answer.status in (500, 503)
    server.log.wait_for("site/games.*%s" % pwd.getpwnam("games").pw_dir)


def test_templates_are_restricted_like_groups(serve):
    server = serve("", """WSGIDaemonTemplate site uid-range=1-60000
WSGIScriptAlias /games {root}/home/games/app.wsgi process-group=site
WSGIScriptAlias /man {root}/home/man/app.wsgi process-group=site
<Directory {root}/home/man>
WSGIRestrictProcess other
</Directory>
""")
    assert server.get("/games").status == 200
    assert server.get("/man").status == 500
    server.log.wait_for("WSGI0149.*'site'")


def test_templates_are_seen_where_groups_are(serve):
    """One of a virtual host is that host's; one of the server is everybody's, and runs what .htaccess files make scripts."""
    server = serve("", """WSGIDaemonTemplate common uid-range=1-60000
UseCanonicalName On
<Directory {root}/home/games>
AllowOverride FileInfo
Options ExecCGI
WSGIProcessGroup common
</Directory>
Alias /games {root}/home/games
<VirtualHost *>
ServerName a.example.org
WSGIDaemonTemplate own uid-range=1-60000
WSGIScriptAlias /own {root}/home/man/app.wsgi process-group=own
WSGIScriptAlias /common {root}/home/man/app.wsgi process-group=common
</VirtualHost>
<VirtualHost *>
ServerName b.example.org
WSGIScriptAlias /own {root}/home/man/app.wsgi process-group=own
WSGIScriptAlias /common {root}/home/man/app.wsgi process-group=common
</VirtualHost>
""" + STATUS, modules=("alias",))
    with open(os.path.join(server.root, "home", "games", ".htaccess"), "w") as access:
        access.write("AddHandler wsgi-script .wsgi\n")

    def ask(host, path):
        answer = server.get(path, [("Host", host + ".example.org")])
        return answer.text.split()[1] if answer.status == 200 else answer.status
    assert ask("a", "/own") == "own/man" and ask("b", "/own") == 500
    assert ask("a", "/common") == ask("b", "/common") == "common/man"
    assert ask("a", "/games/app.wsgi") == ask("b", "/games/app.wsgi") == "common/games"
    metrics = server.get("/wsgi-status?openmetrics").text
    for name in ("own/man", "common/man", "common/games"):
        assert 'wsgi_requests_total{group="%s",status="2xx"} ' % name in metrics


def test_all_groups_of_a_user_share_one_bound(serve):
    server = serve("threads=30", """SetEnvIf Request_URI "^/([^/]+)/([^/?]*)" TENANT=$2
WSGIDaemonTemplate site uid-range=1-60000 key=%%{ENV:TENANT} %s
WSGIScriptAlias /games {root}/home/games/app.wsgi process-group=site
WSGIScriptAlias /man {root}/home/man/app.wsgi process-group=site
""" + STATUS, processes=1, threads=25)
    gate = os.path.join(server.root, "home", "gate")
    write_script(server, pwd.getpwnam("games"), text=waits_for(gate))
    answers = []
    waiting = threading.Thread(target=run_together, args=(
        40, lambda number: answers.append(server.get("/games/group%d" % (number % 8)).status)))
    waiting.start()
    try:
        server.log.wait_for("WSGI0670: The process groups of the user of 'site/group[0-9]' use up their share of httpd's threads")
        # Another user has a new group of his own.
        answer = server.get("/man/mine")
        assert (answer.status, answer.text.split()[:2]) == (200, [str(pwd.getpwnam("man").pw_uid), "site/mine"])
    finally:
        open(gate, "w").close()
        waiting.join()
    assert set(answers) == {200, 503}


def test_a_fixed_user_runs_all_groups(serve):
    server = serve("", """WSGIDaemonTemplate site user=games key=%{OWNER}
WSGIScriptAliasMatch ^/~([a-z]+) {root}/home/$1/app.wsgi process-group=site
""")
    for user in USERS[:3]:
        assert server.get("/~" + user.pw_name).text.split()[:2] == [str(pwd.getpwnam("games").pw_uid), "site/" + user.pw_name]
    assert not complaints(server)


def test_a_touched_script_is_reloaded_in_its_group_alone(serve):
    server = serve()
    before = {user.pw_name: server.get("/~" + user.pw_name).text.split()[2] for user in USERS[:2]}
    path = os.path.join(server.root, "home", USERS[0].pw_name, "app.wsgi")
    os.utime(path, (1, 1))
    after = {user.pw_name: server.get("/~" + user.pw_name).text.split()[2] for user in USERS[:2]}
    assert after[USERS[0].pw_name] != before[USERS[0].pw_name]
    assert after[USERS[1].pw_name] == before[USERS[1].pw_name]


def test_groups_are_forgotten_when_nobody_needs_them(serve):
    server = serve("idle-timeout=100ms", BY_USER + """
WSGIScriptAliasMatch ^/([a-z]+)/waits {root}/home/$1/waits.wsgi process-group=site
""")
    assert server.get("/~games").status == 200
    wait_until(lambda: not groups(server), "the group to be forgotten")
    # It has its place anew, and not what was counted there before. What runs in it keeps it until that is seen.
    gate = os.path.join(server.root, "home", "gate")
    write_script(server, pwd.getpwnam("games"), "waits.wsgi", waits_for(gate))
    waiting = threading.Thread(target=server.get, args=("/games/waits",))
    waiting.start()
    try:
        wait_until(lambda: groups(server).get("site/games", {}).get("requests_in_flight"), "the group to be there again")
        assert server.get("/~games").status == 200
        wait_until(lambda: groups(server)["site/games"]["requests"]["total"], "the request to be counted")
        assert groups(server)["site/games"]["requests"]["2xx"] == 1
    finally:
        open(gate, "w").close()
        waiting.join()
    assert not complaints(server)


def test_each_tenant_has_a_control_group_which_goes_with_it(serve):
    place, _ = mounted("pids")
    directory = place_for("tenants", place)
    server = serve("idle-timeout=1 cgroup=%s-%%{KEY} cgroup-set=pids.max:150" % directory)
    for user in USERS[:2]:
        pid = int(server.get("/~" + user.pw_name).text.split()[2])
        own = "%s-%s" % (directory, user.pw_name)
        assert members(own) == {pid} and content(own, "pids.max") == "150"
    wait_until(lambda: not groups(server), "the groups to be forgotten")
    for user in USERS[:2]:
        assert not os.path.exists("%s-%s" % (directory, user.pw_name))
    assert not complaints(server)


def test_a_control_group_goes_when_those_who_were_left_in_it_have_gone(serve):
    place, _ = mounted("pids")
    directory = place_for("leavings", place)
    server = serve("idle-timeout=100ms cgroup=%s-%%{KEY}" % directory)
    user = USERS[0]
    own = "%s-%s" % (directory, user.pw_name)
    write_script(server, user, text=LEAVES)
    left = int(server.get("/~" + user.pw_name).text)
    try:
        wait_until(lambda: not groups(server), "the group to be forgotten")
        assert members(own) == {left}
        # It is used again as it stands, and another supervisor knows of it, which finds the group at work.
        gate, answers = os.path.join(server.root, "home", "gate"), []
        staying = threading.Thread(target=lambda: answers.append(server.get("/~%s?%s" % (user.pw_name, gate)).text))
        staying.start()
        try:
            wait_until(lambda: left in members(own) and len(members(own)) == 2, "another process in it")
            os.kill(named(server.pid, "wsgi-supervisor")[0], signal.SIGKILL)
            server.log.wait_for("Process group 'site/%s' continues with 1 processes" % user.pw_name)
        finally:
            open(gate, "w").close()
            staying.join()
        assert answers == ["0"]
        wait_until(lambda: not groups(server), "the group to be forgotten once more")
        assert members(own) == {left}
    finally:
        os.kill(left, signal.SIGKILL)
    # It is looked at ever less often.
    wait_until(lambda: not os.path.exists(own), "the control group to be removed", deadline=180)


LEAVES = """import os, subprocess, time
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    if environ['QUERY_STRING']:
        while not os.path.exists(environ['QUERY_STRING']):
            time.sleep(0.01)
        return [b'0']
    nothing = subprocess.DEVNULL
    return [b'%d' % subprocess.Popen(['sleep', '600'], stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True).pid]
"""


def test_control_groups_that_cannot_be_made_are_told_of_at_the_start(serve):
    server = serve("cgroup=/nowhere/at-all/%{KEY}", BY_USER + "".join(
        "WSGIDaemonProcess g%d processes=0-1 cgroup=/nowhere/else/g%d\n" % (number, number) for number in range(20)))
    server.log.wait_for("WSGI0702: .*'site'")
    # Once for each place.
    line, = server.log.lines("WSGI0702: .*'g[0-9]+'")
    assert "nowhere" in line and "outside of it" in line
    assert server.get("/~games").status == 200


def test_a_graceful_restart_keeps_tenants_answered(serve):
    server = serve()
    assert all(answer.status == 200 for answer in run_together(6, lambda i: server.get("/~" + USERS[i % 3].pw_name)))
    server.graceful()
    for user in USERS:
        assert server.get("/~" + user.pw_name).text.split()[0] == str(user.pw_uid)
    assert not complaints(server)


def test_configtest_says_what_is_wrong():
    def check(conf):
        server = Httpd(conf, name="templates")
        try:
            return server.check()
        finally:
            server.remove()
    code, output = check("WSGIDaemonTemplate site\nWSGIImportScript /x.py process-group=site application-group=%{GLOBAL}\n")
    assert code != 0 and "WSGI0620" in output and "template" in output
    code, output = check("WSGIDaemonTemplate site key=shop\n")
    assert code != 0 and "key=shop" in output
    code, output = check("WSGIDaemonTemplate site key=%{HOST}\n<VirtualHost *>\nServerName a.org\nServerAlias *.example.org\n"
                         "WSGIScriptAlias / {docs}/ process-group=site\n</VirtualHost>\n")
    assert code == 0 and "WSGI0729" in output
    code, output = check("WSGIDaemonTemplate site\nWSGIScriptAlias / {apps}/ process-group=site\n")
    assert code == 0 and "WSGI0" not in output, output
