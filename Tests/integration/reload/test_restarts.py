"""Graceful restarts and restarts under requests: none is lost, nothing crashes, the parent stays as it was."""
import os
import re

import pytest

from httpd_env import CRASH, SANITIZED, Httpd, wait_until
from load import CONF, Load
from swarm import Swarm

# Writes down the number of every request that it runs.
JOURNAL = """
import os
journal = os.open(%r, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)

def application(environ, start_response):
    os.write(journal, environ["PATH_INFO"][1:].encode() + b"\\n")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
    return [b"ran"]
"""


def descriptors(pid):
    found = []
    for name in os.listdir("/proc/%d/fd" % pid):
        try:
            found.append(re.sub(r"\d+", "N", os.readlink("/proc/%d/fd/%s" % (pid, name))))
        except OSError:
            continue  # closed since
    return sorted(found)


def memory(pid):
    """Private memory in KiB."""
    with open("/proc/%d/smaps_rollup" % pid) as maps:
        return sum(int(number) for number in re.findall(r"^Private_\w+:\s+(\d+)", maps.read(), re.M))


@pytest.mark.parametrize("mpm", ["event", "worker", "prefork"])
def test_graceful_restarts_under_requests(mode, mpm):
    with Httpd(CONF[mode], apps="restart", mpm=mpm, name="restart", processes=2) as server:
        load = Load(server)
        load.wait_for(50)
        before = descriptors(server.pid)
        server.graceful()  # the first one, so that what is made once has been made
        load.wait_for(20)
        size = memory(server.pid)
        for _ in range(5):
            server.graceful()
            load.wait_for(20)
        load.stop()
        assert not load.failures, load.failures[:5]
        # What belongs to a generation goes when its last child has gone.
        wait_until(lambda: descriptors(server.pid) == before, lambda: "%s; before: %s" % (descriptors(server.pid), before))
        growth = memory(server.pid) - size
        # AddressSanitizer keeps for a while what is freed.
        assert SANITIZED or growth < 1024, "the parent grew by %d KiB in five graceful restarts" % growth


def test_a_graceful_restart_loses_no_request_that_was_begun(mode):
    """httpd closes connections that it kept open when it restarts gracefully, be it just as a request arrives on one. Such a
    request may be sent again: nobody has seen it. One that reached an application is answered."""
    conf = CONF[mode].replace("threads=4", "threads=4 queue-limit=100")
    with Httpd(conf, apps="restart", mpm="event", name="restart", processes=2, threads=80) as server:
        journal = server.unused_path("ran")
        os.chmod(os.path.dirname(journal), 0o777)
        with open(os.path.join(server.apps, "app.wsgi"), "w") as script:
            script.write(JOURNAL % journal)
        assert server.get("/a/0").status == 200
        with Swarm(server.port, 64, "/a/%d", expect=lambda body: body == b"ran") as load:
            for _ in range(5):
                target = len(load.times) + 500
                wait_until(lambda: len(load.times) >= target, "500 more answers")
                server.graceful()
        assert not load.lost and set(load.statuses) == {200}, (load.statuses, load.failures[:5], load.wrong[:5])
        with open(journal) as lines:
            ran = {int(line) for line in lines}
        assert not [failure for failure in load.retried if failure.number in ran]
        assert set(load.answers) <= ran


def restart_under_requests(mode):
    """What the log says of crashes."""
    with Httpd(CONF[mode], apps="restart", name="restart", processes=2) as server:
        server.expected_crashes = True
        load = Load(server)
        load.wait_for(50)
        before = set(server.children())
        server.restart()
        load.failures.clear()  # a restart ends what was running, and refuses connections for a moment
        load.wait_for(50)
        wait_until(lambda: not set(server.children()) & before, lambda: "the end of %s" % (set(server.children()) & before))
        load.stop()
        assert server.get("/a").status == 200
        return server.log.lines(CRASH)


def test_a_full_restart_under_requests(mode):
    # Without this module, too, one child of the event MPM in some hundred crashes as it closes the sockets of its workers, which
    # just end their connections.
    for _ in range(3):
        crashes = restart_under_requests(mode)
        if not crashes:
            return
        assert len(crashes) == 1 and "exit signal Segmentation fault" in crashes[0], crashes
    raise AssertionError("three times: %s" % crashes)


def test_the_configuration_is_read_anew(mode):
    with Httpd(CONF[mode], apps="restart", name="restart") as server:
        assert server.get("/c").status == 404
        server.configure(CONF[mode] + "WSGIScriptAlias /c {apps}/app.wsgi\n")
        server.graceful(alone=True)
        assert server.get("/c").status == 200
        server.configure("")
        server.graceful(alone=True)
        assert server.get("/a").status == 404
