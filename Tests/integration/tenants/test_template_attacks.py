"""Attacks on templates: no tenant, and no process of httpd's, gets code to run under another uid."""
import json
import os
import pwd
import threading

import pytest

from httpd_env import REFERENCE, Httpd, wait_until
from processes import called, has_ended, name_of, named

pytestmark = pytest.mark.skipif(REFERENCE or os.getuid() != 0, reason="templates are new, and need root")

MALLORY, VICTIM = pwd.getpwnam("games"), pwd.getpwnam("man")
# Says whose it is, and who runs it.
SCRIPT = """import os
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'%%d %%d' %% (%d, os.getuid())]
"""
CONF = """WSGIDaemonTemplate site uid-range=2-60000 threads=2 display-name=(wsgi:{port}:%{KEY})
WSGIScriptAliasMatch ^/~([a-z]+)/([a-z.]+) {root}/home/$1/$2 process-group=site
<Location /wsgi-status>
SetHandler wsgi-status
Require all granted
</Location>
"""


class Server(Httpd):
    def home(self, user, mode=0o755, owner=None):
        path = os.path.join(self.root, "home", user.pw_name)
        os.makedirs(path, exist_ok=True)
        os.chown(path, (owner or user).pw_uid, user.pw_gid)
        os.chmod(path, mode)
        return path

    def script(self, user, name="app.wsgi", mode=0o644, directory=None):
        path = os.path.join(directory or self.home(user), name)
        with open(path + ".new", "w") as script:
            script.write(SCRIPT % user.pw_uid)
        os.chown(path + ".new", user.pw_uid, user.pw_gid)
        os.chmod(path + ".new", mode)
        os.replace(path + ".new", path)
        return path

    def ask(self, user, name="app.wsgi"):
        return self.get("/~%s/%s" % (user.pw_name, name))

    def workers(self, user):
        return called("(wsgi:%d:%s)" % (self.port, user.pw_name))

    def preloaders(self, user):
        return [pid for pid in self.workers(user) if name_of(pid) == "wsgi-preloader" and not has_ended(pid)]


@pytest.fixture
def server():
    with Server(CONF, name="attacks", processes=2) as server:
        server.script(MALLORY)
        server.script(VICTIM)
        yield server


def symlink(server, path):
    os.symlink(os.path.join(server.home(VICTIM), "app.wsgi"), path)


def hard_link(server, path):
    os.link(os.path.join(server.home(VICTIM), "app.wsgi"), path)


def fifo(server, path):
    os.mkfifo(path, 0o644)
    os.chown(path, MALLORY.pw_uid, MALLORY.pw_gid)


def own_with_two_names(server, path):
    os.link(os.path.join(server.home(MALLORY), "app.wsgi"), path)


def given_away(server, path):
    os.rename(server.script(VICTIM, "bad.wsgi", directory=server.home(MALLORY)), path)


@pytest.mark.parametrize("way", [symlink, hard_link, fifo, own_with_two_names, given_away])
def test_files_that_are_not_plainly_the_owners_are_refused(server, way):
    way(server, os.path.join(server.home(MALLORY), "bad.wsgi"))
    assert server.ask(MALLORY, "bad.wsgi").status in (403, 404)
    assert not server.workers(VICTIM)
    if way is not fifo:
        assert server.log.wait_for(r"WSGI0725: .*uid \d+ alone\. [A-Z]")


@pytest.mark.parametrize("script,directory,remedy", [
    (0o664, 0o755, None), (0o646, 0o755, "chmod go-w"), (0o644, 0o775, None), (0o644, 0o757, "chmod go-w"),
    (0o666, 0o777, "chmod go-w"),
])
def test_what_others_may_write_is_refused(server, script, directory, remedy):
    """The user's own primary group may write."""
    server.home(MALLORY, directory)
    os.chmod(os.path.join(server.home(MALLORY, directory), "app.wsgi"), script)
    answer = server.ask(MALLORY)
    assert answer.status == (403 if remedy else 200), server.story()
    if remedy:
        server.log.wait_for("WSGI0725.*writable by everyone.*%s" % remedy)


def test_another_groups_members_may_not_write(server):
    path = server.script(MALLORY, mode=0o664)
    os.chown(path, MALLORY.pw_uid, VICTIM.pw_gid)
    assert server.ask(MALLORY).status == 403
    server.log.wait_for("WSGI0725.*writable by its group")


