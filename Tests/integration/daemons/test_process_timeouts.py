"""Every limit of a process group: it holds by itself, and the log has one line with the reason."""
import os
import signal
import socket

import pytest

from httpd_env import MODES, Httpd, wait_until
from processes import noted, remaining

pytestmark = pytest.mark.skipif("daemon" not in MODES, reason="daemon mode is not tested here")

# Each with every other limit off.
OFF = "deadlock-timeout=0 graceful-timeout=0"
GROUPS = {
    "queue": "threads=1 queue-timeout=500ms " + OFF,
    "request": "threads=1 request-timeout=500ms shutdown-timeout=500ms " + OFF,
    "inactive": "inactivity-timeout=500ms " + OFF,
    "startup": "startup-timeout=500ms " + OFF,
    "interval": "restart-interval=1s " + OFF,
    "maximum": "threads=2 maximum-requests=3 " + OFF,
    "shutdown": "threads=1 shutdown-timeout=300ms " + OFF,
    "graceful": "threads=2 deadlock-timeout=0 graceful-timeout=500ms shutdown-timeout=300ms",
    "cpu": "threads=1 cpu-time-limit=1 shutdown-timeout=1s " + OFF,
    "socket": "threads=2 socket-timeout=500ms " + OFF,
    "connect": "threads=1 connect-timeout=300ms listen-backlog=1 queue-limit=100000 socket-timeout=1000 " + OFF,
    "impatient": "threads=1 connect-timeout=0 " + OFF,
    "response": "threads=1 response-socket-timeout=500ms socket-timeout=1000 " + OFF,
    "eviction": "threads=2 eviction-timeout=500ms shutdown-timeout=300ms " + OFF,
    "patient": "threads=2 eviction-timeout=1000 shutdown-timeout=300ms deadlock-timeout=0 graceful-timeout=200ms",
}


def conf():
    lines = []
    for name, options in GROUPS.items():
        lines += ["WSGIDaemonProcess %s python-path={lib} %s" % (name, options),
                  "WSGIScriptAlias /%s {apps}/%s process-group=%s application-group=%%{GLOBAL}" % (
                      name, "broken.wsgi" if name == "startup" else "app.wsgi", name)]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def server():
    running = Httpd(conf(), apps="daemon", name="timeouts", threads=32)
    with open(os.path.join(running.apps, "broken.wsgi"), "w") as script:
        script.write("raise RuntimeError('broken')\n")
    with running:
        running.expected_crashes = True
        yield running


def pid_of(server, group):
    return int(server.get("/%s/pid" % group).text.split()[0])


def ended(pid):
    process = noted([pid])
    wait_until(lambda: not remaining(process), "the end of %d" % pid)


def blocked(server, group, path="blocked"):
    """A client whose request blocks in the application."""
    mark = server.log.mark()
    client = server.client()
    client.send(client.head("GET", "/%s/%s" % (group, path)))
    server.log.wait_for("blocked|burning", mark)
    return client


def test_queue_timeout(server):
    wait_until(lambda: server.get("/queue/pid").status == 200, "the group")
    gate = server.unused_path("open")
    mark = server.log.mark()
    with server.client() as holder:
        holder.send(holder.head("GET", "/queue/wait_for?file=" + gate))
        server.log.wait_for("waiting for", mark)
        answer = server.get("/queue/pid")
        assert answer.status == 504, answer
        server.log.wait_for("WSGI0084", mark)
        open(gate, "w").close()
        assert holder.read_response().status == 200
    assert server.get("/queue/pid").status == 200
    # The request that was given up is not logged a second time when a thread comes to it.
    assert len(server.log.lines("WSGI0084", mark)) == 1


def test_request_timeout_without_interruption(server):
    pid, mark = pid_of(server, "request"), server.log.mark()
    with blocked(server, "request") as client:
        answer = client.read_response()
    assert answer.status == 504
    line, = server.log.wait_for("WSGI0411", mark)
    assert "blocked" in line and "app.wsgi" in line, line
    ended(pid)
    assert len(server.log.lines("WSGI0411", mark)) == 1
    assert pid_of(server, "request") != pid


def test_inactivity_timeout(server):
    mark = server.log.mark()
    pid = pid_of(server, "inactive")
    server.log.wait_for("Inactivity timeout", mark)
    ended(pid)
    server.log.wait_for(r"process %d of .* exited \(inactivity_timeout\)" % pid, mark)
    assert pid_of(server, "inactive") != pid


def test_startup_timeout(server):
    mark = server.log.mark()
    assert server.get("/startup/pid").status == 500
    server.log.wait_for("WSGI0412", mark)
    server.log.wait_for(r"startup_timeout", mark)


def test_restart_interval(server):
    pid = pid_of(server, "interval")
    ended(pid)
    server.log.wait_for(r"Restart interval of 'interval' \(pid=\d+\) expired")
    server.log.wait_for(r"process %d of .*\(restart_interval\)" % pid)
    assert pid_of(server, "interval") != pid


def test_maximum_requests(server):
    mark = server.log.mark()
    pids = [pid_of(server, "maximum") for _ in range(12)]
    assert max(pids.count(pid) for pid in pids) <= 4, pids
    server.log.wait_for(r"\(maximum_requests\)", mark, count=2)


