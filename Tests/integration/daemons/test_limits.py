"""Limits of a group: the size of its processes, how many the user may have, and control groups."""
import json
import os
import threading

import pytest

from httpd_env import MODES, Httpd, run_together, wait_until
from processes import called, has_ended

pytestmark = pytest.mark.skipif("daemon" not in MODES, reason="daemon mode is not tested here")
root_only = pytest.mark.skipif(os.getuid() != 0, reason="only root starts processes as another user")

# Grows by 4 MB with each request, to 240 MB.
HOG = """import os, time
held = []
def application(environ, start_response):
    if len(held) < 60:
        held.append(b'x' * (4 << 20))
    time.sleep(0.01)
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'%d' % os.getpid()]
"""
# Forks as often as it can, 300 times at most, and ends the children again.
BOMB = """import json, os, signal
def application(environ, start_response):
    children, failure = [], None
    while len(children) < 300 and failure is None:
        try:
            child = os.fork()
        except OSError as error:
            failure = error.errno
            break
        if child == 0:
            signal.pause()
            os._exit(0)
        children.append(child)
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    start_response('200 OK', [('Content-Type', 'application/json')])
    return [json.dumps([len(children), failure, os.getpid()]).encode()]
"""
PID = """import os
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'%d' % os.getpid()]
"""


@pytest.fixture
def serve():
    made = []

    def start(groups, **more):
        """Groups by name: their script and their options."""
        lines = []
        for name, (_, options) in groups.items():
            lines += ["WSGIDaemonProcess %s display-name=(wsgi-%s:{port}) %s" % (name, name, options),
                      "WSGIScriptAlias /%s {root}/%s.py process-group=%s application-group=%%{GLOBAL}" % (name, name, name)]
        server = Httpd("\n".join(lines), name="limits", **more)
        made.append(server)
        for name, (script, _) in groups.items():
            with open(os.path.join(server.root, name + ".py"), "w") as file:
                file.write(script)
        server.__enter__()
        return server
    yield start
    for server in made:
        server.__exit__(None, None, None)


def workers(server, group):
    return called("(wsgi-%s:%d)" % (group, server.port))


@pytest.mark.unsanitized("sizes are others")
def test_processes_that_have_grown_are_replaced_and_no_request_is_lost(serve):
    server = serve({"one": (HOG, "threads=4 memory-recycle=120M"),
                    "range": (HOG, "processes=0-2 threads=4 memory-recycle=120M"),
                    "quiet": (PID, "memory-recycle=1G")})
    quiet = server.get("/quiet").text
    over = threading.Event()
    answers = []

    def ask(index):
        while not over.is_set():
            answers.append(server.get("/one" if index % 2 else "/range"))
    asking = threading.Thread(target=run_together, args=(6, ask))
    asking.start()
    try:
        for group in ("one", "range"):
            server.log.wait_for(r"process group '%s' exited \(memory_recycle\)" % group, count=2, deadline=60)
    finally:
        over.set()
        asking.join()
    assert {answer.status for answer in answers} == {200}
    assert len({answer.text for answer in answers}) >= 5
    assert server.get("/quiet").text == quiet and not server.log.lines(r"'quiet' \(pid=\d+\) is above memory-recycle")


@pytest.mark.unsanitized("sizes are others")
def test_a_group_whose_processes_are_too_large_from_the_start_says_so_once(serve):
    server = serve({"large": (PID, "memory-recycle=1M")})
    assert server.get("/large").status == 200
    server.log.wait_for(r"process group 'large' exited \(memory_recycle\)", count=2, deadline=60)
    line, = server.log.lines("WSGI0700")
    assert "is above its memory-recycle" in line
    assert server.get("/large").status == 200


@root_only
def test_a_fork_bomb_ends_at_the_process_limit(serve):
    server = serve({"bomb": (BOMB, "user=irc group=irc threads=2 process-limit=60"),
                    "other": (BOMB, "user=list group=list threads=2")})
    count, failure, pid = json.loads(server.get("/bomb").text)
    assert failure is not None and 0 < count < 60
    with open("/proc/%d/limits" % pid) as limits:
        line, = [line for line in limits if line.startswith("Max processes")]
    assert line.split()[2:4] == ["60", "60"]
    assert json.loads(server.get("/other").text)[:2] == [300, None]
    assert json.loads(server.get("/bomb").text)[2] == pid and not has_ended(pid)