def test_a_directory_of_another_user_is_refused_and_one_of_roots_is_not(server):
    server.home(MALLORY, owner=pwd.getpwnam("root"))
    assert server.ask(MALLORY).text == "%d %d" % (MALLORY.pw_uid, MALLORY.pw_uid)
    server.script(VICTIM, "theirs.wsgi", directory=server.home(MALLORY))
    assert server.ask(MALLORY, "theirs.wsgi").status == 403


@pytest.mark.parametrize("options", ["", " preload=On"])
def test_a_script_behind_the_name_of_another_runs_as_its_owner_in_the_owners_group(server, options):
    """The alias says where a script is, and no more."""
    server.stop()
    server.configure(CONF.replace("threads=2", "threads=2" + options).replace("=site", "=site application-group=%{GLOBAL}"))
    server.start()
    os.remove(os.path.join(server.home(VICTIM, owner=pwd.getpwnam("root")), "app.wsgi"))
    server.script(MALLORY, directory=server.home(VICTIM, owner=pwd.getpwnam("root")))
    assert server.ask(VICTIM).text == "%d %d" % (MALLORY.pw_uid, MALLORY.pw_uid)
    assert server.workers(MALLORY) and not server.workers(VICTIM)


def test_a_script_that_is_exchanged_all_the_time_runs_as_its_owner_or_not_at_all(server):
    """The directory is root's: whoever owned the script when it was looked at, the process checks the file that it loads."""
    place = server.home(MALLORY, owner=pwd.getpwnam("root"))
    over = threading.Event()

    def exchange():
        turn = 0
        while not over.is_set():
            turn += 1
            server.script((MALLORY, VICTIM)[turn % 2], directory=place)
    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        answers = [server.ask(MALLORY) for _ in range(150)]
    finally:
        over.set()
        thread.join()
    assert {answer.status for answer in answers} <= {200, 403, 503}, server.story()
    for answer in answers:
        if answer.status == 200:
            owner, user = answer.text.split()
            assert owner == user
    # It is usable again when it is left alone.
    server.script(MALLORY, directory=place)
    wait_until(lambda: server.ask(MALLORY).text == "%d %d" % (MALLORY.pw_uid, MALLORY.pw_uid), server.story)


# MARK: a process of httpd's that asks the supervisor for what it likes

