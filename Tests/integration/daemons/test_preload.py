"""`preload=On`: a process imports a group's scripts once, and its workers are forks of that process."""
import json
import os
import shutil
import signal
import subprocess
import sysconfig
import threading

import pytest

from httpd_env import Httpd, run_together, wait_until
from processes import about, called, children, fields, has_ended, name_of, named, parent_of, supervisors

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="processes of other users need root")

SCRIPT = """import json, os, random, sys, threading
import mod_wsgi
IMPORTED = os.getpid()
HOOKS = []
os.register_at_fork(before=lambda: HOOKS.append('before'), after_in_child=lambda: HOOKS.append('child'),
                    after_in_parent=lambda: HOOKS.append('parent'))
VERSION = 1
def application(environ, start_response):
    way = environ['QUERY_STRING']
    if way == 'crash':
        os.abort()
    if way.startswith('sleep='):
        import time
        time.sleep(float(way[6:]))
    if way == 'fork':
        child = os.fork()
        if child == 0:
            return [b'from the child']
        os.waitpid(child, 0)
    answer = json.dumps({
        'pid': os.getpid(), 'imported': IMPORTED, 'hooks': HOOKS, 'random': random.random(), 'version': VERSION,
        'uid': os.getresuid(), 'parent': os.getppid(), 'session': os.getsid(0), 'ident': threading.main_thread().ident,
        'threads': [thread.name for thread in threading.enumerate()], 'group': mod_wsgi.process_group})
    start_response('200 OK', [('Content-Type', 'application/json')])
    return [answer.encode()]
"""
STATUS = "<Location /wsgi-status>\nSetHandler wsgi-status\nRequire all granted\n</Location>\n"


def processes(server, name):
    return [pid for pid in called("(wsgi:%d)" % server.port) if name_of(pid) == name and not has_ended(pid)]


def workers(server):
    return processes(server, "wsgi-worker")


def preloaders(server):
    return processes(server, "wsgi-preloader")


def group(server):
    return next(group for group in json.loads(server.get("/wsgi-status?json").text)["groups"] if group["name"] == "site")


@pytest.fixture
def serve():
    made = []

    def start(options="processes=2 threads=2", script=SCRIPT, others="", other_script=None, **more):
        server = Httpd("WSGIDaemonProcess site preload=On user=nobody group=nogroup %s display-name=(wsgi:{port})\n"
                       "WSGIScriptAlias /site {root}/site.py process-group=site application-group=%%{GLOBAL}\n%s"
                       % (options, STATUS + others), name="preload", **more)
        made.append(server)
        write(server, script)
        if other_script:  # its group loads it as soon as it starts
            write(server, other_script, "other.py")
        server.__enter__()
        return server
    yield start
    for server in made:
        server.__exit__(None, None, None)


def write(server, script, name="site.py"):
    """Replaces a script, as an editor does, with another time."""
    path = os.path.join(server.root, name)
    with open(path + ".new", "w") as file:
        file.write(script)
    before = os.stat(path).st_mtime if os.path.exists(path) else 0
    if before:
        os.utime(path + ".new", (before + 10, before + 10))
    os.rename(path + ".new", path)


def ask(server, query=""):
    answer = server.get("/site?" + query)
    assert answer.status == 200, (answer.status, answer.text)
    return json.loads(answer.text)


def ask_all(server, count):
    """An answer of each of so many processes."""
    found = {}

    def complete():
        for answer in run_together(count * 2, lambda _: ask(server, "sleep=0.1")):
            found[answer["pid"]] = answer
        return len(found) >= count
    wait_until(complete, "an answer of each process")
    return found


