"""Limits of a group: the size of its processes, how many the user may have, and control groups."""
import json
import os
import threading

import pytest

from control_groups import content, members, mounted, place_for
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
@pytest.mark.parametrize("options", ["", "preload=On"])
def test_processes_that_have_grown_are_replaced_and_no_request_is_lost(serve, options):
    server = serve({"one": (HOG, "threads=4 memory-recycle=120M " + options),
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


# MARK: control groups

FORKS = """import json, os
def application(environ, start_response):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        with open('/proc/self/cgroup') as file:
            os.write(write, file.read().encode())
        os._exit(0)
    os.waitpid(child, 0)
    start_response('200 OK', [('Content-Type', 'application/json')])
    return [json.dumps([os.getpid(), os.read(read, 65536).decode()]).encode()]
"""


@root_only
@pytest.mark.parametrize("options, count", [("", 2), ("preload=On", 3)])
def test_processes_join_a_control_group_which_is_removed_with_the_group(serve, options, count):
    place, _ = mounted("pids")
    directory = place_for("joins", place)
    server = serve({"site": (FORKS, "processes=2 cgroup=%s cgroup-set=pids.max:200 %s" % (directory, options)),
                    "other": (FORKS, "")})
    pid, child = json.loads(server.get("/site").text)
    wait_until(lambda: len(workers(server, "site")) == count, "all processes")
    wait_until(lambda: members(directory) == set(workers(server, "site")), "their membership")
    assert pid in members(directory) and os.path.basename(directory) in child
    assert content(directory, "pids.max") == "200"
    assert os.path.basename(directory) not in json.loads(server.get("/other").text)[1]
    server.graceful(alone=True)
    after = json.loads(server.get("/site").text)[0]
    wait_until(lambda: pid not in members(directory) and after in members(directory), "the next generation")
    assert not server.log.lines("WSGI070")
    server.stop()
    wait_until(lambda: not os.path.exists(directory), "its removal")


@root_only
def test_a_control_group_of_version_2(serve):
    place, version = mounted(None)
    assert version == 2
    directory = place_for("two", place)
    server = serve({"site": (PID, "processes=0-1 cgroup=%s cgroup-set=cgroup.max.descendants:7" % directory)})
    assert not os.path.exists(directory)
    pid = int(server.get("/site").text)
    assert members(directory) == {pid}
    assert content(directory, "cgroup.max.descendants") == "7"
    server.stop()
    wait_until(lambda: not os.path.exists(directory), "its removal")


@root_only
def test_a_fork_bomb_ends_at_the_bound_of_its_control_group(serve):
    place, _ = mounted("pids")
    directory = place_for("bomb", place)
    server = serve({"bomb": (BOMB, "threads=2 cgroup=%s cgroup-set=pids.max:50" % directory), "other": (BOMB, "threads=2")})
    count, failure, _ = json.loads(server.get("/bomb").text)
    assert failure is not None and 0 < count < 50
    # The same user's processes elsewhere are not bound by it.
    assert json.loads(server.get("/other").text)[:2] == [300, None]


@root_only
def test_a_process_that_its_control_group_has_no_memory_for_is_named(serve):
    place, version = mounted("memory")
    directory = place_for("memory", place)
    limit = "memory.limit_in_bytes:120M" if version == 1 else "memory.max:120M"
    server = serve({"hog": (HOG, "threads=1 cgroup=%s cgroup-set=%s" % (directory, limit)), "other": (PID, "")})
    server.expected_crashes = True
    other = server.get("/other").text
    statuses = [server.get("/hog").status for _ in range(60)]
    assert 502 in statuses
    line = server.log.wait_for("WSGI0451")[0]
    assert "SIGKILL" in line and "most likely because the system or its control group ran out of memory" in line
    assert server.get("/other").text == other


@root_only
def test_a_control_group_that_cannot_be_had_is_warned_of_once_and_the_group_runs(serve):
    place, _ = mounted("pids")
    foreign = place_for("foreign", place)
    os.mkdir(foreign)
    os.chown(foreign, 65534, 65534)
    right = place_for("right", place)
    try:
        server = serve({"tenants": (PID, "processes=3 cgroup=%s" % foreign),
                        "elsewhere": (PID, "processes=2 cgroup=/tmp/wsgi/nowhere"),
                        "beside": (PID, "processes=2 cgroup={root}/control"),
                        "missing": (PID, "processes=2 cgroup=%s cgroup-set=no.such.file:1" % right)})
        for group, count in (("tenants", 3), ("elsewhere", 2), ("beside", 2), ("missing", 2)):
            assert server.get("/" + group).status == 200
            wait_until(lambda: len(workers(server, group)) == count, "all processes")
        assert not members(foreign)
        assert members(right) == set(workers(server, "missing"))
        for group in ("tenants", "elsewhere", "beside"):
            line, = server.log.lines("WSGI0702.*'%s'" % group)
            assert "outside of it" in line
        line, = server.log.lines("WSGI0703")
        assert "no.such.file: No such file or directory" in line
        assert not os.path.exists(os.path.join(server.root, "control"))
    finally:
        os.rmdir(foreign)