# What an httpd child shares with the supervisor is found by what a request of its own has left there.
INTRUDER = """
import ctypes, mmap, os, re, select, socket, struct, threading, time
LANE = 140 * 8

def places():
    found = []
    for line in open('/proc/self/maps'):
        match = re.match(r'([0-9a-f]+)-([0-9a-f]+) rw-s .*(/dev/zero|anon)', line)
        if match:
            start, end = (int(part, 16) for part in match.groups()[:2])
            text = ctypes.string_at(start, min(end - start, 65536))
            for lane in range(16):
                if text[lane * LANE + 24:lane * LANE + 33] == b'intruder@':
                    found.append(start + lane * LANE)
    return found

def descriptors(kind):
    found = []
    for name in os.listdir('/proc/self/fd'):
        try:
            if kind in os.readlink('/proc/self/fd/' + name):
                found.append(int(name))
        except OSError:
            pass
    return found

def ask(lane, place, user, key, length=None, script=b'', script_length=None):
    words = [user | (len(key) if length is None else length) << 32]
    padded = (key + bytes(64))[:64]
    ctypes.memmove(lane + 16, struct.pack('<Q', words[0]) + padded, 72)
    ctypes.memmove(lane + 88, struct.pack('<Q', len(script) if script_length is None else script_length) + script[:1024],
                   8 + min(len(script), 1024))
    # Only the question of a process that waits for the answer is taken.
    ctypes.c_uint64.from_address(lane + 8).value = os.getpid()
    count = ctypes.c_uint64.from_address(lane).value >> 32
    ctypes.c_uint64.from_address(lane).value = (count + 1) << 32 | place

def ring(bells):
    for bell in bells:
        try:
            os.write(bell, struct.pack('<Q', 1))
        except OSError:
            pass

def take():
    # Every answer that comes, with the descriptors of queues; some questions have none.
    queues, statuses, end = [], [], time.monotonic() + 5
    while not statuses and time.monotonic() < end:
        take_once(queues, statuses)
    return statuses, queues

def take_once(queues, statuses):
    for number in descriptors('socket:'):
        try:
            lane = socket.socket(fileno=os.dup(number))
        except OSError:
            continue
        with lane:
            if lane.type & 0xF != socket.SOCK_SEQPACKET:
                continue
            while select.select([lane], [], [], 0.1 if not statuses else 0)[0]:
                try:
                    message, files, _, _ = socket.recv_fds(lane, 64, 4, socket.MSG_DONTWAIT)
                except OSError:
                    break
                # An answer with descriptors has two parts, of which the first has the queue.
                if len(message) != 24:
                    break
                part = struct.unpack('<6i', message)
                if part[2] == 0:
                    statuses.append(part[1])
                    queues += files[:1]

def steal(bells, end):
    # Hears the rings of others before the supervisor does.
    while not os.path.exists(end):
        for _ in range(1000):
            for bell in bells:
                try:
                    os.read(bell, 8)
                except OSError:
                    pass

def flood(lane, bells, end):
    # Without end: groups of users that there are not, and rings.
    count = 0
    while not os.path.exists(end):
        count += 1
        ask(lane, 0, 40000 + count %% 10000, b'flood-%%d' %% count)
        ring(bells)
        if count == 20000:
            os.mkdir(end + '.many')

def application(environ, start_response):
    lanes, bells = places(), descriptors('[eventfd]')
    done = []
    for lane in lanes[:1]:
        for place, user, key, *more in %r:
            ask(lane, place, user, key, *more)
            ring(bells)
            statuses, queues = take()
            done.append((key[:8], user, statuses, len(queues)))
            for queue in queues:
                # Whoever sends something there has a process started.
                try:
                    socket.socket(fileno=queue).send(b'x' * 64, socket.MSG_DONTWAIT)
                except OSError:
                    pass
        for _ in range(20000):
            ring(bells[:3])
        if environ['QUERY_STRING'] == 'flood':
            threading.Thread(target=flood, args=(lane, bells, environ['flood.end']), daemon=True).start()
        if environ['QUERY_STRING'] == 'steal':
            # That of httpd's parent; others are the process's own.
            threading.Thread(target=steal, args=(sorted(bells)[:1], environ['flood.end']), daemon=True).start()
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [repr((len(lanes), len(bells), done)).encode()]
"""
QUESTIONS = [
    (0, 0, b"root", None), (0, VICTIM.pw_uid, b"games", None), (0, 1, b"daemon", None), (0, 4294967295, b"x", None),
    (0, VICTIM.pw_uid, b"../../root", None), (0, VICTIM.pw_uid, b"man", 4294967295), (0, VICTIM.pw_uid, b"", None),
    (7, VICTIM.pw_uid, b"man", None), (4294967295, VICTIM.pw_uid, b"man", None), (1, VICTIM.pw_uid, b"man", None),
] + [(0, 40000 + number, b"guess-%d" % number, None) for number in range(20)]


def intrude(server, conf, questions, query=""):
    """Has a process of httpd's ask; the answer says how it went."""
    keyed = """SetEnvIf Request_URI "^/key/(.*)" TENANT=$1
WSGIDaemonTemplate keyed key=%{ENV:TENANT} uid-range=2-60000
WSGIScriptAlias /key {root}/home/games/app.wsgi process-group=keyed
WSGIScriptAlias /intruder {apps}/intruder.wsgi
"""
    with open(os.path.join(server.apps, "intruder.wsgi"), "w") as script:
        script.write(INTRUDER % questions)
    server.stop()
    server.configure(conf + keyed)
    server.start()

    def find():
        assert server.get("/key/intruder@1").status == 200
        answer = server.get("/intruder?" + query)
        assert answer.status == 200, server.story()
        lanes, bells, done = eval(answer.text)
        return lanes and bells and (done,)
    # Each process of httpd's finds its own traces alone.
    return wait_until(find, "a process that has found what it shares with the supervisor")[0]


def test_a_child_that_asks_for_what_it_likes_starts_nothing(server):
    server.processes = 1
    done = intrude(server, CONF, QUESTIONS)
    refused = {(key, user): statuses for key, user, statuses, _ in done}
    assert refused[b"root", 0] == [1] and refused[b"daemon", 1] == [1], done
    # It was given queues of users within the range: names that are not theirs start nothing.
    assert refused[b"games", VICTIM.pw_uid] == [0]
    server.log.wait_for("WSGI0728.*site/games.*the user 'man' is not that of the template's key=")
    assert not called("(wsgi:%d:games)" % server.port) and not called("(wsgi:%d:root)" % server.port)
    for number in range(20):
        assert not called("(wsgi:%d:guess-%d)" % (server.port, number))
    # Everybody is served, the one whose name was misused too.
    assert server.ask(MALLORY).text == "%d %d" % (MALLORY.pw_uid, MALLORY.pw_uid)
    assert server.ask(VICTIM).text == "%d %d" % (VICTIM.pw_uid, VICTIM.pw_uid)
    assert named(server.pid, "wsgi-supervisor")