def test_workers_are_forks_of_a_process_that_has_imported_the_script(serve):
    server = serve()
    answers = ask_all(server, 2)
    assert sorted(answers) == workers(server)
    preloader, = preloaders(server)
    supervisor, = supervisors(server.pid)
    assert parent_of(preloader) == supervisor
    for pid, answer in answers.items():
        assert answer["imported"] == preloader and answer["parent"] == supervisor and answer["session"] == pid
        # Once in the process that was forked, which had not been forked before or had told its earlier children.
        assert answer["hooks"][-2:] == ["before", "child"] and answer["hooks"].count("child") == 1
        assert len(set(answer["uid"])) == 1 and answer["uid"][0] != 0 and answer["group"] == "site"
        assert about(pid, "cmdline").rstrip("\0") == "(wsgi:%d)" % server.port
    assert len({answer["random"] for answer in answers.values()}) == 2
    assert about(preloader, "cmdline").split("\0")[-2] == "(preloader)"
    # It is no process that serves: the status page shows it apart.
    shown = group(server)
    assert len(shown["processes"]) == 2 and preloader not in {process["pid"] for process in shown["processes"]}
    assert [(one["pid"], one["state"]) for one in shown["preloaders"]] == [(preloader, "loaded")]
    assert shown["preloaders"][0]["resident_bytes"] > 1 << 20
    metrics = server.get("/wsgi-status?openmetrics").text
    assert 'wsgi_preloaders{group="site",state="loaded"} 1\n' in metrics
    assert 'wsgi_preloader_start_time_seconds{group="site",pid="%d"} ' % preloader in metrics
    assert "<em>Preloader:</em> process %d, loaded" % preloader in server.get("/wsgi-status").text
    assert not server.log.lines(r":(warn|error|crit|alert|emerg)\]")


def test_a_child_of_a_worker_is_still_no_worker(serve):
    server = serve("processes=1")
    answer = ask(server, "fork")
    assert answer["pid"] in workers(server)
    assert answer["hooks"][-2:] == ["before", "parent"]
    server.log.wait_for("WSGI0600")


def test_further_processes_are_forks_and_the_preloader_ends_after_the_last(serve):
    server = serve("processes=0-3 threads=1 idle-timeout=1")
    wait_until(lambda: group(server)["state"] == "sleeping", "the group to sleep")
    assert not preloaders(server) and not workers(server)
    answers = ask_all(server, 3)
    assert len({answer["imported"] for answer in answers.values()}) == 1
    wait_until(lambda: not workers(server) and not preloaders(server), "the end of all processes")
    again = ask(server)
    assert again["imported"] not in {answer["imported"] for answer in answers.values()}


def test_a_process_that_crashes_is_replaced_by_a_fork(serve):
    server = serve("processes=1")
    first = ask(server)
    assert server.get("/site?crash").status >= 500
    second = ask(server)
    assert second["pid"] != first["pid"] and second["imported"] == first["imported"]
    # How it ended is known only to its parent, the supervisor, whom it may not have told that it is ready.
    server.log.wait_for(r"WSGI045[12]: The process %d .*SIGABRT" % first["pid"])


def test_a_preloader_that_is_killed_is_replaced_and_workers_go_on(serve):
    server = serve("processes=1")
    first = ask(server)
    os.kill(first["imported"], signal.SIGKILL)
    server.log.wait_for("WSGI0713")
    wait_until(lambda: preloaders(server) not in ([], [first["imported"]]), "another preloader")
    assert ask(server)["pid"] == first["pid"]
    os.kill(first["pid"], signal.SIGKILL)
    wait_until(lambda: workers(server) not in ([], [first["pid"]]), "another worker")
    assert ask(server)["imported"] in preloaders(server)


@pytest.mark.parametrize("options", ["", "reload=rolling"])
def test_after_a_touch_the_new_code_is_preloaded_first(serve, options):
    server = serve("processes=2 threads=4 " + options)
    old = ask_all(server, 2)
    write(server, SCRIPT.replace("VERSION = 1", "VERSION = 2"))
    # The request that finds the change is answered by new code.
    new = ask(server)
    assert new["version"] == 2 and new["pid"] not in old and new["imported"] not in {one["imported"] for one in old.values()}
    answers = ask_all(server, 2)
    assert {answer["version"] for answer in answers.values()} == {2}
    assert {answer["imported"] for answer in answers.values()} == {new["imported"]}
    wait_until(lambda: preloaders(server) == [new["imported"]], "the end of the old preloader")
    wait_until(lambda: not set(old) & set(workers(server)), "the end of the old workers")


