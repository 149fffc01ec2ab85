"""Attacks on templates: no tenant, and no process of httpd's, gets code to run under another uid."""
import os
import pwd
import threading

import pytest

from httpd_env import REFERENCE, Httpd, wait_until
from processes import called, named

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
import ctypes, mmap, os, re, select, socket, struct
LANE = 11 * 8

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

def ask(lane, place, user, key, length=None):
    words = [user | (len(key) if length is None else length) << 32]
    padded = (key + bytes(64))[:64]
    ctypes.memmove(lane + 16, struct.pack('<Q', words[0]) + padded, 72)
    count = ctypes.c_uint64.from_address(lane).value >> 32
    ctypes.c_uint64.from_address(lane).value = (count + 1) << 32 | place

def ring(bells):
    for bell in bells:
        try:
            os.write(bell, struct.pack('<Q', 1))
        except OSError:
            pass

def take():
    # Every answer that comes, with the descriptors of queues.
    queues, statuses = [], []
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
    return statuses, queues

def application(environ, start_response):
    lanes, bells = places(), descriptors('[eventfd]')
    done = []
    for lane in lanes[:1]:
        for place, user, key, length in %r:
            ask(lane, place, user, key, length)
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
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [repr((len(lanes), len(bells), done)).encode()]
"""
QUESTIONS = [
    (0, 0, b"root", None), (0, VICTIM.pw_uid, b"games", None), (0, 1, b"daemon", None), (0, 4294967295, b"x", None),
    (0, VICTIM.pw_uid, b"../../root", None), (0, VICTIM.pw_uid, b"man", 4294967295), (0, VICTIM.pw_uid, b"", None),
    (7, VICTIM.pw_uid, b"man", None), (4294967295, VICTIM.pw_uid, b"man", None), (1, VICTIM.pw_uid, b"man", None),
] + [(0, 40000 + number, b"guess-%d" % number, None) for number in range(20)]


def test_a_child_that_asks_for_what_it_likes_starts_nothing(server):
    keyed = """SetEnvIf Request_URI "^/key/(.*)" TENANT=$1
WSGIDaemonTemplate keyed key=%{ENV:TENANT} uid-range=2-60000
WSGIScriptAlias /key {root}/home/games/app.wsgi process-group=keyed
WSGIScriptAlias /intruder {apps}/intruder.wsgi
"""
    with open(os.path.join(server.apps, "intruder.wsgi"), "w") as script:
        script.write(INTRUDER % QUESTIONS)
    server.stop()
    server.processes = 1
    server.configure(CONF + keyed)
    server.start()
    assert server.get("/key/intruder@1").status == 200
    answer = server.get("/intruder")
    assert answer.status == 200, server.story()
    lanes, bells, done = eval(answer.text)
    assert lanes and bells, answer.text
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
