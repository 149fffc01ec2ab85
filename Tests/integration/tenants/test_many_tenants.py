"""Templates with many tenants: all at once, more than there is room for, some that misbehave, and a supervisor that dies."""
import json
import os
import re
import signal
import threading
import time

import pytest

from httpd_env import REFERENCE, Httpd, run_together, wait_until
from many_users import add_users, write_script
from processes import about, every_pid, fields, has_ended, name_of
from swarm import Swarm

pytestmark = pytest.mark.skipif(REFERENCE or os.getuid() != 0, reason="templates are new, and need root")

CONF = """WSGIDaemonTemplate site display-name=(wsgi:{port}:%{KEY}) uid-range=1000-99999999 OPTIONS
WSGIScriptAliasMatch ^/~([a-z0-9]+) {root}/home/$1/app.wsgi process-group=site application-group=%{GLOBAL}
WSGIScriptAliasMatch ^/any/[0-9]*([0-9])$ {root}/home/tenant$1/app.wsgi process-group=site application-group=%{GLOBAL}
<Location /wsgi-status>
SetHandler wsgi-status
Require all granted
</Location>
"""
# Waits until the file that the query names is in the user's home.
PATIENT = """import os, time
def application(environ, start_response):
    name = environ['QUERY_STRING']
    while name and not os.path.exists(os.path.join(os.path.dirname(__file__), name)):
        time.sleep(0.01)
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'%d' % os.getpid()]
"""
@pytest.fixture
def serve():
    made = []

    def start(count, options="", script=None, processes=3, **more):
        server = Httpd(CONF.replace("OPTIONS", options), name="many", processes=processes, **more)
        made.append(server)
        server.users = add_users(server, count)
        for user in server.users:
            write_script(user, **({"text": script} if script else {}))
        server.__enter__()
        return server
    yield start
    for server in made:
        server.__exit__(None, None, None)


def visit(server, user, query=""):
    return server.get("/~%s%s" % (user.pw_name, query))


def visit_all(server, users=None):
    """Asks for all tenants at once. Returns the pids that have answered."""
    users = users or server.users
    answers = run_together(len(users), lambda index: visit(server, users[index]))
    assert [getattr(answer, "status", answer) for answer in answers] == [200] * len(users), server.story()
    for user, answer in zip(users, answers):
        assert answer.text.split()[:2] == [str(user.pw_uid), "site/" + user.pw_name]
    return [int(answer.text.split()[2]) for answer in answers]


def groups(server):
    return {group["name"][5:]: group for group in json.loads(server.get("/wsgi-status?json").text)["groups"]}


def workers(server):
    """All processes of tenants, with what they have forked."""
    return [pid for pid in every_pid() if about(pid, "cmdline").startswith("(wsgi:%d:" % server.port)]


def complaints(server):
    return server.log.lines(r":(warn|error|crit|alert|emerg)\]")


def family(server):
    """httpd's processes: the parent, the supervisor and the children."""
    return [server.pid] + server.children()


def kept(server):
    """The descriptors of the supervisor, and what httpd's processes have mapped for groups. Their threads' channels, of which
    there are no more the more groups there are, are not counted."""
    return (len(os.listdir("/proc/%d/fd" % supervisor_of(server))),
            sum(about(pid, "maps").count("/memfd:") for pid in family(server)))


def memory(server):
    """The bytes that httpd's processes take together."""
    lines = [line for pid in family(server) for line in about(pid, "smaps_rollup").splitlines()]
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))


def supervisor_of(server):
    # What it forks bears its name at first.
    return wait_until(lambda: [pid for pid in server.children() if name_of(pid) == "wsgi-supervisor" and not has_ended(pid)],
                      "a supervisor")[0]


def forget_all(server):
    wait_until(lambda: not workers(server), "the end of all processes")
    wait_until(lambda: not groups(server), "all groups to be forgotten")