def test_the_old_code_stays_where_the_new_one_does_not_load(serve):
    server = serve("processes=2 threads=1")
    old = ask_all(server, 2)
    preloader = preloaders(server)
    write(server, SCRIPT.replace("VERSION = 1", "raise ValueError('new')"))
    assert ask(server)["version"] == 1
    server.log.wait_for("WSGI0460: Reload failed: .*site.py' does not load")
    wait_until(lambda: preloaders(server) == preloader, "the end of the other preloader")
    assert ask(server)["pid"] in old
    # A further process has the old code too, and does not try the new one again.
    os.kill(min(old), signal.SIGKILL)
    wait_until(lambda: min(old) not in workers(server) and len(workers(server)) == 2, "a replacement")
    assert {answer["version"] for answer in ask_all(server, 2).values()} == {1}
    assert len(server.log.lines("WSGI0460")) == 1
    write(server, SCRIPT.replace("VERSION = 1", "VERSION = 3"))
    assert ask(server)["version"] == 3


def test_nothing_is_lost_while_code_changes_under_load(serve):
    server = serve("processes=2 threads=4")
    ask(server)
    ended = threading.Event()
    seen, failed = set(), []

    def load(_):
        while not ended.is_set():
            answer = server.get("/site?sleep=0.01")
            if answer.status == 200:
                seen.add(json.loads(answer.text)["version"])
            else:
                failed.append(answer.status)
    loading = threading.Thread(target=run_together, args=(8, load))
    loading.start()
    for version in (2, 3, 4):
        write(server, SCRIPT.replace("VERSION = 1", "VERSION = %d" % version))
        wait_until(lambda: version in seen, "answers of version %d" % version)
    ended.set()
    loading.join()
    assert not failed and ask(server)["version"] == 4


def test_a_script_that_does_not_load_at_the_start_is_tried_again_by_ordinary_processes(serve):
    server = serve("processes=1", script="raise ValueError('at first')")
    server.log.wait_for("WSGI0716")
    assert server.get("/site").status == 500
    write(server, SCRIPT)
    wait_until(lambda: server.get("/site").status == 200, "the script that loads")
    wait_until(lambda: preloaders(server), "a preloader again")


THREADS = SCRIPT + """
stop = threading.Event()
threading.Thread(target=stop.wait, name='poller of prices', daemon=True).start()
"""


def test_threads_at_the_fork_are_named_and_workers_start_as_elsewhere(serve):
    server = serve("processes=2", script=THREADS)
    answers = ask_all(server, 2)
    assert all(answer["imported"] == pid for pid, answer in answers.items())
    assert not preloaders(server)
    warning, = server.log.wait_for("WSGI0711")
    assert "'poller of prices'" in warning and "register_at_fork" in warning
    # Once scripts change it is tried anew.
    write(server, SCRIPT.replace("VERSION = 1", "VERSION = 2"))
    assert ask(server)["version"] == 2
    wait_until(lambda: preloaders(server), "a preloader")
    assert ask(server)["imported"] in preloaders(server)


def test_a_thread_that_a_hook_starts_is_there_in_each_worker(serve):
    server = serve("processes=2", script=SCRIPT + """
stop = threading.Event()
os.register_at_fork(after_in_child=lambda: threading.Thread(target=stop.wait, name='late', daemon=True).start())
""")
    for answer in ask_all(server, 2).values():
        assert answer["imported"] != answer["pid"] and "late" in answer["threads"]


