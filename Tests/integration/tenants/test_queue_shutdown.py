"""A process with native code can shut down the queue that its group's requests come through: the group gets a new one."""
import os
import resource
import signal
import subprocess
import time

import pytest

from httpd_env import MODES, Httpd, httpd_program, wait_until
from processes import about, children, descendants, name_of, noted, remaining, supervisors
from test_native_code import TENANTS, files

pytestmark = [pytest.mark.skipif("daemon" not in MODES, reason="daemon mode is not tested here"),
              pytest.mark.skipif(os.getuid() != 0, reason="only root starts processes as another user")]
SEVERAL = """
WSGIDaemonProcess many user=games processes=2 threads=2 python-path={lib}
WSGIScriptAlias /many {apps}/app.wsgi process-group=many application-group=%{GLOBAL}
"""


def httpd_children(server):
    return [pid for pid in children(server.pid)
            if name_of(pid) == name_of(server.pid) and "\nUid:\t0\t" not in about(pid, "status")]


def shut_down(server, group, times=1):
    """The ids of the processes that did it, and the log that came of it."""
    mark = server.log.mark()
    pids = []
    for number in range(times):
        response = server.get("/%s/shut_down" % group)
        assert response.status == 200
        pids.append(response.text)
        server.log.wait_for("WSGI0672", mark, count=number + 1)
    return pids, [line for line in server.log.lines("WSGI0672", mark)]


def test_a_queue_that_was_shut_down_is_replaced_and_nobody_else_notices():
    # A child of the prefork MPM has one connection: each of these is another's.
    with Httpd(TENANTS + SEVERAL, apps="tenants", name="shutdown", processes=4, mpm="prefork") as server, \
            server.client() as one, server.client() as two, server.client() as three, server.client() as bystander:
        good = bystander.request("GET", "/good/pid").text
        for name, who in (("bad", "Process %s,"), ("many", "One of processes ")):
            for client in (one, two, three):
                assert client.request("GET", "/%s/pid" % name).status == 200
            for _ in range(2):
                pids, lines = shut_down(server, name)
                assert pids[0] in lines[0] and "process group '%s'" % name in lines[0]
                assert who.replace("%s", pids[0]) in lines[0]
                for client in (one, bystander, two, three):
                    path = "/good/pid" if client is bystander else "/%s/pid" % name
                    response = client.request("GET", path)
                    assert response.status == 200 and (response.text == good) == (client is bystander)
                    assert name == "many" or response.text != pids[0]
        assert len(server.log.lines("WSGI0672")) == 4 and not server.log.lines("WSGI045[12]")


def test_a_queue_that_is_made_on_demand_is_replaced_too():
    with Httpd(TENANTS.replace("WSGIDaemonProcess bad", "WSGIDaemonProcess bad processes=0-2"), apps="tenants", name="demanded",
               processes=4, mpm="prefork") as server, server.client() as one, server.client() as two:
        assert "processes=0-2" in open(server.conf).read()
        for client in (one, two):
            assert client.request("GET", "/bad/pid").status == 200
        for _ in range(2):
            pids, lines = shut_down(server, "bad")
            assert "Process %s," % pids[0] in lines[0]
            for client in (one, two):
                response = client.request("GET", "/bad/pid")
                assert response.status == 200 and response.text != pids[0]


# Of each of httpd's children.
THREADS = 4


def counts(server):
    """Processes, and the pipes and sockets of the parent and the supervisor; those of httpd's children."""
    ours = [server.pid, supervisors(server.pid)[0]]
    return ((len(descendants(server.pid)), [len(files(pid)) for pid in ours]),
            [len(files(pid)) for pid in sorted(httpd_children(server))])


def test_nothing_piles_up_and_a_restart_ends_the_generation():
    with Httpd(TENANTS, apps="tenants", name="again", processes=2, threads=THREADS) as server:
        wait_until(lambda: len(httpd_children(server)) == 2, "httpd's children")
        assert server.get("/bad/pid").status == server.get("/good/pid").status == 200
        shut_down(server, "bad")
        assert server.get("/bad/pid").status == 200
        server.let_connections_end()
        wait_until(lambda: counts(server)[0][0] == 7, "the end of the processes that had the old queue")
        before, children = counts(server)
        # Each thread may have come to keep a channel.
        most = max(children) + 2 * THREADS
        times = 2 * THREADS + 2
        shut_down(server, "bad", times)
        assert server.get("/bad/pid").status == 200
        server.let_connections_end()

        def is_as_before():
            now, children = counts(server)
            return now == before and max(children) <= most
        wait_until(is_as_before, lambda: "%s, as before, and no child above %d; now %s" % (before, most, counts(server)))
        old = set(descendants(server.pid))
        server.graceful()
        assert server.get("/bad/pid").status == 200
        wait_until(lambda: not old & set(descendants(server.pid)), "the end of the old generation")
        shut_down(server, "bad")
        assert server.get("/bad/pid").status == 200


AT_ONCE = """
import os, socket
if os.path.exists(%r):
    # As soon as it has begun, in every process that takes its place.
    socket.socket(fileno=os.dup(4)).shutdown(socket.SHUT_RDWR)
def application(environ, start_response):
    start_response('200 OK', [])
    return [str(os.getpid()).encode()]
"""