def test_everybody_is_answered_and_nothing_is_left(serve):
    # With one heap for all its threads httpd's memory does not depend on which of them were busy at once.
    server = serve(60, "start-rate=1000 idle-timeout=100ms", threads=40, processes=2, environment={"MALLOC_ARENA_MAX": "1"})
    before = kept(server)
    after = []
    for _ in range(3):
        assert len(set(visit_all(server))) == len(server.users)
        forget_all(server)
        after.append(kept(server) + (memory(server),))
    for files, mappings, _ in after:
        # A child keeps what it was given until it is given something else.
        assert files == before[0] and mappings <= before[1] + 2 * len(server.users), after
    assert after[2][2] <= after[1][2] + (2 << 20), after
    assert not complaints(server)


def test_many_first_requests_start_one_process(serve):
    server = serve(1, "threads=50 queue-limit=100")
    answers = run_together(50, lambda _: visit(server, server.users[0]))
    assert {answer.status for answer in answers} == {200}
    assert {int(answer.text.split()[2]) for answer in answers} == set(workers(server)) and len(workers(server)) == 1
    wait_until(lambda: groups(server)[server.users[0].pw_name]["requests"]["2xx"] == 50, "all of them to be counted")
    assert not complaints(server)


def test_a_supervisor_dies_while_groups_start(serve):
    server = serve(40, "start-rate=1000")
    early, late = server.users[:15], server.users[15:]
    before = visit_all(server, early)
    asking = threading.Thread(target=lambda: server.__setattr__("late", visit_all(server, late)))
    asking.start()
    wait_until(lambda: len(workers(server)) > len(early) + 5, "some of them to start")
    killed = supervisor_of(server)
    os.kill(killed, signal.SIGKILL)
    asking.join()
    assert len(set(server.late)) == len(late)
    # Those who were there live on, under the same names, and with the same users.
    assert visit_all(server, early) == before and supervisor_of(server) != killed
    assert set(groups(server)) == {user.pw_name for user in server.users}
    again = visit_all(server)
    # The process that was being started at that moment may be unknown to the next supervisor, and then gives way to another.
    assert sum(one != other for one, other in zip(again, before + server.late)) <= 1
    again = visit_all(server)
    os.kill(again[0], signal.SIGKILL)
    wait_until(lambda: has_ended(again[0]), "its end")
    other, = visit_all(server, early[:1])
    assert other != again[0]
    server.expected_crashes = True


def test_the_group_that_is_idle_for_longest_makes_room(serve):
    server = serve(5, "max-groups=3", PATIENT)
    first, second, third, fourth, fifth = server.users
    pids = {}
    for user in (second, first, third):
        answer = visit(server, user)
        assert answer.status == 200
        pids[user] = int(answer.text)
    # Idleness is known to half a second.
    end = time.monotonic() + 1
    while time.monotonic() < end:
        assert {visit(server, user).status for user in (first, third)} == {200}
    wait_until(lambda: visit(server, fourth).status == 200, "room for the fourth")
    assert set(groups(server)) == {user.pw_name for user in (first, third, fourth)}
    wait_until(lambda: has_ended(pids[second]), "the end of the second one's process")
    assert not has_ended(pids[first]) and not has_ended(pids[third])
    server.log.wait_for("'site/%s' ends its idle processes: max-groups=" % second.pw_name)

    busy = (first, third, fourth)
    waiting = [threading.Thread(target=visit, args=(server, user, "?go")) for user in busy]
    for thread in waiting:
        thread.start()
    try:
        wait_until(lambda: [group["threads_busy"] for group in groups(server).values()] == [1, 1, 1], "all of them to be busy")
        refused = visit(server, fifth)
        assert refused.status == 503 and int(refused.header("Retry-After")) > 0
        server.log.wait_for("WSGI0726.*site/%s.*max-groups=3" % fifth.pw_name)
        assert set(groups(server)) == {user.pw_name for user in busy}
    finally:
        for user in busy:
            write_script(user, "", "go")
        for thread in waiting:
            thread.join()
    wait_until(lambda: visit(server, fifth).status == 200, "room for the fifth")


