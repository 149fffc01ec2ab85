"""What groups made of a template cost, and what their tenants notice of each other: a part of `make bench-hosting`, root only."""
import os
import statistics
import threading
import time

from httpd_env import Httpd, run_together, wait_until
from many_users import add_users, write_script
from processes import about, every_pid, name_of
from swarm import Swarm

CONF = """WSGIDaemonTemplate site display-name=(wsgi:{port}:%{KEY}) uid-range=1000-99999999 OPTIONS
WSGIScriptAliasMatch ^/~([a-z0-9]+) {root}/home/$1/app.wsgi process-group=site application-group=%{GLOBAL}
WSGIScriptAliasMatch ^/any/[0-9]*([0-9])$ {root}/home/tenant$1/app.wsgi process-group=site application-group=%{GLOBAL}
<Location /wsgi-status>
SetHandler wsgi-status
Require all granted
</Location>
"""
NAMED = """import os
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'%d' % os.getuid()]
"""
WAITS = """import time
def application(environ, start_response):
    time.sleep(0.02)
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'hello']
"""
HOSTILE = {
    "a crash loop": "import os\nos.kill(os.getpid(), 9)\n",
    "a fork bomb, process-limit=50": """import os, signal
def application(environ, start_response):
    children = []
    try:
        while True:
            child = os.fork()
            if child == 0:
                signal.pause()
                os._exit(0)
            children.append(child)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
""",
    "a memory hog, memory-limit=256M": """def application(environ, start_response):
    held = []
    while True:
        held.append(b'x' * (4 << 20))
""",
}


def serve(users, options, script=NAMED, threads=64):
    server = Httpd(CONF.replace("OPTIONS", options), name="tenants", processes=4, threads=threads, log_level="error")
    server.users = add_users(server, users)
    server.expected_crashes = True
    for user in server.users:
        write_script(user, script)
    return server


def workers(server):
    return [pid for pid in every_pid() if about(pid, "cmdline").startswith("(wsgi:%d:" % server.port)]


def figures(server):
    """Descriptors of the supervisor and of all children, and the megabytes (PSS) of both and the parent."""
    family = [server.pid] + server.children()
    files = {pid: len(os.listdir("/proc/%d/fd" % pid)) for pid in family}
    supervisor = sum(count for pid, count in files.items() if name_of(pid) == "wsgi-supervisor")
    lines = [line for pid in family for line in about(pid, "smaps_rollup").splitlines() if line.startswith("Pss:")]
    bytes = sum(int(line.split()[1]) << 10 for line in lines)
    return supervisor, sum(files.values()) - supervisor - files[server.pid], bytes / 1e6


def visit(server, user):
    began = time.monotonic()
    answer = server.get("/~" + user.pw_name)
    return answer.status == 200 and answer.text == str(user.pw_uid), time.monotonic() - began


def visit_all(count, together=50, rounds=3):
    """All tenants once, some at a time; then nobody, until all groups have been forgotten."""
    print("\n%d tenants of a template, each visited once, %d at a time (idle-timeout=2, start-rate=1000)" % (count, together))
    print("%-6s %10s %8s %9s %9s %10s %9s   %s" % (
        "round", "own uid", "took", "p50", "p99", "processes", "left", "descriptors: supervisor, children   memory"))
    row = "%16d, %8d %15.1f MB"
    with serve(count, "start-rate=1000 idle-timeout=2") as server:
        before = figures(server)
        print("%-67s   " % "before" + row % before)
        for number in range(1, rounds + 1):
            began, most, over = time.monotonic(), [0], threading.Event()

            def watch():
                while not over.wait(0.5):
                    most[0] = max(most[0], len(workers(server)))
            watching = threading.Thread(target=watch)
            watching.start()
            answers = run_together(
                together, lambda index: [visit(server, user) for user in server.users[index::together]], deadline=600)
            took = time.monotonic() - began
            over.set()
            watching.join()
            answers = [one for some in answers for one in some]
            times = sorted(seconds for _, seconds in answers)
            # Its page would show it as well, but to write that of so many groups takes memory itself.
            wait_until(lambda: figures(server)[0] <= before[0], "all groups to be forgotten", deadline=120)
            print("%-6d %10d %6.1f s %6.0f ms %6.0f ms %10d %9d   " % (
                number, sum(right for right, _ in answers), took, 1e3 * statistics.median(times),
                1e3 * times[int(len(times) * 0.99)], most[0], len(workers(server))) + row % figures(server), flush=True)


def swell(clients=200):
    """One client, then many, then one, then none."""
    # One group has no more than a share of httpd's threads.
    with serve(1, "processes=0-4 threads=5 idle-timeout=3 queue-limit=400", WAITS, threads=150) as server:
        path = "/~" + server.users[0].pw_name
        seen, counts, over = set(), [], threading.Event()

        def watch():
            while not over.wait(0.02):
                now = workers(server)
                seen.update(now)
                counts.append((time.monotonic(), len(now)))
        watching = threading.Thread(target=watch)
        watching.start()
        with Swarm(server.port, 1, path) as one:
            wait_until(lambda: one.statuses[200] > 20, "one client's answers")
            began = time.monotonic()
            with Swarm(server.port, clients, path) as many:
                wait_until(lambda: counts[-1][1] == 4, "four processes", deadline=60)
                full = time.monotonic() - began
                wait_until(lambda: time.monotonic() > began + 8, "the load's end")
            ended = time.monotonic()
            wait_until(lambda: counts[-1][1] == 1, "one process", deadline=60)
            single = time.monotonic() - ended
        ended = time.monotonic()
        wait_until(lambda: counts[-1][1] == 0, "no process", deadline=60)
        none = time.monotonic() - ended
        over.set()
        watching.join()
    print("\n1, %d, 1 and no clients of a group whose requests take 20 ms (processes=0-4 threads=5 idle-timeout=3)" % clients)
    print("4 processes after %.1f s, 1 after another %.1f s, none after %.1f s; %d processes were started; %d answers, %d failed"
          % (full, single, none, len(seen), sum((one.statuses + many.statuses).values()), one.lost + many.lost), flush=True)


def disturb(seconds=8):
    """What neighbours notice of a tenant that misbehaves."""
    print("\nTen tenants asked 100 times a second, and beside them one that two clients ask without a pause")
    print("%-34s %9s %9s %9s  %s" % ("beside them", "p50", "p99", "answered", "failed"))
    limits = "process-limit=50 memory-limit=268435456"
    with serve(10 + len(HOSTILE), "start-rate=100 connect-timeout=2 " + limits) as server:
        neighbours, others = server.users[:10], server.users[10:]
        for user, script in zip(others, HOSTILE.values()):
            write_script(user, script)
        assert all(right for right, _ in run_together(10, lambda index: visit(server, neighbours[index])))
        for name, user in [("nobody", None)] + list(zip(HOSTILE, others)) + [("nobody", None)]:
            over = threading.Event()

            def attack(_):
                while not over.is_set():
                    server.get("/~" + user.pw_name)
            attacking = threading.Thread(target=run_together, args=(2, attack) if user else (1, bool))
            attacking.start()
            with Swarm(server.port, 10, "/any/%d", rate=100) as swarm:
                over.wait(seconds)
                over.set()
            attacking.join()
            print("%-34s %6.1f ms %6.1f ms %9d  %d" % (
                name, 1e3 * swarm.quantile(0.5), 1e3 * swarm.quantile(0.99), swarm.statuses[200], swarm.lost), flush=True)


def measure_tenants(count):
    if os.getuid() != 0:
        return print("\nTemplates are not measured: that takes root.")
    visit_all(count)
    swell()
    disturb()
