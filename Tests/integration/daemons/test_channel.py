"""What crosses between httpd and a daemon process, and what the log says of whose it was."""
import os
import re
import signal

import pytest

from httpd_env import MODES, Httpd, run_together, wait_until
from test_shares import STATUS, is_idle

pytestmark = pytest.mark.skipif("daemon" not in MODES, reason="daemon mode is not tested here")

CONF = """
WSGIDaemonProcess site threads=4 python-path={lib}
WSGIScriptAlias /site {apps}/app.wsgi process-group=site application-group=%{GLOBAL}
WSGIDaemonProcess slow threads=1 request-timeout=1 interrupt-timeout=20 python-path={lib}
WSGIScriptAlias /slow {apps}/app.wsgi process-group=slow application-group=%{GLOBAL}
"""


@pytest.fixture(scope="module")
def server():
    with Httpd(CONF, apps="daemon", name="channel") as running:
        yield running


def request_id(server, pattern, since):
    """httpd's id of the only request whose line in the access log matches."""
    line, = server.access_log.wait_for(pattern, since)
    return line.split()[-1]


@pytest.mark.difference("the reference names no request")
def test_the_line_of_a_timeout_names_the_request(server):
    assert server.get("/slow/pid").status == 200
    mark, requests = server.log.mark(), server.access_log.mark()
    assert server.get("/slow/lock").status == 504
    line, = server.log.wait_for("WSGI0410", mark)
    assert ", request %s)" % request_id(server, "GET /slow/lock", requests) in line, line


@pytest.mark.difference("the reference names no request")
def test_the_line_of_an_exception_names_the_request(server):
    """Even where the response was complete before, so that httpd has done with the request."""
    mark = server.log.mark()
    answer = server.get("/site/close_raises")
    assert (answer.status, answer.body, answer.complete) == (200, b"complete", True)
    lines = server.log.wait_for("WSGI0194|RuntimeError: closed on purpose", mark, 2)
    for line in lines:
        assert re.search(r"\[client 127\.0\.0\.1:\d+\] \[script %s/app\.wsgi\] " % server.apps, line), line
        assert "[request %s] " % answer.header("X-Request") in line, line


def test_the_request_id_is_httpds(server):
    requests = server.access_log.mark()
    answer = server.get("/site/close_raises")
    assert answer.header("X-Request") == request_id(server, "GET /site/close_raises", requests)


@pytest.mark.difference("the reference does not know which process it was")
def test_of_processes_that_die_at_once_each_request_names_its_own():
    conf = """
    WSGIDaemonProcess many processes=6 threads=1 python-path={lib}
    WSGIScriptAlias /many {apps}/app.wsgi process-group=many application-group=%{GLOBAL}
    """
    signals = [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGALRM, signal.SIGBUS, signal.SIGILL]
    with Httpd(conf, apps="daemon", name="deaths", threads=16) as server:
        server.expected_crashes = True
        gate, mark = server.unused_path("open"), server.log.mark()

        def ask(index):
            with server.client() as client:
                client.send(client.head("GET", "/many/die?signal=%d&file=%s" % (signals[index], gate)))
                if index == 0:
                    server.log.wait_for("waits to die", mark, len(signals))
                    open(gate, "w").close()
                return client.socket.getsockname()[1], client.read_response().status

        answers = run_together(len(signals), ask)
        for (port, status), number in zip(answers, signals):
            assert status == 502
            line, = server.log.wait_for(r"\[client 127\.0\.0\.1:%d\].*WSGI0146" % port, mark)
            waiting, = server.log.lines(r"\[client 127\.0\.0\.1:%d\].*waits to die" % port, mark)
            pid = re.search(r"(\d+) waits to die", waiting).group(1)
            assert "Daemon process %s of group 'many'" % pid in line and "(%s)" % number.name in line, line


# MARK: the default of queue-limit

@pytest.mark.parametrize("processes", [1, 2])
def test_what_the_default_queue_limit_allows_is_served(processes):
    """All but an eighth of httpd's threads, over all of its children; what the group's threads do not run waits."""
    conf = """
    WSGIDaemonProcess few threads=3 python-path={lib}
    WSGIScriptAlias /few {apps}/app.wsgi process-group=few application-group=%{GLOBAL}
    """
    with Httpd(conf + STATUS, apps="daemon", name="limit", threads=16 // processes, processes=processes,
               modules=["authz_host"]) as server:
        assert server.get("/few/pid").status == 200
        wait_until(lambda: is_idle(server, "few"), "the end of the request")
        gate, refused = server.unused_path("open"), []

        def ask(_):
            answer = server.get("/few/wait_for?file=" + gate)
            if answer.status == 503:
                refused.append(answer)
                if len(refused) == 40 - 14:
                    open(gate, "w").close()
            return answer.status

        assert sorted(run_together(40, ask)) == [200] * 14 + [503] * 26
        # Each child tells of the first one of each kind.
        assert 1 <= len(server.log.lines("WSGI0353|WSGI0670")) <= 2 * processes


