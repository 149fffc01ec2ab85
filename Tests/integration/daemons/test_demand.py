"""`processes=MIN-MAX`: processes start for requests, more of them under load, and end when there is nothing to do."""
import contextlib
import json
import os
import resource
import signal
import threading
import time

import pytest

from httpd_env import DEADLINE, Httpd, run_together, wait_until
from processes import called, fields, has_ended, name_of, stop_process, supervisors

SCRIPT = """import os, time
def application(environ, start_response):
    query = environ['QUERY_STRING']
    if query.startswith('/'):
        open(query + '.began', 'w').close()
        while not os.path.exists(query):
            time.sleep(0.01)
    elif query:
        time.sleep(float(query))
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'%d' % os.getpid()]
"""
STATUS = "<Location /wsgi-status>\nSetHandler wsgi-status\nRequire all granted\n</Location>\n"


def workers(server):
    return called("(wsgi:%d)" % server.port)


@pytest.fixture
def serve():
    made = []

    def start(options, others=""):
        server = Httpd("WSGIDaemonProcess site %s display-name=(wsgi:{port})\n"
                       "WSGIScriptAlias /site {root}/site.py process-group=site application-group=%%{GLOBAL}\n%s"
                       % (options, STATUS + others), name="demand")
        made.append(server)
        with open(os.path.join(server.root, "site.py"), "w") as script:
            script.write(SCRIPT)
        server.__enter__()
        return server
    yield start
    for server in made:
        server.__exit__(None, None, None)


@contextlib.contextmanager
def running(server):
    """A request runs during the block, and its process does not end for want of work; a list that its answer is in afterwards."""
    gate, answers = server.unused_path("gate"), []
    asking = threading.Thread(target=lambda: answers.append(server.get("/site?" + gate)))
    asking.start()
    try:
        wait_until(lambda: os.path.exists(gate + ".began"), "the request to run")
        yield answers
    finally:
        open(gate, "w").close()
        asking.join()
    assert answers[0].status == 200


def load(server):
    """Has more requests run than one process can, until there are several."""
    def ask(_):
        while True:
            assert server.get("/site?0.1").status == 200
            if len(workers(server)) > 1:
                return
    assert not any(run_together(12, ask))


def group(server):
    return next(group for group in json.loads(server.get("/wsgi-status?json").text)["groups"] if group["name"] == "site")


def test_a_group_sleeps_until_a_request_comes_and_again_when_none_does(serve):
    server = serve("processes=0-1 idle-timeout=1")
    wait_until(lambda: group(server)["state"] == "sleeping", "the group to sleep")
    assert not workers(server)
    with running(server) as answers:
        alone, = workers(server)
    first, = answers
    assert int(first.text) == alone
    wait_until(lambda: not workers(server), "the end of the idle process")
    server.log.wait_for(r"process %s of process group 'site' .*idle" % first.text)
    wait_until(lambda: group(server)["state"] == "sleeping", "the group to sleep again")
    second = server.get("/site")
    assert second.status == 200 and second.text != first.text
    assert not server.log.lines(r":(warn|error|crit|alert|emerg)\]")


def test_many_first_requests_start_one_process(serve):
    server = serve("processes=0-1 threads=50")
    answers = run_together(50, lambda _: server.get("/site"))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert len(workers(server)) == 1 and not server.log.lines(r"process \d+ of process group 'site' \w+ ")


def test_load_brings_processes_and_its_end_takes_them_away(serve):
    server = serve("processes=0-4 threads=2 idle-timeout=2")
    over, failed = threading.Event(), []

    def ask(_):
        while not over.is_set():
            answer = server.get("/site?0.05")
            if answer.status != 200:
                failed.append(answer)
    asking = threading.Thread(target=run_together, args=(30, ask))
    asking.start()
    try:
        wait_until(lambda: len(workers(server)) == 4, "all processes")
    finally:
        over.set()
        asking.join()
    assert not failed
    wait_until(lambda: not workers(server), "the end of all processes")
    wait_until(lambda: group(server)["state"] == "sleeping", "the group to sleep")


def test_a_trickle_of_requests_keeps_one_process(serve):
    server = serve("processes=0-4 threads=1 idle-timeout=2")
    load(server)

    def ask_alone():
        assert server.get("/site").status == 200
        # Its process may have it for a moment yet, and another one would be asked.
        wait_until(lambda: not group(server)["threads_busy"], "the end of the request")

    def alone():
        ask_alone()
        return len(workers(server)) == 1
    wait_until(alone, "one process left")
    survivor = workers(server)
    began = time.monotonic()
    while time.monotonic() - began < 4:
        ask_alone()
    assert workers(server) == survivor


def test_the_fewest_stay(serve):
    server = serve("processes=1-3 threads=1 idle-timeout=1")
    wait_until(lambda: len(workers(server)) == 1, "the first process")
    first = workers(server)
    load(server)
    wait_until(lambda: len(workers(server)) == 1, "the end of those that are too many")
    wait_until(lambda: group(server)["state"] == "serving", "the last one to be all that there is")
    assert first and server.get("/site").status == 200


