"""Graceful restarts and restarts under requests: none is lost, nothing crashes, the parent stays as it was."""
import os
import re

import pytest

from httpd_env import Httpd, wait_until
from load import CONF, Load


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
        assert growth < 1024, "the parent grew by %d KiB in five graceful restarts" % growth


def test_a_full_restart_under_requests(mode):
    with Httpd(CONF[mode], apps="restart", name="restart", processes=2) as server:
        load = Load(server)
        load.wait_for(50)
        before = set(server.children())
        server.restart()
        load.failures.clear()  # a restart ends what was running, and refuses connections for a moment
        load.wait_for(50)
        wait_until(lambda: not set(server.children()) & before, lambda: "the end of %s" % (set(server.children()) & before))
        load.stop()
        assert server.get("/a").status == 200


def test_the_configuration_is_read_anew(mode):
    with Httpd(CONF[mode], apps="restart", name="restart") as server:
        assert server.get("/c").status == 404
        server.configure(CONF[mode] + "WSGIScriptAlias /c {apps}/app.wsgi\n")
        server.graceful()
        assert server.get("/c").status == 200
        server.configure("")
        server.graceful()
        assert server.get("/a").status == 404
