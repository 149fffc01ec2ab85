"""wsgictl requests: what runs now, for root and for the group's user alone; ids as in the logs; paths that clients have chosen to
do harm."""
import json
import os
import re
import signal

import pytest

import command
from httpd_env import Httpd, wait_until
from processes import stop_process
from many_users import add_users

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="groups of other users need root")

# The name of a gate is the query string, which is never shown.
SCRIPT = """import os, time
def application(environ, start_response):
    name = os.path.join(os.path.dirname(__file__), environ['QUERY_STRING'])
    start_response('200 OK', [('Content-Type', 'text/plain')])
    if environ['QUERY_STRING']:
        with open(name + '.new', 'w') as began:
            began.write('%d %s' % (os.getpid(), environ['mod_wsgi.request_id']))
        os.rename(name + '.new', name + '.began')
        while not os.path.exists(name):
            time.sleep(0.01)
    return [b'done']
"""
KEYS = ["method", "path", "cut", "age", "group", "pid", "thread", "id"]


class Running:
    """Requests that run until the end of the block."""
    count = 0

    def __init__(self, server, apps=None):
        self.server, self.apps, self.clients = server, apps or server.apps, []

    def begin(self, target, method="GET", headers=b"", body=b""):
        """Its process and id."""
        Running.count += 1
        gate = os.path.join(self.apps, "gate%d" % Running.count)
        client = self.server.client()
        self.clients.append((client, method, gate))
        client.send(b"%s %s?gate%d HTTP/1.1\r\nHost: localhost\r\n%s\r\n%s" % (
            method.encode(), target if isinstance(target, bytes) else target.encode(), Running.count, headers, body))
        wait_until(lambda: os.path.exists(gate + ".began"), lambda: "the request to run: " + self.server.log.text()[-3000:])
        with open(gate + ".began") as began:
            pid, identity = began.read().split()
        return int(pid), identity

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for _, _, gate in self.clients:
            open(gate, "w").close()
        for client, method, _ in self.clients:
            assert client.read_response(method).status == 200
            client.close()


def shown(server, *arguments, user=None):
    """The requests of `requests --json`."""
    found = json.loads(command.do(server, "requests", *arguments, "--json", user=user))
    assert list(found) == ["requests"]
    assert all(list(request) == KEYS for request in found["requests"])
    return found["requests"]


@pytest.fixture(scope="module")
def server():
    httpd = Httpd("""
        WSGIDaemonProcess shop user=games processes=2 threads=3
        WSGIDaemonProcess wiki user=daemon processes=1 threads=2
        WSGIScriptAlias /shop {apps}/app.wsgi process-group=shop application-group=%{GLOBAL}
        WSGIScriptAlias /wiki {apps}/app.wsgi process-group=wiki application-group=%{GLOBAL}
        WSGIScriptAlias /embedded {apps}/app.wsgi application-group=%{GLOBAL}
        """, name="control")
    command.write_script(httpd, text=SCRIPT)
    with httpd:
        for name in ("shop", "wiki"):
            command.wait_for_state(httpd, name, "serving")
        yield httpd


@pytest.fixture(autouse=True)
def nothing_runs(server):
    yield
    wait_until(lambda: shown(server) == [], "the end of all requests")


def test_nothing_runs(server):
    assert command.do(server, "requests") == "No requests.\n"
    assert command.do(server, "requests", "shop") == "No requests.\n"
    assert command.do(server, "requests", "--json") == '{"requests":[]}\n'


def test_what_runs(server):
    with Running(server) as running:
        wanted = {}
        for group, method, path in [("shop", "GET", "/shop/one"), ("shop", "POST", "/shop"), ("wiki", "HEAD", "/wiki/a/b"),
                                    ("shop", "GET", "/shop/one")]:
            length = b"Content-Length: 5\r\n" if method == "POST" else b""
            pid, identity = running.begin(path, method, length, b"hello" if length else b"")
            wanted[identity] = (method, path, group, pid)
        assert len(wanted) == 4
        for arguments, groups in [([], {"shop", "wiki"}), (["shop"], {"shop"}), (["wiki"], {"wiki"})]:
            found = shown(server, *arguments)
            assert {one["id"]: (one["method"], one["path"], one["group"], one["pid"]) for one in found} == {
                identity: value for identity, value in wanted.items() if value[2] in groups}
            assert [one["age"] for one in found] == sorted((one["age"] for one in found), reverse=True)
            assert all(one["age"] >= 0 and one["cut"] is False for one in found)
            for one in found:
                # It is the kernel's number of a thread that runs requests.
                with open("/proc/%d/task/%d/comm" % (one["pid"], one["thread"])) as name:
                    assert name.read().startswith("wsgi:")
            assert len({one["thread"] for one in found}) == len(found)
        lines = command.do(server, "requests").splitlines()
        assert lines[0].split() == ["METHOD", "PATH", "AGE", "GROUP", "PID", "THREAD", "ID"] and len(lines) == 5
        for line in lines[1:]:
            method, path, age, unit, group, pid, _, identity = line.split()
            assert wanted[identity] == (method, path, group, int(pid)) and age.isdigit() and unit in ("s", "min")
    # The ids are those of httpd's logs.
    for identity in wanted:
        server.access_log.wait_for(" %s$" % re.escape(identity))


