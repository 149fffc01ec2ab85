"""Stopping a server whose applications run: what they are doing must not end in a crash."""
import pytest

from httpd_env import Httpd
from http_client import Client
from load import CONF, Load


def test_a_stop_under_requests(mode):
    with Httpd(CONF[mode], apps="restart", name="restart", processes=2) as server:
        load = Load(server)
        load.wait_for(50)
        server.stop()
        load.stop()


@pytest.mark.parametrize("mpm, case", [("event", "busy"), ("event", "blocked"), ("event", "reading"), ("prefork", "blocked")])
def test_a_stop_while_applications_run(mode, mpm, case):
    """Requests that no stop can wait for: their end with the process must not be a crash."""
    with Httpd(CONF[mode], apps="restart", mpm=mpm, name="restart", processes=2 if mpm == "prefork" else 1) as server:
        clients = []
        for path in ("/a", "/b"):
            server.get(path)
        # Until 3.12 a thread that computes does not hand the GIL to another interpreter, only to threads of its own.
        for path in ("/a/", "/a/" if case == "busy" else "/b/"):
            client = Client(server.port)
            # More than httpd receives before it asks a process.
            client.send(client.head("POST", path + case, [("Content-Length", "100000")]))
            clients.append(client)
        server.log.wait_for(r"running %s" % case, count=2)
        server.stop()
        for client in clients:
            client.close()
