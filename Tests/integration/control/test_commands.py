"""wsgictl reload, restart, stop, start and drain: as root and as the group's user, of declared groups and of a template's."""
import os
import signal
import threading

import pytest

import command
from httpd_env import Httpd, wait_until
from many_users import add_users, write_script
from processes import children, name_of

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="groups of other users need root")

CONF = """
WSGIDaemonProcess shop user=games processes=2 threads=3 %s
WSGIDaemonProcess asleep user=games processes=0-1 threads=1
WSGIScriptAlias /shop {apps}/app.wsgi process-group=shop application-group=%%{GLOBAL}
WSGIScriptAlias /asleep {apps}/app.wsgi process-group=asleep application-group=%%{GLOBAL}
"""


@pytest.fixture(params=["root", "games"])
def user(request):
    return None if request.param == "root" else request.param


@pytest.fixture
def server():
    httpd = Httpd(CONF % "", name="control")
    command.write_script(httpd)
    with httpd:
        command.wait_for_state(httpd, "shop", "serving")
        yield httpd


def wait_for_others(server, name, old, count=2):
    def others():
        now = command.pids(server, name)
        return len(now) == count and not now & old
    wait_until(others, lambda: "other processes than %s: %s" % (old, command.group(server, name)))


class Load:
    """Requests without a pause, none of which may fail."""

    def __init__(self, server, path):
        self.server, self.path = server, path
        self.answers, self.failures, self.isEnding = [], [], False
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(2)]

    def run(self):
        with self.server.client() as client:
            while not self.isEnding:
                try:
                    reply = client.request("GET", self.path)
                    (self.answers if reply.status == 200 else self.failures).append(reply.status)
                except Exception as failure:
                    self.failures.append(failure)
                    return

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        wait_until(lambda: self.answers or self.failures, "the load's first answer")
        return self

    def __exit__(self, *failure):
        self.isEnding = True
        for thread in self.threads:
            thread.join(60)
        assert not self.failures, self.failures[:3]