def test_events_and_seeds_are_those_of_each_process(serve):
    """What is registered while scripts are imported is for the processes that serve."""
    notes = "/tmp/wsgi-preload-events-%d" % os.getpid()
    os.mkdir(notes)
    os.chmod(notes, 0o777)
    server = serve("processes=2 threads=1", script=SCRIPT + """
import atexit, uuid, tempfile
random.seed(1)
STARTED = []
def note(name, **payload):
    with open(%r + '/%%s-%%d' %% (name, os.getpid()), 'a') as file:
        file.write('x')
mod_wsgi.subscribe_events(note)
mod_wsgi.subscribe_shutdown(lambda name, **payload: note('shutdown'))
atexit.register(note, 'atexit')
def seeds(environ, start_response):
    start_response('200 OK', [('Content-Type', 'application/json')])
    return [json.dumps([os.getpid(), random.SystemRandom().random(), str(uuid.uuid4()), tempfile.mktemp(),
                        os.getpid() in STARTED]).encode()]
os.register_at_fork(after_in_child=lambda: STARTED.append(os.getpid()))
inner = application
def application(environ, start_response):
    return (seeds if environ['QUERY_STRING'] == 'seeds' else inner)(environ, start_response)
""" % notes)
    try:
        pids = set(ask_all(server, 2))
        preloader, = preloaders(server)
        found = {}

        def complete():
            found.update((answer[0], answer) for answer in run_together(4, lambda _: ask(server, "seeds")))
            return set(found) == pids
        wait_until(complete, "an answer of both")
        one, other = found.values()
        assert one[4] and other[4] and not set(one[1:4]) & set(other[1:4])
        server.stop()
        seen = set(os.listdir(notes))
        for pid in pids:
            assert {"%s-%d" % (name, pid) for name in ("request_started", "request_finished", "process_stopping", "shutdown",
                                                     "atexit")} <= seen
            for name in ("process_stopping", "shutdown", "atexit"):
                with open("%s/%s-%d" % (notes, name, pid)) as file:
                    assert file.read() == "x"
        assert not [name for name in seen if name.endswith("-%d" % preloader)]
    finally:
        shutil.rmtree(notes)


def test_scripts_that_take_too_long_end_the_preloader(serve):
    server = serve("processes=1 startup-timeout=1", script="import time\ntime.sleep(600)\n")
    server.log.wait_for(r"WSGI0452: .*startup-timeout \(1 s\)")
    server.log.wait_for(r"WSGI0452: .*startup-timeout \(1 s\)", count=2)
    write(server, SCRIPT)
    wait_until(lambda: preloaders(server) and workers(server), "processes")
    assert ask(server)["imported"] in preloaders(server)


def test_workers_outlive_their_supervisor_and_preloaders_are_replaced(serve):
    server = serve("processes=2")
    before = ask_all(server, 2)
    preloader, = preloaders(server)
    supervisor, = supervisors(server.pid)
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: has_ended(preloader), "the end of the preloader")
    wait_until(lambda: len(preloaders(server)) == 1, "another preloader")
    assert sorted(before) == workers(server)
    assert sorted(ask_all(server, 2)) == sorted(before)
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    new = wait_until(lambda: next((pid for pid in workers(server) if pid not in before), None), "a replacement")
    assert ask_all(server, 2)[new]["imported"] in preloaders(server)


def test_nothing_is_lost_when_supervisor_and_preloader_are_killed_under_load(serve):
    server = serve("processes=1-3 threads=2 idle-timeout=1 maximum-requests=50")
    ended, failed, imported = threading.Event(), [], set()

    def load(_):
        while not ended.is_set():
            answer = server.get("/site?sleep=0.02")
            if answer.status == 200:
                imported.add(json.loads(answer.text)["imported"])
            else:
                failed.append(answer.status)
    loading = threading.Thread(target=run_together, args=(8, load))
    loading.start()
    try:
        for _ in range(2):
            wait_until(lambda: preloaders(server), "a preloader")
            before = len(imported)
            os.kill(preloaders(server)[0], signal.SIGKILL)
            wait_until(lambda: len(imported) > before, "answers of forks of another preloader")
            supervisor, = wait_until(lambda: supervisors(server.pid), "a supervisor")
            before = len(imported)
            os.kill(supervisor, signal.SIGKILL)
            wait_until(lambda: len(imported) > before, "answers of forks of the next supervisor's preloader")
    finally:
        ended.set()
        loading.join()
    assert not failed


