"""Graceful restarts and restarts under requests: none is lost, nothing crashes, the parent stays as it was."""
import os
import re
import threading

import pytest

from httpd_env import MODES, Httpd, wait_until
from http_client import Client

CONF = {
    "embedded": "WSGIScriptAlias /a {apps}/app.wsgi application-group=%{GLOBAL}\n"
                "WSGIScriptAlias /b {apps}/app.wsgi application-group=other\n",
    "daemon": "WSGISocketPrefix {root}/wsgi\nWSGIDaemonProcess site processes=2 threads=4\n"
              "WSGIScriptAlias /a {apps}/app.wsgi process-group=site application-group=%{GLOBAL}\n"
              "WSGIScriptAlias /b {apps}/app.wsgi process-group=site application-group=other\n",
}


class Load:
    """Clients that ask without pause, over connections that they keep, until they are told to stop."""

    def __init__(self, server, clients=4):
        self.server, self.answered, self.failures, self.over = server, 0, [], threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(index,), daemon=True) for index in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self, index):
        client, fresh = None, True
        while not self.over.is_set():
            try:
                if client is None:
                    client, fresh = Client(self.server.port), True
                answer = client.request("POST", "/" + "ab"[index % 2], (), b"body")
                if answer.status != 200 or not answer.complete or not answer.body.endswith(b" body"):
                    self.failures.append(repr(answer))
                self.answered += 1
                fresh = False
                if (answer.header("Connection") or "").lower() == "close":
                    client.close()
                    client = None
            except OSError as failure:
                # A server may close a connection that it had kept open, just as the next request is on its way (RFC 9112,
                # 9.3.1); one that was just made, it may not.
                if fresh:
                    self.failures.append(repr(failure))
                if client:
                    client.close()
                client = None
        if client:
            client.close()

    def wait_for(self, more):
        target = self.answered + more
        wait_until(lambda: self.answered >= target or self.failures, lambda: "%d of %d answers" % (self.answered, target))

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(30)


def descriptors(pid):
    return sorted(os.readlink("/proc/%d/fd/%s" % (pid, name)) for name in os.listdir("/proc/%d/fd" % pid))


def memory(pid):
    """Private memory in KiB."""
    with open("/proc/%d/smaps_rollup" % pid) as maps:
        return sum(int(number) for number in re.findall(r"^Private_\w+:\s+(\d+)", maps.read(), re.M))


@pytest.mark.parametrize("mpm", ["event", "worker", "prefork"])
def test_graceful_restarts_under_requests(mode, mpm):
    with Httpd(CONF[mode], apps="restart", mpm=mpm, name="restart", processes=2) as server:
        load = Load(server)
        load.wait_for(50)
        server.graceful()  # the first one, so that what is made once has been made
        load.wait_for(20)
        before = descriptors(server.pid)
        size = memory(server.pid)
        for _ in range(5):
            server.graceful()
            load.wait_for(20)
        after = descriptors(server.pid)
        growth = memory(server.pid) - size
        load.stop()
        assert not load.failures, load.failures[:5]
        kinds = [[re.sub(r"\d+", "N", name) for name in names] for names in (before, after)]
        assert kinds[0] == kinds[1], (before, after)
        assert growth < 1024, "the parent grew by %d KiB in five graceful restarts" % growth


def test_a_full_restart_under_requests(mode):
    with Httpd(CONF[mode], apps="restart", name="restart", processes=2) as server:
        load = Load(server)
        load.wait_for(50)
        before = set(server.children())
        server.restart()
        load.failures.clear()  # a restart ends what was running, and refuses connections for a moment
        load.wait_for(50)
        assert not set(server.children()) & before
        load.stop()
        assert server.get("/a").status == 200


def test_a_stop_under_requests(mode):
    with Httpd(CONF[mode], apps="restart", name="restart", processes=2) as server:
        load = Load(server)
        load.wait_for(50)
        server.stop()
        load.stop()


def test_the_configuration_is_read_anew(mode):
    with Httpd(CONF[mode], apps="restart", name="restart") as server:
        assert server.get("/c").status == 404
        server.configure(CONF[mode] + "WSGIScriptAlias /c {apps}/app.wsgi\n")
        server.graceful()
        assert server.get("/c").status == 200
        server.configure("")
        server.graceful()
        assert server.get("/a").status == 404
