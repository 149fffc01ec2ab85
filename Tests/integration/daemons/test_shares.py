"""Process groups share httpd's threads: in each child some stay free of any one of them, and of all together."""
import json
import os
import resource
import signal

import pytest

from httpd_env import MODES, REFERENCE, Httpd, run_together, wait_until
from processes import stop_process
from swarm import Swarm

pytestmark = pytest.mark.skipif("daemon" not in MODES or REFERENCE, reason="daemon mode is not tested here")

CONF = """
WSGIDaemonProcess %s processes=1 threads=2 python-path={lib}
WSGIScriptAlias /%s {apps}/app.wsgi process-group=%s application-group=%%{GLOBAL}
"""


def serve(groups, more="", **httpd):
    conf = "".join(CONF % (group, group, group) for group in groups) + more
    server = Httpd(conf, apps="daemon", processes=2, threads=25, name="shares", **httpd)
    with open(os.path.join(server.docs, "static.txt"), "w") as file:
        file.write("static")
    return server


def is_full(server, swarms):
    """Whether every connection waits for the gate or was refused."""
    # Who was refused asks again at once: a connection without any answer is one that waits.
    waiting = sum(1 for swarm in swarms for connection in swarm.connections if connection not in swarm.answered)
    return all(swarm.statuses[503] for swarm in swarms) and waiting < 50


def hold(server, groups, clients, check):
    """Has `clients` connections ask groups whose requests wait for a gate, and calls `check` while they do."""
    gate = server.unused_path("open")
    swarms = [Swarm(server.port, clients // len(groups), "/%s/wait_for?file=%s" % (group, gate)) for group in groups]
    try:
        wait_until(lambda: is_full(server, swarms), lambda: "refusals: %s" % [swarm.statuses for swarm in swarms])
        check()
    finally:
        open(gate, "w").close()
        for swarm in swarms:
            swarm.stop()
    for swarm in swarms:
        assert set(swarm.statuses) == {200, 503} and not swarm.failures, (swarm.statuses, swarm.failures[:3])


@pytest.mark.parametrize("mpm", ["event", "worker"])
def test_a_slow_group_fills_no_child(mpm):
    with serve(["slow"], mpm=mpm) as server:
        assert server.get("/slow/pid").status == 200
        # With the worker MPM each kept connection has a thread to itself.
        count = 8 if mpm == "event" else 2
        with Swarm(server.port, count, "/static.txt", rate=20, expect=lambda body: body == b"static") as kept:
            wait_until(lambda: kept.statuses[200] >= count, "kept connections")

            def check():
                # Some in either child, over connections of their own; and those that were there before.
                assert [answer.text for answer in run_together(4, lambda _: server.get("/static.txt"))] == ["static"] * 4
                before = kept.statuses[200]
                wait_until(lambda: kept.statuses[200] >= before + 16, "answers on kept connections")
            hold(server, ["slow"], 200, check)
        assert set(kept.statuses) == {200} and not kept.lost, (kept.statuses, kept.failures)
        assert server.log.lines("WSGI0670: .*'slow'|WSGI0353: .*'slow'")


STATUS = '<Location "/wsgi-status">\nSetHandler wsgi-status\nRequire local\n</Location>\n'


def is_idle(server, group):
    """No request of the group holds a thread of httpd any more: a client has its answer a moment before."""
    groups = json.loads(server.get("/wsgi-status?json").body)["groups"]
    return next(one for one in groups if one["name"] == group)["requests_in_flight"] == 0


def test_two_slow_groups_leave_threads_to_a_third():
    with serve(["one", "two", "third"], more=STATUS, modules=["authz_host"]) as server:
        for group in ("one", "two", "third"):
            assert server.get("/%s/pid" % group).status == 200

        def check():
            for _ in range(40):
                answer = server.get("/third/pid")
                assert answer.status == 200, (answer, server.log.text()[-2000:])
                wait_until(lambda: is_idle(server, "third"), "the end of the request")
            assert [answer.text for answer in run_together(20, lambda _: server.get("/static.txt"))] == ["static"] * 20
        hold(server, ["one", "two"], 200, check)
        assert server.log.lines("WSGI0670: Process group '(one|two)' uses up its share of httpd's threads")


def test_groups_of_many_processes_share_too():
    """With prefork a thread is a process: the shares are those of all together."""
    with serve(["one", "two", "third"], mpm="prefork") as server:
        for group in ("one", "two", "third"):
            assert server.get("/%s/pid" % group).status == 200

        def check():
            assert server.get("/third/pid").status == 200
            assert server.get("/static.txt").text == "static"
        hold(server, ["one", "two"], 60, check)


@pytest.mark.skipif(os.getuid() != 0, reason="descriptors under way are counted for each user: root starts httpd as another one")
def test_what_a_stopped_group_leaves_in_its_queue_stops_no_other():
    conf = CONF % (("stopped",) * 3) + CONF % (("other",) * 3)
    conf = conf.replace("stopped processes=1", "stopped listen-backlog=1000 socket-timeout=1 processes=1")
    server = Httpd(conf, apps="daemon", name="stopped")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        server.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        pid = int(server.get("/stopped/pid").text.split()[0])
        stop_process(pid)
        try:
            for _ in range(6):
                statuses = run_together(60, lambda _: server.get("/stopped/pid").status)
                assert set(statuses) <= {503, 504}, statuses
            assert server.get("/other/pid").status == 200
            assert server.log.lines("WSGI0671: The queue of process group 'stopped'")
        finally:
            os.kill(pid, signal.SIGCONT)
        wait_until(lambda: server.get("/stopped/pid").status == 200, "the group's return")
        assert server.get("/other/pid").status == 200
    finally:
        server.stop()
        server.remove()