def test_no_request_is_lost_to_the_end_of_an_idle_process(serve):
    server = serve("processes=0-2 threads=1 idle-timeout=50ms")
    pids, last, end = set(), None, time.monotonic() + 6
    pause = 0.03
    # A busy machine starts fewer.
    while time.monotonic() < end or len(pids) <= 3 and time.monotonic() < end + DEADLINE:
        answer = server.get("/site")
        assert answer.status == 200
        pids.add(answer.text)
        # About as long as it takes until the process ends, which is found out.
        pause = pause + 0.003 if answer.text == last else max(pause - 0.05, 0.03)
        last = answer.text
        threading.Event().wait(pause)
    assert len(pids) > 3, "processes have ended meanwhile"


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def test_descriptors_of_a_group_that_is_not_used_are_given_back(serve):
    server = serve("processes=0-1 threads=1 idle-timeout=20ms")
    supervisor, = supervisors(server.pid)
    before = descriptors(supervisor)
    with running(server):
        assert descriptors(supervisor) > before
    wait_until(lambda: descriptors(supervisor) == before, "the descriptors to be given back")
    # The child finds its own closed, and asks for others; some requests come while they are being given back.
    pause, end = 0.15, time.monotonic() + 5
    while time.monotonic() < end:
        assert server.get("/site").status == 200
        threading.Event().wait(pause)
        pause = pause + 0.007 if pause < 0.3 else 0.15
    wait_until(lambda: descriptors(supervisor) == before, "the descriptors to be given back again")


def test_a_child_holds_no_more_than_a_number_of_queues(serve):
    others = "".join("WSGIDaemonProcess g%d processes=0-1 threads=1 idle-timeout=1\n"
                     "WSGIScriptAlias /g%d {root}/site.py process-group=g%d application-group=%%{GLOBAL}\n" % (i, i, i)
                     for i in range(270))
    server = serve("processes=0-1 idle-timeout=1", others)
    child, = [pid for pid in server.children() if name_of(pid) != "wsgi-supervisor"]
    before = most = descriptors(child)
    for start in range(0, 270, 9):
        answers = run_together(9, lambda index: server.get("/g%d" % (start + index)))
        assert {answer.status for answer in answers} == {200}
        most = max(most, descriptors(child))
    # Two more for the channel that each of its threads keeps.
    assert most <= before + 256 + 2 * server.threads + 10
    assert server.get("/g0").status == 200
    if most <= before + 200:
        pytest.skip("queues that are not used were given back before the child had so many: %d" % (most - before))


def test_every_one_of_many_children_gets_the_queue():
    """More of them than may ask at a time."""
    script = "def application(environ, start_response):\n start_response('200 OK', [])\n return [b'x']\n"
    server = Httpd("WSGIDaemonProcess site processes=0-1 threads=20\n"
                   "WSGIScriptAlias /site {root}/site.py process-group=site application-group=%{GLOBAL}\n",
                   name="children", processes=32, threads=1)
    with open(os.path.join(server.root, "site.py"), "w") as out:
        out.write(script)
    with server:
        # An eighth of httpd's threads is kept for others.
        answers = run_together(24, lambda _: [server.get("/site").status for _ in range(4)])
        assert answers == [[200] * 4] * 24, answers


def test_a_queue_that_cannot_be_made_is_named_and_made_later(serve):
    server = serve("processes=0-1")
    supervisor, = supervisors(server.pid)
    limits = resource.prlimit(supervisor, resource.RLIMIT_NOFILE)
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (10, limits[1]))
    assert server.get("/site").status == 500
    server.log.wait_for("WSGI0720: Cannot create the queue of process group 'site': Too many open files")
    server.log.wait_for("WSGI0115: .*process group 'site': Too many open files")
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, limits)
    assert server.get("/site").status == 200


def test_the_status_page_waits_for_no_supervisor(serve):
    others = "".join("WSGIDaemonProcess g%d processes=0-1 threads=1\n"
                     "WSGIScriptAlias /g%d {root}/site.py process-group=g%d application-group=%%{GLOBAL}\n" % (i, i, i)
                     for i in range(12))
    server = serve("processes=0-1", others)
    answers = run_together(12, lambda index: server.get("/g%d" % index))
    assert {answer.status for answer in answers} == {200}
    supervisor, = supervisors(server.pid)
    stop_process(supervisor)
    try:
        assert len([one for one in json.loads(server.get("/wsgi-status?json").text)["groups"] if one["processes"]]) == 12
    finally:
        os.kill(supervisor, signal.SIGCONT)


def processor_ticks(pid):
    return sum(int(ticks) for ticks in fields(pid)[11:13])


def test_a_group_that_cannot_start_costs_the_supervisor_nothing(serve):
    server = serve("processes=0-1 connect-timeout=3 python-home={root}/none")
    server.expected_crashes = True
    supervisor, = supervisors(server.pid)
    before = processor_ticks(supervisor)
    assert server.get("/site").status == 503
    server.log.wait_for("The next attempt is in")
    # Three seconds of waiting, some of them for the next attempt: a second of work is more than a hundred ticks too many.
    assert processor_ticks(supervisor) - before < 100


def test_another_supervisor_goes_on(serve):
    server = serve("processes=0-2 idle-timeout=4")
    first = server.get("/site").text
    # Those that follow on others that did not live long wait a moment before they begin.
    for _ in range(3):
        supervisor, = supervisors(server.pid)
        os.kill(supervisor, signal.SIGKILL)
        wait_until(lambda: supervisors(server.pid) not in ([], [supervisor]), "another supervisor")
        assert server.get("/site").text == first
    server.log.wait_for("WSGI0358.*waits for 2000 ms")
    wait_until(lambda: has_ended(int(first)), "its idle end")
    assert server.get("/site").status == 200
    server.expected_crashes = True


def test_a_restart_finds_a_sleeping_group(serve):
    server = serve("processes=0-1 idle-timeout=1")
    assert server.get("/site").status == 200
    server.graceful()
    assert server.get("/site").status == 200
    wait_until(lambda: not workers(server), "sleep")
    server.graceful()
    assert server.get("/site").status == 200
