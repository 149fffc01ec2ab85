"""`preload=On` of WSGIDaemonTemplate: each tenant has a preloader, which loads the script that its group was made for."""
import json
import os
import pwd
import signal

import pytest

from httpd_env import REFERENCE, Httpd, run_together, wait_until
from processes import about, called, has_ended, name_of, named, parent_of

pytestmark = pytest.mark.skipif(REFERENCE or os.getuid() != 0, reason="templates are new, and need root")

ALICE, BOB = pwd.getpwnam("games"), pwd.getpwnam("man")
SCRIPT = """import json, os
IMPORTED = os.getpid()
VERSION = 1
def application(environ, start_response):
    if environ['QUERY_STRING'] == 'sleep':
        import time
        time.sleep(0.1)
    start_response('200 OK', [('Content-Type', 'application/json')])
    return [json.dumps({'pid': os.getpid(), 'imported': IMPORTED, 'uid': os.getresuid(), 'version': VERSION,
                        'group': environ['mod_wsgi.process_group']}).encode()]
"""
CONF = """WSGIDaemonTemplate site preload=On uid-range=2-60000 threads=2 display-name=(wsgi:{port}:%%{KEY}) %s
WSGIScriptAliasMatch ^/~([a-z]+)/([a-z.]+) {root}/home/$1/$2 process-group=site application-group=%%{GLOBAL}
WSGIScriptAliasMatch ^/sub/([a-z]+)/([a-z.]+) {root}/home/$1/$2 process-group=site application-group=other
<Location /wsgi-status>
SetHandler wsgi-status
Require all granted
</Location>
"""


class Server(Httpd):
    def script(self, user, text=SCRIPT, name="app.wsgi", mode=0o644):
        """Puts a script in place, with a time that none had before."""
        home = os.path.join(self.root, "home", user.pw_name)
        os.makedirs(home, exist_ok=True)
        os.chown(home, user.pw_uid, user.pw_gid)
        path = os.path.join(home, name)
        with open(path + ".new", "w") as script:
            script.write(text)
        os.chown(path + ".new", user.pw_uid, user.pw_gid)
        os.chmod(path + ".new", mode)
        if os.path.exists(path):
            later = os.stat(path).st_mtime + 10
            os.utime(path + ".new", (later, later))
        os.replace(path + ".new", path)
        return path

    def ask(self, user, name="app.wsgi", query="", way="~"):
        answer = self.get("/%s%s/%s?%s" % (way if way == "~" else way + "/", user.pw_name, name, query))
        assert answer.status == 200, (answer.status, answer.text, self.story())
        found = json.loads(answer.text)
        assert found["uid"] == [user.pw_uid] * 3 and found["group"] == "site/%s" % user.pw_name
        return found

    def ask_all(self, user, count):
        """An answer of each of so many processes."""
        found = {}

        def complete():
            for answer in run_together(count * 3, lambda _: self.ask(user, query="sleep")):
                found[answer["pid"]] = answer
            return len(found) >= count
        wait_until(complete, "an answer of each process")
        return found

    def called(self, user, name):
        mine = called("(wsgi:%d:%s)" % (self.port, user.pw_name))
        return [pid for pid in mine if name_of(pid) == name and not has_ended(pid)]

    def workers(self, user):
        return self.called(user, "wsgi-worker")

    def preloaders(self, user):
        return self.called(user, "wsgi-preloader")

    def groups(self):
        return {group["name"]: group for group in json.loads(self.get("/wsgi-status?json").text)["groups"]}

    def complaints(self):
        return self.log.lines(r":(warn|error|crit|alert|emerg)\]")


def user_of(pid):
    return int(about(pid, "status").partition("Uid:")[2].split()[0])


@pytest.fixture
def serve():
    made = []

    def start(options="", **more):
        server = Server(CONF % options, name="preload", **more)
        made.append(server)
        for user in (ALICE, BOB):
            server.script(user)
        server.__enter__()
        return server
    yield start
    for server in made:
        server.__exit__(None, None, None)


def test_each_tenant_has_a_preloader_of_its_own(serve):
    server = serve("processes=0-2")
    supervisor, = named(server.pid, "wsgi-supervisor")
    for user in (ALICE, BOB):
        answers = server.ask_all(user, 2)
        preloader, = server.preloaders(user)
        assert parent_of(preloader) == supervisor and user_of(preloader) == user.pw_uid
        assert {answer["imported"] for answer in answers.values()} == {preloader}
        assert all(parent_of(pid) == supervisor for pid in answers)
    assert not server.complaints()


def test_after_a_touch_the_new_code_is_loaded_first_and_others_do_not_notice(serve):
    server = serve("processes=0-2")
    old, other = server.ask_all(ALICE, 2), server.ask(BOB)
    server.script(ALICE, SCRIPT.replace("VERSION = 1", "VERSION = 2"))
    new = server.ask(ALICE)
    assert new["version"] == 2 and new["imported"] not in {answer["imported"] for answer in old.values()}
    wait_until(lambda: server.preloaders(ALICE) == [new["imported"]], "the end of the old preloader")
    # What does not load leaves the old code in place.
    server.script(ALICE, "raise ValueError('new')")
    assert server.ask(ALICE)["version"] == 2
    server.log.wait_for("WSGI0460: Reload failed: .*app.wsgi' does not load. Process group 'site/games'")
    server.script(ALICE, SCRIPT.replace("VERSION = 1", "VERSION = 3"))
    last = server.ask(ALICE)
    assert last["version"] == 3 and last["imported"] != last["pid"]
    again = server.ask(BOB)
    assert (again["pid"], again["imported"]) == (other["pid"], other["imported"])