PRELOADING = CONF.replace("threads=2", "threads=2 preload=On").replace("process-group=site", "process-group=site "
                                                                      "application-group=%{GLOBAL}")
# Notes whoever loads it.
TELLTALE = """import os
open(%r + '/%%d' %% os.getuid(), 'w').close()
"""


def test_a_child_that_names_another_users_script_has_it_loaded_by_nobody(server):
    server.processes = 1
    marks = os.path.join(server.root, "marks")
    os.mkdir(marks)
    os.chmod(marks, 0o1777)
    foreign = server.script(MALLORY, "telltale.wsgi")
    with open(foreign, "w") as script:
        script.write(TELLTALE % marks)
    path = foreign.encode()
    link = os.path.join(server.home(VICTIM), "link.wsgi")
    os.symlink(foreign, link)
    scripts = {"man": path, "proxy": b"/nowhere/at/all.wsgi", "backup": link.encode(), "list": b"/etc/shadow",
               "uucp": b"/dev/zero"}
    garbage = {"daemon": (b"home/app.wsgi", None), "bin": (b"/x" * 512, 4096), "sys": (b"/x\0y", None), "news": (b"/", None),
               "lp": (b"", 2 ** 64 - 1)}
    users = {name: pwd.getpwnam(name) for name in [*scripts, *garbage] if pwd.getpwnam(name).pw_uid > 1}
    for user in users.values():
        server.script(user)
    questions = [(0, user.pw_uid, name.encode(), None, *((scripts[name],) if name in scripts else garbage[name]))
                 for name, user in users.items()]
    intrude(server, PRELOADING, questions)
    for name in scripts:
        if name in users:
            server.log.wait_for(r"WSGI0716: A script of process group 'site/%s' does not load in its preloader" % name)
    server.log.wait_for("WSGI0725: The WSGI script belongs to another user; process group 'site/man' runs scripts of uid %d alone"
                        % VICTIM.pw_uid)
    # Everybody is served as ever, and has a preloader where no script was named that is of no use.
    for name, user in users.items():
        assert server.ask(user).text == "%d %d" % (user.pw_uid, user.pw_uid), server.story()
        if name in garbage:
            wait_until(lambda: server.preloaders(user), "a preloader of " + name)
    assert not os.listdir(marks)
    server.get("/~games/telltale.wsgi")
    assert os.listdir(marks) == [str(MALLORY.pw_uid)]


def test_a_child_that_hears_the_others_rings_keeps_nobody_waiting(server):
    end = os.path.join(server.root, "end")
    os.chmod(server.root, 0o777)
    intrude(server, CONF + "SetEnv flood.end %s\n" % end, [], "steal")
    try:
        for user in (VICTIM, MALLORY, *map(pwd.getpwnam, ("proxy", "backup", "list"))):
            server.script(user)
            assert server.ask(user).text == "%d %d" % (user.pw_uid, user.pw_uid), server.story()
    finally:
        open(end, "w").close()


def test_a_child_that_asks_and_rings_without_end_keeps_nobody_waiting(server):
    end = os.path.join(server.root, "end")
    os.chmod(server.root, 0o777)
    flooding = CONF.replace("threads=2", "threads=2 max-groups=10000") + "SetEnv flood.end %s\n" % end
    intrude(server, flooding, [], "flood")
    try:
        # While it goes on: a tenant that has a group, those that need one, and one that is reloaded.
        path = server.script(VICTIM)
        for user in (VICTIM, MALLORY, *map(pwd.getpwnam, ("proxy", "backup", "list"))):
            server.script(user)
            assert server.ask(user).text == "%d %d" % (user.pw_uid, user.pw_uid), server.story()
        os.utime(path, (1, 1))
        assert server.ask(VICTIM).status == 200
        wait_until(lambda: os.path.exists(end + ".many"), "many questions")
        assert server.ask(VICTIM).status == 200
    finally:
        open(end, "w").close()
    # It got nowhere near as many groups as it has asked for.
    made = [group for group in json.loads(server.get("/wsgi-status?json").text)["groups"] if "/flood-" in group["name"]]
    assert len(made) < 10_000