def test_a_burst_of_quick_requests_is_served_whole():
    """More connections than httpd has threads, while the group is warm."""
    conf = """
    WSGIDaemonProcess quick threads=3 python-path={lib}
    WSGIScriptAlias /quick {apps}/app.wsgi process-group=quick application-group=%{GLOBAL}
    """
    with Httpd(conf, apps="daemon", name="burst") as server:
        assert server.get("/quick/pid").status == 200
        assert set(run_together(200, lambda _: server.get("/quick/pid").status)) == {200}


# MARK: send-buffer-size, receive-buffer-size, header-buffer-size

CHANNELS = """
import os, socket
def opened():
    found = {}
    for name in os.listdir('/proc/self/fd'):
        try:
            found[os.readlink('/proc/self/fd/' + name)] = int(name)
        except OSError:
            pass
    return found
SEEN = set()
def application(environ, start_response):
    found = []
    for name, number in opened().items():
        if name.startswith('socket:') and name not in SEEN:
            with socket.socket(fileno=os.dup(number)) as one:
                found.append(one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF))
        SEEN.add(name)
    start_response('200 OK', [])
    return [repr(found).encode()]
"""
HEADERS = """
def application(environ, start_response):
    count, size = map(int, environ['QUERY_STRING'].split('x'))
    start_response('200 OK', [('X-%03d' % index, 'v' * (size - 9)) for index in range(count)])  # with ': ' and the line end
    return iter([b'answered'])
"""


@pytest.fixture
def make_site():
    made = []

    def make(options, script):
        server = Httpd("WSGIDaemonProcess site threads=2 %s\n" % options +
                       "WSGIScriptAlias / {apps}/app.wsgi process-group=site application-group=%{GLOBAL}", name="buffers")
        with open(os.path.join(server.apps, "app.wsgi"), "w") as app:
            app.write(script)
        made.append(server)
        return server.__enter__()
    yield make
    for server in made:
        server.__exit__(None, None, None)


@pytest.mark.difference("it is the system's buffers of a listening socket there")
def test_how_much_of_a_response_may_be_under_way(make_site):
    standard = make_site("", CHANNELS)
    small = make_site("send-buffer-size=8192 receive-buffer-size=512", CHANNELS)
    for body in (None, b"body"):
        for server in (standard, small):
            server.request("POST" if body else "GET", "/", body=body)  # what stays open is seen
        usual, = eval(standard.request("POST" if body else "GET", "/", body=body).text)
        limited, = eval(small.request("POST" if body else "GET", "/", body=body).text)
        # The kernel doubles what is asked of a socket, for its own book-keeping.
        assert limited == 16384 < usual


# Waits for `enough` bytes of the request's body in its channel, but no longer than `seconds`.
BEHIND = """
import fcntl, os, struct, termios, time
def unread():
    found = [0]
    for name in os.listdir('/proc/self/fd'):
        try:
            if os.readlink('/proc/self/fd/' + name).startswith('socket:'):
                found.append(struct.unpack('i', fcntl.ioctl(int(name), termios.FIONREAD, bytes(4)))[0])
        except OSError:
            pass
    return max(found)
def application(environ, start_response):
    enough, seconds = map(int, environ['QUERY_STRING'].split(','))
    first = environ['wsgi.input'].read(1)  # the body is sent from now on
    end = time.monotonic() + seconds
    while unread() < enough and time.monotonic() < end:
        time.sleep(0.01)
    found = unread()
    read = len(first + environ['wsgi.input'].read())
    start_response('200 OK', [])
    return [repr((found, read)).encode()]
"""


@pytest.mark.difference("it is the system's buffers of a listening socket there")
def test_how_much_of_a_body_may_be_under_way(make_site):
    enough, body = 50_000, b"x" * 1_000_000
    usual, read = eval(make_site("", BEHIND).request("POST", "/?%d,20" % enough, body=body).text)
    assert usual >= enough and read == len(body)
    # Long enough for httpd to be as far ahead as it may be; it is not far, however long that takes.
    limited, read = eval(make_site("receive-buffer-size=512", BEHIND).request("POST", "/?%d,1" % enough, body=body).text)
    assert 0 < limited < 16384 and read == len(body)


@pytest.mark.difference("the limit is that of a line there")
def test_the_bytes_that_the_headers_of_a_response_may_have(make_site):
    server = make_site("header-buffer-size=8192", HEADERS)
    assert server.get("/?8x1000").status == 200 and server.get("/?1x8192").status == 200
    for query, size in (("9x1000", 9000), ("1x8193", 8193), ("1x200000", 200000)):
        mark = server.log.mark()
        answer = server.get("/?" + query)
        assert answer.status == 500 and "X-000" not in str(answer.headers) and "answered" not in answer.text
        line, = server.log.wait_for("WSGI0144", mark)
        assert "take %d bytes, and its header-buffer-size allows 8192" % size in line, line
        assert server.get("/?1x1000").status == 200


def test_the_longest_header_without_the_option(make_site):
    server = make_site("", HEADERS)
    # As with 6.1.1: a line, however many there are.
    assert server.get("/?1x32768").status == 200 and server.get("/?60x4000").status == 200
    mark = server.log.mark()
    assert server.get("/?1x33000").status == 500
    assert server.log.wait_for("WSGI0144", mark)