def hold(server, path, name):
    """A request that runs until its file is there; its connection."""
    client = server.client()
    client.send(b"GET %s/wait/%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (path.encode(), name.encode()))
    wait_until(lambda: os.path.exists(os.path.join(server.apps, name + ".began")), "the request to run")
    return client


def release(server, name):
    open(os.path.join(server.apps, name), "w").close()


@pytest.mark.parametrize("options", ["", "reload=rolling"])
def test_reload(options, user):
    server = Httpd(CONF % options, name="control")
    path = command.write_script(server)
    with server:
        command.wait_for_state(server, "shop", "serving")
        assert command.answer(server, "/shop")[1] == 1
        before = os.stat(path).st_mtime_ns
        command.write_script(server, text=command.SCRIPT.replace("version = environ['PATH_INFO'], 1",
                                                                 "version = environ['PATH_INFO'], 2"))
        # As files of which no time tells that they have changed.
        os.utime(path, ns=(before, before))
        assert command.answer(server, "/shop")[1] == 1
        with Load(server, "/shop"):
            old = command.ready(server, "shop", 2)
            command.do(server, "reload", "shop", user=user)
            wait_until(lambda: command.answer(server, "/shop")[1] == 2, "the new code")
            wait_for_others(server, "shop", old)
        assert {command.answer(server, "/shop")[1] for _ in range(10)} == {2}


def test_reload_of_one_interpreter(user):
    server = Httpd("""
        WSGIDaemonProcess shop user=games threads=3 reload=interpreter
        WSGIScriptAlias /one {apps}/app.wsgi process-group=shop application-group=one
        WSGIScriptAlias /two {apps}/app.wsgi process-group=shop application-group=two
        """, name="control")
    server_text = "loaded = [0]\n" + command.SCRIPT.replace("version = environ['PATH_INFO'], 1",
                                                            "version = environ['PATH_INFO'], count()")
    server_text += "\ndef count():\n    loaded[0] += 1\n    return loaded[0]\n"
    command.write_script(server, text=server_text)
    with server:
        pid, = command.ready(server, "shop", 1)
        assert [command.answer(server, path) for path in ("/one", "/one", "/two", "/two")][1::2] == [(pid, 2)] * 2
        command.do(server, "reload", "shop", "one", user=user)
        wait_until(lambda: command.answer(server, "/one")[1] == 1, "a new interpreter")
        assert command.answer(server, "/two")[1] == 3
        assert command.answer(server, "/one")[0] == command.answer(server, "/two")[0]


def test_restart_of_a_group(server, user):
    old = command.ready(server, "shop", 2)
    client = hold(server, "/shop", "go")
    with Load(server, "/shop"):
        command.do(server, "restart", "shop", user=user)
        wait_for_others(server, "shop", old)
    assert any(process["state"] == "draining" for process in command.group(server, "shop")["processes"])
    release(server, "go")
    reply = client.read_response("GET")
    assert reply.status == 200 and int(reply.text.split()[0]) in old
    client.close()
    wait_until(lambda: len(command.group(server, "shop")["processes"]) == 2, "the end of the old process")


def test_restart_of_a_process(server, user):
    first, second = command.ready(server, "shop", 2)
    command.do(server, "restart", str(first), user=user)
    wait_until(lambda: command.pids(server, "shop") != {first, second} and len(command.pids(server, "shop")) == 2,
               "another process")
    assert second in command.pids(server, "shop") and first not in command.pids(server, "shop")


def test_restarts_in_a_loop_are_paced(server):
    for _ in range(60):
        command.do(server, "restart", "shop", user="games")
    command.wait_for_state(server, "shop", "serving")
    assert command.answer(server, "/shop")


def test_stop_and_start(server, user):
    running = hold(server, "/shop", "never")
    waiting = [hold(server, "/shop", "never%d" % number) for number in range(5)]
    queued = server.client()
    queued.send(b"GET /shop HTTP/1.1\r\nHost: localhost\r\n\r\n")
    command.wait_for_state(server, "shop", "saturated")
    command.do(server, "stop", "shop", user=user)
    assert command.group(server, "shop")["state"] == "stopped" and not command.group(server, "shop")["processes"]
    # One that no process has begun is refused, one that runs is cut off.
    refused = queued.read_response("GET")
    assert refused.status == 503 and refused.header("Retry-After")
    for client in [running] + waiting:
        assert client.read_response("GET").status in (502, 503)
        client.close()
    for _ in range(2):
        reply = server.get("/shop")
        assert reply.status == 503 and reply.header("Retry-After")
    command.do(server, "stop", "shop", user=user)
    assert not [line for line in server.log.lines("WSGI0117|WSGI0671|WSGI0672|WSGI0353")]
    command.do(server, "start", "shop", user=user)
    command.wait_for_state(server, "shop", "serving")
    assert command.answer(server, "/shop")
    command.do(server, "start", "shop", user=user)


def test_drain(server, user):
    clients = [hold(server, "/shop", "go%d" % number) for number in range(6)]
    queued = server.client()
    queued.send(b"GET /shop HTTP/1.1\r\nHost: localhost\r\n\r\n")
    command.wait_for_state(server, "shop", "saturated")
    process = command.start(server, "drain", "shop", user=user)
    command.wait_for_state(server, "shop", "stopped")
    assert server.get("/shop").status == 503 and process.poll() is None
    for number in range(6):
        release(server, "go%d" % number)
    for client in clients + [queued]:
        assert client.read_response("GET").status == 200
        client.close()
    assert process.wait(60) == 0
    assert not command.group(server, "shop")["processes"]
    command.do(server, "start", "shop")
    command.wait_for_state(server, "shop", "serving")


def test_drain_becomes_stop(server):
    client = hold(server, "/shop", "never")
    command.do(server, "drain", "shop", "--no-wait")
    wait_until(lambda: len(command.group(server, "shop")["processes"]) == 1, "the idle process to end")
    command.do(server, "stop", "shop")
    assert client.read_response("GET").status == 502
    client.close()


def test_stopped_survives_its_supervisor_and_ends_with_the_configuration(server):
    command.do(server, "stop", "shop")
    for pid in children(server.pid):
        if name_of(pid) == "wsgi-supervisor":
            os.kill(pid, signal.SIGKILL)
    assert command.group(server, "shop")["state"] == "stopped"
    assert server.get("/shop").status == 503
    server.graceful()
    command.wait_for_state(server, "shop", "serving")
    assert command.answer(server, "/shop")


def test_group_on_demand(server, user):
    command.do(server, "stop", "asleep", user=user)
    assert server.get("/asleep").status == 503
    assert command.group(server, "asleep")["state"] == "stopped"
    command.do(server, "start", "asleep", user=user)
    assert command.group(server, "asleep")["state"] == "sleeping"
    assert command.answer(server, "/asleep")
    client = hold(server, "/asleep", "go")
    queued = server.client()
    queued.send(b"GET /asleep HTTP/1.1\r\nHost: localhost\r\n\r\n")
    command.wait_for_state(server, "asleep", "saturated")
    command.do(server, "stop", "asleep", user=user)
    assert queued.read_response("GET").status == 503
    assert client.read_response("GET").status in (502, 503)
    for one in (queued, client):
        one.close()
    assert server.get("/asleep").status == 503
    command.do(server, "start", "asleep", user=user)
    assert command.answer(server, "/asleep")


def test_preloaded_group():
    server = Httpd("""
        WSGIDaemonProcess shop user=games processes=2 threads=1 preload=On
        WSGIScriptAlias /shop {apps}/app.wsgi process-group=shop application-group=%{GLOBAL}
        WSGIImportScript {apps}/app.wsgi process-group=shop application-group=%{GLOBAL}
        """, name="control")
    command.write_script(server)
    with server:
        command.wait_for_state(server, "shop", "serving")
        command.do(server, "stop", "shop")
        assert server.get("/shop").status == 503
        command.do(server, "start", "shop")
        command.wait_for_state(server, "shop", "serving")
        old = command.ready(server, "shop", 2)
        command.do(server, "restart", "shop")
        wait_for_others(server, "shop", old)
        old = command.ready(server, "shop", 2)
        command.do(server, "reload", "shop")
        wait_until(lambda: command.answer(server, "/shop")[0] not in old, "new code")
        wait_for_others(server, "shop", old)


def test_template():
    server = Httpd("""
        WSGIDaemonTemplate users user=%{OWNER} uid-range=1000-4000000000 threads=1
        WSGIScriptAliasMatch ^/(tenant[01]) {root}/home/$1/app.wsgi process-group=users application-group=%{GLOBAL}
        """, name="control")
    users = add_users(server, 2)
    for user in users:
        write_script(user)
    first, second = (user.pw_uid for user in users)
    with server:
        assert command.groups(server) == {} and command.groups(server, user=first) == {}
        assert command.run(server, "stop", "users", user=first)[0] == 4
        for user in users:
            assert server.get("/" + user.pw_name).status == 200
        assert set(command.groups(server)) == {"users/tenant0", "users/tenant1"}
        assert set(command.groups(server, user=first)) == {"users/tenant0"}
        assert command.run(server, "stop", "users/tenant1", user=first)[0] == 4
        command.do(server, "stop", "users/tenant0", user=first)
        assert server.get("/tenant0").status == 503 and server.get("/tenant1").status == 200
        assert command.group(server, "users/tenant0")["state"] == "stopped"
        command.do(server, "start", "users/tenant0", user=first)
        assert server.get("/tenant0").status == 200
        old = command.pids(server, "users/tenant0")
        command.do(server, "reload", "users/tenant0", user=first)
        wait_until(lambda: int(server.get("/tenant0").text.split()[2]) not in old, "new code")
        old = command.pids(server, "users/tenant1")
        command.do(server, "restart", str(*old), user=second)
        wait_until(lambda: not command.pids(server, "users/tenant1") & old, "another process")
        assert server.get("/tenant1").status == 200