def test_a_restart_of_httpd_replaces_all_and_a_stop_ends_all(serve):
    server = serve("processes=2")
    old = set(ask_all(server, 2)) | set(preloaders(server))
    server.graceful()
    wait_until(lambda: all(has_ended(pid) for pid in old), "the end of the old processes")
    assert ask(server)["imported"] in preloaders(server)
    left = workers(server) + preloaders(server)
    server.stop()
    wait_until(lambda: all(has_ended(pid) for pid in left), "the end of all")


def test_scripts_of_other_interpreters_and_recycling_work_as_elsewhere(serve):
    server = serve("processes=1 maximum-requests=3", others=(
        "WSGIImportScript {root}/other.py process-group=site application-group=other\n"
        "WSGIScriptAlias /other {root}/other.py process-group=site application-group=other\n"), other_script=SCRIPT)
    first = ask(server)
    other = json.loads(server.get("/other").text)
    assert other["imported"] == other["pid"]
    seen = {first["pid"]}
    wait_until(lambda: seen.add(ask(server)["pid"]) or len(seen) > 2, "processes that are replaced")
    assert ask(server)["imported"] == first["imported"]


def test_threads_of_the_server_start_in_each_worker(serve):
    server = serve("processes=1 request-timeout=60", others="WSGISlowRequests 0.5\n")
    answer = ask(server, "sleep=1.5")
    assert answer["imported"] in preloaders(server)
    server.log.wait_for(r"WSGI0510: .*in application")
    os.kill(answer["pid"], signal.SIGQUIT)
    server.log.wait_for(r"WSGI0650: .*\(pid=%d\)" % answer["pid"])
    # What is meant for workers does not end a preloader.
    for number in (signal.SIGQUIT, signal.SIGUSR1, signal.SIGHUP, signal.SIGUSR2):
        os.kill(answer["imported"], number)
    os.kill(answer["pid"], signal.SIGUSR1)
    wait_until(lambda: ask(server)["pid"] != answer["pid"], "another worker")
    assert ask(server)["imported"] == answer["imported"]


# Takes an order's descriptors before the fork, and names a process of its choice as the one that it has forked.
LIAR = SCRIPT + """
import socket, struct, array
def lie():
    try:
        victim = int(open(%r).read())
    except (OSError, ValueError):
        return
    # All but those that a worker has at fixed numbers.
    for fd in [3, *range(9, 64)]:
        try:
            order = socket.socket(fileno=os.dup(fd))
            found = []
            for _ in range(4):
                _, ancillary, _, _ = order.recvmsg(1, socket.CMSG_SPACE(8), socket.MSG_DONTWAIT)
                found += array.array('i', ancillary[0][2])
        except OSError:
            continue
        # Reports are the fifth of them.
        os.write(found[4], struct.pack('=IIQ', %d, victim, 0))
        return
os.register_at_fork(before=lie)
"""