def test_a_script_that_does_not_load_is_loaded_by_ordinary_processes(serve):
    server = serve("processes=1")
    server.script(ALICE, "raise ValueError('at first')")
    assert server.get("/~games/app.wsgi").status == 500
    server.log.wait_for("WSGI0716: .*process group 'site/games'")
    assert not server.preloaders(ALICE)
    server.script(ALICE)
    wait_until(lambda: server.get("/~games/app.wsgi").status == 200, "the script that loads")
    wait_until(lambda: server.preloaders(ALICE), "a preloader")
    assert server.ask(BOB)["imported"] in server.preloaders(BOB)


def test_a_script_that_is_refused_is_not_the_one_that_is_preloaded(serve):
    server = serve()
    server.script(ALICE, name="bad.wsgi", mode=0o646)
    assert server.get("/~games/bad.wsgi").status == 403
    # Nor is one of another interpreter.
    first = server.ask(ALICE, way="sub")
    assert first["imported"] == first["pid"]
    for pid in server.workers(ALICE):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: has_ended(first["pid"]), "its end")
    wait_until(lambda: server.ask(ALICE)["imported"] in server.preloaders(ALICE), "a fork")
    assert not server.log.lines("WSGI0716")


def test_the_first_script_is_preloaded_and_others_load_when_they_are_asked_for(serve):
    server = serve("processes=0-1")
    server.script(ALICE, name="other.wsgi")
    first = server.ask(ALICE)
    other = server.ask(ALICE, "other.wsgi")
    assert first["pid"] == other["pid"] == other["imported"] and first["imported"] in server.preloaders(ALICE)
    # The first is no more: what is changed is another one's business.
    os.remove(os.path.join(server.root, "home", "games", "app.wsgi"))
    server.script(ALICE, SCRIPT.replace("VERSION = 1", "VERSION = 2"), name="other.wsgi")
    changed = server.ask(ALICE, "other.wsgi")
    assert changed["version"] == 2 and changed["imported"] in server.preloaders(ALICE)


def test_processes_go_and_come_and_groups_are_forgotten_and_made_again(serve):
    server = serve("processes=0-1 idle-timeout=300ms")
    first = server.ask(ALICE)
    wait_until(lambda: not server.workers(ALICE) and not server.preloaders(ALICE), "the end of all processes")
    second = server.ask(ALICE)
    assert second["imported"] != first["imported"] and second["imported"] != second["pid"]
    wait_until(lambda: not server.groups(), "the group to be forgotten")
    third = server.ask(ALICE)
    assert third["imported"] not in (first["imported"], second["imported"], third["pid"])
    assert not server.complaints()


def test_a_group_with_a_preloader_alone_makes_room(serve):
    server = serve("max-groups=1 idle-timeout=3600")
    server.ask(ALICE)
    worker, = server.workers(ALICE)
    # It is replaced by a fork, or not at all: either way a preloader is left.
    wait_until(lambda: server.get("/~man/app.wsgi").status == 200, "room for another")
    assert not server.preloaders(ALICE) and not server.workers(ALICE)
    assert server.ask(BOB)["imported"] in server.preloaders(BOB)


def test_a_supervisor_that_is_killed_leaves_workers_and_its_successor_preloads(serve):
    server = serve("processes=0-2")
    before = {user: server.ask(user) for user in (ALICE, BOB)}
    supervisor, = named(server.pid, "wsgi-supervisor")
    os.kill(supervisor, signal.SIGKILL)
    for user, answer in before.items():
        wait_until(lambda: has_ended(answer["imported"]), "the end of the preloader")
        wait_until(lambda: server.preloaders(user) not in ([], [answer["imported"]]), "another preloader")
        assert server.ask(user)["pid"] == answer["pid"]
        os.kill(answer["pid"], signal.SIGKILL)
        wait_until(lambda: has_ended(answer["pid"]), "the worker's end")
        assert server.ask(user)["imported"] in server.preloaders(user)


def test_preloaders_count_as_starts(serve):
    """Each tenant's first answer takes two: nothing is started beyond start-rate."""
    server = serve("start-rate=2")
    run_together(2, lambda number: server.ask((ALICE, BOB)[number]))
    assert all(server.ask(user)["imported"] in server.preloaders(user) for user in (ALICE, BOB))


def test_configtest_says_where_it_has_no_effect():
    def check(conf):
        server = Httpd(conf, name="preload")
        try:
            return server.check()
        finally:
            server.remove()
    lines = "WSGIDaemonTemplate site preload=On\nWSGIScriptAlias / {apps}/ process-group=site"
    code, output = check(lines + "\n")
    assert code == 0 and "WSGI0710" in output and "application-group=%{GLOBAL}" in output
    for more in (" application-group=%{GLOBAL}\n", "\nWSGIApplicationGroup %{GLOBAL}\n",
                 "\n<Directory {apps}>\nWSGIApplicationGroup %{AUTO}\n</Directory>\n"):
        code, output = check(lines + more)
        assert code == 0 and "WSGI0710" not in output, output