def started(pid):
    """Seconds of the monotonic clock."""
    return int(fields(pid)[19]) / os.sysconf("SC_CLK_TCK")


def test_no_more_start_than_the_rate_allows(serve):
    server = serve(16, "start-rate=5")
    began = time.clock_gettime(time.CLOCK_BOOTTIME)
    times = sorted(started(pid) for pid in visit_all(server))
    # Five at once, and then five a second; the kernel counts in hundredths.
    for count, moment in enumerate(times, 1):
        assert count <= 5 + 5 * (moment - began + 0.02) + 0.01, times
    assert not complaints(server)


def test_a_graceful_restart_under_load_loses_nothing(serve):
    server = serve(10, "start-rate=100 queue-limit=100 processes=0-2")
    with Swarm(server.port, 12, "/any/%d", rate=150) as swarm:
        wait_until(lambda: swarm.statuses[200] > 100, "an even load")
        for _ in range(2):
            server.graceful()
        wait_until(lambda: swarm.statuses[200] > 500, "answers after the restarts")
    assert swarm.lost == 0, (swarm.statuses, swarm.failures, swarm.wrong)
    assert not complaints(server)


# Ends its process before it can answer.
CRASH = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"
# Forks until it is kept from it, 300 times at most; the children end with the request.
BOMB = """import os, signal
def application(environ, start_response):
    children = []
    try:
        for _ in range(300):
            child = os.fork()
            if child == 0:
                signal.pause()
                os._exit(0)
            children.append(child)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
    start_response('200 OK', [])
    return [b'no limit']
"""
# Takes 800 MB if it can.
HOG = """def application(environ, start_response):
    held = [b'x' * (4 << 20) for _ in range(200)]
    start_response('200 OK', [])
    return [b'no limit']
"""


@pytest.mark.unsanitized("memory-limit is left out")
def test_what_one_tenant_does_is_its_own_trouble(serve):
    server = serve(13, "start-rate=100 queue-limit=100 connect-timeout=2 process-limit=40 memory-limit=268435456")
    server.expected_crashes = True
    hostile = dict(zip(server.users[10:], (CRASH, BOMB, HOG)))
    for user, script in hostile.items():
        write_script(user, script)
    crash, bomb, hog = (user.pw_name for user in hostile)
    visit_all(server, server.users[:10])
    over = threading.Event()
    answers = {user.pw_name: [] for user in hostile}

    def attack(index):
        user = list(hostile)[index % 3]
        while not over.is_set():
            answers[user.pw_name].append(visit(server, user).status)
    attacking = threading.Thread(target=run_together, args=(6, attack))
    with Swarm(server.port, 8, "/any/%d", rate=50) as neighbours:
        attacking.start()
        try:
            wait_until(lambda: all(len(some) >= 4 for some in answers.values()), "the attacks")
            before = neighbours.statuses[200]
            wait_until(lambda: neighbours.statuses[200] > before + 50, "the neighbours' answers")
            wait_until(lambda: groups(server)[crash]["state"] == "down", "the page to say that nothing runs")
            assert "site/" + crash in server.get("/wsgi-status").text
        finally:
            over.set()
            attacking.join()
    assert neighbours.lost == 0 and set(neighbours.statuses) == {200}, neighbours.statuses
    assert set(answers[bomb]) == {500} and set(answers[hog]) == {500}, answers
    assert set(answers[crash]) <= {502, 503}, answers
    server.log.wait_for("WSGI0451.*'site/%s'" % crash)
    server.log.wait_for("/%s/app.wsgi.*BlockingIOError" % bomb)
    server.log.wait_for("/%s/app.wsgi.*MemoryError" % hog)
    blamed = {name for line in complaints(server) for name in re.findall("site/(tenant[0-9]+)|/(tenant[0-9]+)/app", line)}
    assert {one or other for one, other in blamed} == {crash, bomb, hog}