@pytest.mark.parametrize("victim", ["init", "supervisor", "relay", "worker of another user", "preloader itself", "nobody at all"])
def test_no_process_can_be_named_that_is_not_a_new_one_of_the_users(serve, victim):
    note = "/tmp/wsgi-preload-victim-%d" % os.getpid()
    # The place of `forked` among the kinds of control messages.
    server = serve("processes=1", script=LIAR % (note, forked_kind()), others=(
        "WSGIDaemonProcess other user=daemon group=daemon processes=1 display-name=(other:{port})\n"
        "WSGIScriptAlias /other {root}/other.py process-group=other application-group=%{GLOBAL}\n"), other_script=SCRIPT)
    first = ask(server)
    supervisor, = supervisors(server.pid)
    target = {
        "init": lambda: 1, "supervisor": lambda: supervisor, "relay": lambda: named(supervisor, "wsgi-relay")[0],
        "worker of another user": lambda: called("(other:%d)" % server.port)[0], "preloader itself": lambda: first["imported"],
        "nobody at all": lambda: 0}[victim]()
    try:
        with open(note, "w") as file:
            file.write("%d" % target)
        os.kill(first["pid"], signal.SIGKILL)
        server.log.wait_for(r"WSGI0717: .* process %d as its fork, which is not new" % target)
    finally:
        os.remove(note)
    # The group starts its processes as others do, and nobody else notices.
    answer = ask(server)
    assert answer["imported"] == answer["pid"]
    wait_until(lambda: not preloaders(server), "the preloader's end")
    assert server.get("/other").status == 200
    if victim not in ("preloader itself", "nobody at all"):
        assert not has_ended(target)


def forked_kind():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), *[".."] * 3, "Sources", "ProcessSupervision",
                        "ControlMessage+Packet.swift")
    with open(path) as source:
        kinds = source.read().partition("enum Kind: UInt32 {")[2].partition("}")[0]
    names = [name.split("=")[0].strip() for line in kinds.splitlines() if "case" in line
             for name in line.replace("case", "").split(",")]
    return names.index("forked") + 1


def test_a_preloader_that_does_not_fork_is_ended_and_holds_up_nobody(serve):
    server = serve("processes=1", script=SCRIPT + """
import signal
os.register_at_fork(before=lambda: os.kill(os.getpid(), signal.SIGSTOP))
""", others=("WSGIDaemonProcess other processes=1\n"
             "WSGIScriptAlias /other {root}/other.py process-group=other application-group=%{GLOBAL}\n"), other_script=SCRIPT)
    wait_until(lambda: preloaders(server) and fields(preloaders(server)[0])[0] == "T", "the preloader to stop")
    assert server.get("/other").status == 200
    server.log.wait_for("WSGI0714")
    answer = ask(server)
    assert answer["imported"] == answer["pid"]
    wait_until(lambda: not preloaders(server), "the end of the preloader")


def test_a_hook_that_ends_the_process_is_a_failure_to_start(serve):
    flag = "/tmp/wsgi-preload-flag-%d" % os.getpid()
    server = serve("processes=1", script=SCRIPT + """
os.register_at_fork(after_in_child=lambda: os.path.exists(%r) and os.abort())
""" % flag)
    first = ask(server)
    try:
        open(flag, "w").close()
        os.kill(first["pid"], signal.SIGKILL)
        server.log.wait_for(r"WSGI0452: The process \d+ of process group 'site' .* during startup", count=2)
    finally:
        os.remove(flag)
    answer = ask(server)
    assert answer["imported"] == first["imported"] and answer["pid"] != first["pid"]


def test_processes_that_applications_leave_behind_do_not_stay_as_zombies(serve):
    server = serve("processes=1", script=SCRIPT + """
def application(environ, start_response):
    for _ in range(200):
        child = os.fork()
        if child == 0:
            os.fork()
            os._exit(0)
        os.waitpid(child, 0)
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'done']
""")
    run_together(4, lambda _: [server.get("/site") for _ in range(3)])
    supervisor, = supervisors(server.pid)
    wait_until(lambda: not [pid for pid in children(supervisor) if has_ended(pid)], "the end of all zombies")
    assert server.get("/site").status == 200 and not server.log.lines("WSGI071")