def test_a_queue_that_is_shut_down_again_and_again_is_renewed_at_a_bounded_pace():
    """As young processes are replaced: 20 and two for each process at once, after that two for each process a second."""
    server = Httpd(TENANTS + "WSGIDaemonProcess endless user=games processes=1 threads=1\n"
                   "WSGIScriptAlias /endless {apps}/endless.wsgi process-group=endless application-group=%{GLOBAL}\n",
                   apps="tenants", name="endless")
    hostile = server.unused_path("hostile")
    with open(os.path.join(server.apps, "endless.wsgi"), "w") as script:
        script.write(AT_ONCE % hostile)
    open(hostile, "w").close()
    began = time.monotonic()
    with server:
        server.expected_crashes = True
        first = server.get("/good/pid").text
        paced = "WSGI0662: Processes of process group 'endless' .* at most 2 per second from now on"

        def renewals():
            return len(server.log.lines("WSGI0672: .* process group 'endless'"))
        wait_until(lambda: server.log.lines(paced) or renewals() > 40, server.story, deadline=120)
        if not server.log.lines(paced):
            pytest.skip("processes start no faster here than they may")
        mark = server.log.mark()
        server.log.wait_for("WSGI0672: .* process group 'endless'", mark, count=3)
        assert renewals() <= 22 + 2 * (time.monotonic() - began) + 1
        assert server.get("/good/pid").text == first
        os.remove(hostile)
        mark = server.log.mark()
        wait_until(lambda: server.get("/endless").status == 200, "the group is back")
        assert len(server.log.lines("WSGI0662")) == 1 and not server.log.lines("WSGI0673")


def test_where_no_queue_can_be_made_it_is_tried_again():
    with Httpd(TENANTS, apps="tenants", name="short") as server:
        first, bystander = server.get("/bad/pid").text, server.get("/good/pid").text
        supervisor, = supervisors(server.pid)
        used = {int(number) for number in os.listdir("/proc/%d/fd" % supervisor)}
        limits = resource.prlimit(supervisor, resource.RLIMIT_NOFILE)
        # Those that it has stay; there is no room for another.
        lowest = min(set(range(len(used) + 1)) - used)
        resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (lowest, limits[1]))
        mark = server.log.mark()
        assert server.get("/bad/shut_down").text == first
        line = server.log.wait_for("WSGI0673", mark, count=2)[0]
        assert "process group 'bad'" in line and "Too many open files" in line, line
        assert server.get("/good/pid").text == bystander
        resource.prlimit(supervisor, resource.RLIMIT_NOFILE, limits)
        server.log.wait_for("WSGI0672: .* process group 'bad'", mark)
        assert server.get("/bad/pid").status == 200
        assert server.get("/good/pid").text == bystander


def test_a_supervisor_that_takes_over_has_the_new_queue():
    with Httpd(TENANTS, apps="tenants", name="adopted") as server:
        shut_down(server, "bad")
        served = server.get("/bad/pid").text
        first = supervisors(server.pid)[0]
        os.kill(first, signal.SIGKILL)
        server.log.wait_for("continues with 1 processes: %s" % served)
        assert server.get("/bad/pid").text == served
        os.kill(int(served), signal.SIGKILL)
        server.log.wait_for("WSGI0451")
        served = server.get("/bad/pid")
        assert served.status == 200
        pids, lines = shut_down(server, "bad")
        assert pids[0] == served.text and pids[0] in lines[0]
        old = set(descendants(server.pid))
        assert server.get("/bad/pid").status == 200
        server.graceful()
        wait_until(lambda: not old & set(descendants(server.pid)), "the end of the old generation")
        assert server.get("/bad/pid").status == 200


@pytest.mark.parametrize("then", ["serve", "leave"])
def test_requests_that_wait_in_the_old_queue_are_answered(then):
    conf = TENANTS.replace("threads=4 shutdown-timeout=1 graceful-timeout=1", "threads=1")
    with Httpd(conf, apps="tenants", name="waiting") as server:
        server.expected_crashes = True
        first = server.get("/bad/pid").text
        with server.client() as hostile, server.client() as waiting:
            hostile.send(b"GET /bad/shut_down_with_others_waiting?then=%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % then.encode())
            server.log.wait_for("now the others")
            waiting.send(b"GET /bad/pid HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert hostile.read_response().status == (200 if then == "serve" else 502)
            # Where no process reads the old queue any more httpd's parent lets go of it, within ten seconds.
            response = waiting.read_response()
        assert response.status == 200 and (response.text == first) == (then == "serve")
        server.log.wait_for("WSGI0672")
        assert server.get("/bad/pid").text != first


def test_a_single_process_finds_the_new_queue():
    server = Httpd(TENANTS, apps="tenants", name="single")
    server.process = subprocess.Popen([httpd_program(), "-f", server.conf, "-X"], stdin=subprocess.DEVNULL,
                                      start_new_session=True)
    try:
        wait_until(server.answers, "httpd's start")
        for _ in range(3):
            shut_down(server, "bad")
            assert server.get("/bad/pid").status == server.get("/good/pid").status == 200
    finally:
        family = noted(descendants(server.pid))
        server.signal(signal.SIGTERM)
        server.process.wait(30)
        server.process = None
    wait_until(lambda: not remaining(family), "the end of all processes")
    server.remove()