def test_users(server):
    with Running(server) as running:
        _, ours = running.begin("/shop/ours")
        _, theirs = running.begin("/wiki/theirs")
        assert {one["id"] for one in shown(server)} == {ours, theirs}
        for arguments in ([], ["shop"]):
            one, = shown(server, *arguments, user="games")
            assert one["id"] == ours and one["path"] == "/shop/ours"
        one, = shown(server, user="daemon")
        assert one["id"] == theirs
        # Another's group and one that is not there look alike; so do the processes, to who asks for one as the command does.
        code, output, errors = command.run(server, "requests", "wiki", user="games")
        assert code == 4 and output == "" and "/wiki" not in errors
        assert (code, output, errors.replace("nothere", "wiki")) == command.run(server, "requests", "wiki", user="games")
        assert command.run(server, "requests", "nothere", user="games")[0] == command.run(server, "requests", "nothere")[0] == 4
        assert shown(server, user="news") == [] and command.do(server, "requests", user="news") == "No requests.\n"
        assert command.run(server, "requests", "shop", user="news")[0] == 4


PATHS = [
    (b"/shop/%1b%5b2J%07%9b31m%0d%0a%7f", "/shop/\\x1b[2J\\x07\\x9b31m\\x0d\\x0a\\x7f", "/shop/\x1b[2J\x07\ufffd31m\r\n\x7f"),
    (b"/shop/%c2%9b2J%e2%80%aex%e2%80%a8", "/shop/\\xc2\\x9b2J\\xe2\\x80\\xaex\\xe2\\x80\\xa8", "/shop/\x9b2J\u202ex\u2028"),
    (b"/shop/%ff%fe%c3(%e2%82", "/shop/\\xff\\xfe\\xc3(\\xe2\\x82", None),
    (b"/shop/na%c3%afve%20%22x%5c%22%3fgate", "/shop/na\u00efve\\x20\"x\\x5c\"?gate", "/shop/na\u00efve \"x\\\"?gate"),
    (b"/shop/\xe2\x82\xac", "/shop/\u20ac", "/shop/\u20ac"),
]


@pytest.mark.parametrize("target,escaped,path", PATHS)
def test_hostile_paths(server, target, escaped, path):
    with Running(server) as running:
        _, identity = running.begin(target)
        text = command.do(server, "requests", "shop")
        row = text.splitlines()[1].split()
        assert row[1] == escaped and row[-1] == identity and len(text.splitlines()) == 2
        assert text.replace("\n", "").isprintable()
        raw = command.do(server, "requests", "shop", "--json")
        assert raw.isascii() or not any(ord(letter) < 32 or 126 < ord(letter) < 160 for letter in raw[:-1])
        one, = json.loads(raw)["requests"]
        assert one["id"] == identity and (path is None or one["path"] == path)


def test_long_path(server):
    long = "/shop/" + "long/" * 700
    with Running(server) as running:
        running.begin(long)
        one, = shown(server)
        assert one["cut"] is True and one["path"] == long[:1024]
        row = command.do(server, "requests").splitlines()[1].split()
        assert row[1] == long[:59] + "\u2026"


def test_large_head(server):
    """It comes in a file in place of the queue."""
    with Running(server) as running:
        _, identity = running.begin("/shop/large", headers=b"".join(
            b"X-Large-%d: %s\r\n" % (number, b"x" * 8000) for number in range(40)))
        one, = shown(server)
        assert (one["method"], one["path"], one["id"]) == ("GET", "/shop/large", identity)


def test_embedded_requests_are_not_shown(server):
    with Running(server) as running:
        running.begin("/embedded")
        assert shown(server) == []


def test_stopped_process_does_not_keep_others_from_being_shown(server):
    with Running(server) as running:
        stopped, _ = running.begin("/wiki")
        _, identity = running.begin("/shop")
        stop_process(stopped)
        try:
            code, output, errors = command.run(server, "requests", "--json")
        finally:
            os.kill(stopped, signal.SIGCONT)
        assert code == 0 and [one["id"] for one in json.loads(output)["requests"]] == [identity]
        assert errors == "wsgictl: process %d of process group 'wiki' does not answer\n" % stopped


def test_many_come_and_go_meanwhile(server):
    """A request that ends while it is being looked at is shown as it was, or not at all."""
    with Running(server) as running:
        _, identity = running.begin("/shop/stays")
        clients = [server.client() for _ in range(3)]
        for round_ in range(40):
            for number, client in enumerate(clients):
                client.send(b"GET /shop/%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (b"%d" % number * 3000))
            found = shown(server, "shop") if round_ % 8 == 0 else []
            for one in found:
                assert one["path"] == "/shop/stays" or one["path"][6:] in [("%d" % number) * 1018 for number in range(3)]
            assert not found or identity in [one["id"] for one in found]
            for client in clients:
                assert client.read_response("GET").status == 200
        for client in clients:
            client.close()


def test_template():
    server = Httpd("""
        WSGIDaemonTemplate users user=%{OWNER} uid-range=1000-4000000000 threads=1
        WSGIScriptAliasMatch ^/(tenant[01]) {root}/home/$1/app.wsgi process-group=users application-group=%{GLOBAL}
        """, name="control")
    users = add_users(server, 2)
    for user in users:
        path = os.path.join(user.pw_dir, "app.wsgi")
        with open(path, "w") as script:
            script.write(SCRIPT)
        os.chown(path, user.pw_uid, user.pw_gid)
    first, second = (user.pw_uid for user in users)
    with server:
        assert shown(server) == []
        with Running(server, users[0].pw_dir) as one, Running(server, users[1].pw_dir) as two:
            ids = [one.begin("/tenant0/x")[1], two.begin("/tenant1/y")[1]]
            assert {(found["group"], found["path"], found["id"]) for found in shown(server)} == {
                ("users/tenant0", "/tenant0/x", ids[0]), ("users/tenant1", "/tenant1/y", ids[1])}
            assert [found["id"] for found in shown(server, user=first)] == [ids[0]]
            assert [found["id"] for found in shown(server, "users/tenant1", user=second)] == [ids[1]]
            assert command.run(server, "requests", "users/tenant1", user=first)[0] == 4
            assert command.run(server, "requests", "users", user=first)[0] == 4