def test_what_is_not_preloaded_is_warned_of(serve):
    server = Httpd("WSGIDaemonProcess one preload=On\nWSGIDaemonProcess two preload=On\n"
                   "WSGIScriptAlias /one {root}/one.py process-group=one\n"
                   "WSGIScriptAlias /two {root}/two.py process-group=two application-group=%{GLOBAL}\n", name="preload")
    try:
        text = server.check()[1]
        assert "WSGI0710" in text and "process-group=one" in text and "process-group=two" not in text
    finally:
        server.remove()


def test_a_process_that_cannot_be_forked_is_told_of_and_tried_again(serve):
    flag = "/tmp/wsgi-preload-full-%d" % os.getpid()
    server = serve("processes=1", script=SCRIPT + """
import resource
def allow():
    # Root's processes have no such limit: this one is its user's.
    number = 0 if os.path.exists(%r) else resource.getrlimit(resource.RLIMIT_NPROC)[1]
    resource.setrlimit(resource.RLIMIT_NPROC, (number, resource.getrlimit(resource.RLIMIT_NPROC)[1]))
os.register_at_fork(before=allow)
""" % flag)
    first = ask(server)
    try:
        open(flag, "w").close()
        os.kill(first["pid"], signal.SIGKILL)
        server.log.wait_for(r"WSGI0715: The preloader \(process %d\) of process group 'site' could not fork" % first["imported"])
    finally:
        os.remove(flag)
    answer = ask(server)
    assert answer["imported"] == first["imported"] and answer["pid"] != first["pid"]


def test_scripts_that_load_for_long_are_reported(serve):
    flag = "/tmp/wsgi-preload-slow-%d" % os.getpid()
    waits = "import os, time\nwhile not os.path.exists(%r):\n    time.sleep(0.05)\n" % flag
    server = serve("processes=1", script=waits + SCRIPT)
    try:
        server.log.wait_for(r"WSGI0719: The preloader \(process \d+\) of process group 'site' has been loading scripts for",
                            deadline=60)
        shown = group(server)["preloaders"]
        assert [(one["pid"], one["state"]) for one in shown] == [(preloaders(server)[0], "loading")]
        open(flag, "w").close()
        assert ask(server)["imported"] == shown[0]["pid"]
        assert len(server.log.lines("WSGI0719")) == 1
    finally:
        if os.path.exists(flag):
            os.remove(flag)


@pytest.mark.unsanitized("the runtime itself would get what the library makes of system calls")
def test_where_orphans_cannot_be_adopted_processes_start_as_elsewhere():
    compiler = shutil.which("gcc") or shutil.which("cc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler for what makes the call fail")
    server = Httpd("WSGIDaemonProcess site preload=On processes=2\n"
                   "WSGIScriptAlias /site {root}/site.py process-group=site application-group=%{GLOBAL}\n", name="preload")
    library = os.path.join(server.root, "refuse.so")
    source = os.path.join(server.root, "refuse.c")
    with open(source, "w") as out:
        # The header declares it with three dots.
        out.write("""#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#define prctl declared
#include <sys/prctl.h>
#undef prctl
int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d) {
  if (option == PR_SET_CHILD_SUBREAPER) return errno = EPERM, -1;
  int (*real)(int, ...) = (int (*)(int, ...))dlsym(RTLD_NEXT, "prctl");
  return real(option, a, b, c, d);
}
""")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    server.environment["LD_PRELOAD"] = library
    write(server, SCRIPT)
    with server:
        answers = ask_all(server, 2)
        assert all(answer["imported"] == pid for pid, answer in answers.items())
        warning, = server.log.lines("WSGI0718")
        assert "PR_SET_CHILD_SUBREAPER" in warning
        write(server, SCRIPT.replace("VERSION = 1", "VERSION = 2"))
        assert ask(server)["version"] == 2


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="the Python of these tests has a GIL")
def test_a_python_without_a_gil_is_not_forked(serve):
    server = serve("processes=1")
    answer = ask(server)
    assert answer["imported"] == answer["pid"]
    server.log.wait_for("WSGI0712")