def test_shutdown_timeout(server):
    pid, mark = pid_of(server, "shutdown"), server.log.mark()
    with blocked(server, "shutdown") as client:
        os.kill(pid, signal.SIGTERM)
        assert client.read_response().status == 502
    line, = server.log.wait_for("WSGI0146", mark)
    assert "shutdown-timeout" in line, line
    assert pid_of(server, "shutdown") != pid


def replace_while_blocked(server, group, reason):
    """Sends SIGUSR1 to a process whose request never ends: its pid, and where the log was."""
    pid, mark = pid_of(server, group), server.log.mark()
    with blocked(server, group) as client:
        os.kill(pid, signal.SIGUSR1)
        # Its replacement is there while it waits for the request that it still has.
        wait_until(lambda: pid_of(server, group) != pid, "a replacement")
        assert client.read_response().status == 502
    line, = server.log.wait_for("WSGI0146", mark)
    assert reason in line, line
    return pid, mark


def test_graceful_timeout(server):
    _, mark = replace_while_blocked(server, "graceful", "graceful_signal")
    server.log.wait_for("restart timer expired with requests in progress", mark)


def test_graceful_timeout_waits_for_requests(server):
    pid, mark = pid_of(server, "graceful"), server.log.mark()
    gate = server.unused_path("open")
    with server.client() as client:
        client.send(client.head("GET", "/graceful/wait_for?file=" + gate))
        server.log.wait_for("waiting for", mark)
        os.kill(pid, signal.SIGUSR1)
        server.log.wait_for(r"draining|Draining|graceful|Shutdown requested", mark)
        open(gate, "w").close()
        assert client.read_response().text == str(pid)
    ended(pid)


def test_cpu_time_limit(server):
    pid, mark = pid_of(server, "cpu"), server.log.mark()
    with blocked(server, "cpu", "burn") as client:
        assert client.read_response().status == 502
    assert len(server.log.wait_for(r"WSGI0414: Process \d+ of process group 'cpu' has used up its cpu-time-limit", mark)) == 1
    line, = server.log.wait_for("WSGI0146", mark)
    assert "cpu_time_limit" in line or "cpu-time-limit" in line, line
    assert pid_of(server, "cpu") != pid


def test_socket_timeout(server):
    mark = server.log.mark()
    with blocked(server, "socket") as client:
        assert client.read_response().status == 504
    line, = server.log.wait_for("WSGI0145", mark)
    assert "socket-timeout" in line
    # The other thread serves; the one that is blocked goes with its process.
    pid = pid_of(server, "socket")
    os.kill(pid, signal.SIGKILL)
    ended(pid)


def test_connect_timeout_of_a_full_queue():
    """A queue takes listen-backlog requests of ordinary size at least; those here are larger."""
    conf_of_one = "\n".join(line for line in conf().splitlines() if "connect" in line)
    # httpd must be able to hold more requests than the queue.
    with Httpd(conf_of_one + "\nLimitRequestLine 60000", apps="daemon", name="timeouts", threads=80) as server:
        wait_until(lambda: server.get("/connect/pid").status == 200, "the group, which may start more slowly than that")
        gate = server.unused_path("open")
        mark = server.log.mark()
        clients = [server.client() for _ in range(48)]
        clients[0].send(clients[0].head("GET", "/connect/wait_for?file=" + gate))
        server.log.wait_for("waiting for", mark)
        for client in clients[1:]:
            client.send(client.head("GET", "/connect/pid?" + "x" * 20000))
        # Nobody takes anything: who found no room has its answer after connect-timeout.
        server.log.wait_for("WSGI0116", mark)
        open(gate, "w").close()
        statuses = [client.read_response().status for client in clients]
        for client in clients:
            client.close()
        assert statuses[0] == 200 and set(statuses) == {200, 503}, statuses
        assert len(server.log.lines("WSGI0116: .*'connect'", mark)) == statuses.count(503)
        assert server.get("/connect/pid").status == 200


def test_no_connect_timeout_is_a_single_try(server):
    wait_until(lambda: server.get("/impatient/pid").status == 200, "the group")


def test_response_socket_timeout(server):
    """A client that takes nothing holds a process no longer than this."""
    mark = server.log.mark()
    with server.client() as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.send(client.head("GET", "/response/download/2000"))
        line, = server.log.wait_for("WSGI0118", mark)
        assert "'response'" in line
        # The only thread is free again.
        assert server.get("/response/pid").status == 200
        client.reset()


def test_eviction_timeout(server):
    pid, mark = replace_while_blocked(server, "eviction", "eviction_signal")
    server.log.wait_for(r"Process eviction of 'eviction' \(pid=%d\) requested" % pid, mark)
    server.log.wait_for(r"process %d of .*eviction_signal" % pid, mark)


def test_eviction_timeout_replaces_graceful_timeout(server):
    pid, mark = pid_of(server, "patient"), server.log.mark()
    gate = server.unused_path("open")
    with server.client() as client:
        client.send(client.head("GET", "/patient/wait_for?file=" + gate))
        server.log.wait_for("waiting for", mark)
        os.kill(pid, signal.SIGUSR1)
        # Longer than graceful-timeout: two lives of a process whose graceful-timeout is the same.
        short = pid_of(server, "graceful")
        with blocked(server, "graceful") as other:
            os.kill(short, signal.SIGUSR1)
            assert other.read_response().status == 502
        open(gate, "w").close()
        assert client.read_response().text == str(pid)
    ended(pid)
