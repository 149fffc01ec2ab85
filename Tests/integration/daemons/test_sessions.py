"""`sticky-cookie=`, `sticky-header=`: a session stays with a process of its group, by slot, whatever becomes of the process."""
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import threading

import pytest

from httpd_env import REFERENCE, Httpd, Log, query_apxs, run_together, wait_until
from processes import called, has_ended, name_of, named, stop_process

pytestmark = pytest.mark.skipif(REFERENCE, reason="sticky sessions are new")

SCRIPT = """import json, os, threading, time
import mod_wsgi
VERSION = 1
COUNTS, LOCK, GATES = {}, threading.Lock(), {}
def application(environ, start_response):
    way, _, value = environ['QUERY_STRING'].replace('+', ' ').partition('=')
    if way == 'crash':
        os.abort()
    if way == 'count':
        with LOCK:
            COUNTS[value] = COUNTS.get(value, 0) + 1
    if way in ('hold', 'note'):
        # A file each time that it runs.
        with open('%s/%s-%d-%d' % (environ['test.runs'], value, os.getpid(), time.monotonic_ns()), 'w'):
            pass
    if way == 'hold':
        while not os.path.exists(environ['test.runs'] + '/release'):
            time.sleep(0.01)
    headers = [('Content-Type', 'application/json')]
    if way == 'header':
        name, _, text = value.partition(':')
        headers.append((name, text))
    body = json.dumps({
        'pid': os.getpid(), 'version': VERSION, 'cookie': environ.get('HTTP_COOKIE'), 'count': COUNTS.get(value),
        'all': COUNTS, 'keys': sorted(environ), 'group': mod_wsgi.process_group,
        'body': len(environ['wsgi.input'].read())}).encode()
    start_response(value if way == 'status' else '200 OK', headers)
    return [b''] if value.startswith('304') else [body]
"""
STATUS = "<Location /wsgi-status>\nSetHandler wsgi-status\nRequire all granted\n</Location>\n"
SITE = ("WSGIDaemonProcess site display-name=(wsgi:{port}) %s\nSetEnv test.runs {root}/runs\n"
        "WSGIScriptAlias /site {root}/site.py process-group=site application-group=%%{GLOBAL}\n" + STATUS)
STICKY = "processes=4 threads=3 sticky-cookie=route "


def write(server, script=SCRIPT, name="site.py"):
    """Replaces a script, as an editor does, with another time."""
    path = os.path.join(server.root, name)
    with open(path + ".new", "w") as file:
        file.write(script)
    before = os.stat(path).st_mtime if os.path.exists(path) else 0
    if before:
        os.utime(path + ".new", (before + 10, before + 10))
    os.rename(path + ".new", path)


@pytest.fixture
def serve():
    made = []

    def start(options=STICKY, others="", conf=SITE, starts=True, **more):
        more.setdefault("processes", 2)
        more.setdefault("threads", 40)
        server = Httpd(conf % options + others, name="sessions", **more)
        made.append(server)
        write(server)
        server.make_directory("runs", 0o777)
        if starts:
            server.__enter__()
            if conf is SITE:  # the supervisor notes a process when it has started it, and the first response may be faster
                wait_until(lambda: len(group(server)["processes"]) >= len(workers(server)), "all processes on the status page")
        return server
    yield start
    for server in made:
        if server.process:
            server.__exit__(None, None, None)
        else:
            server.remove()


class Session:
    """A browser with one cookie jar: by name, the last one that was set."""

    def __init__(self, server, path="/site", **cookies):
        self.server, self.path, self.cookies = server, path, cookies
        self.sets, self.pids = [], []

    def ask(self, query="", headers=(), method="GET", body=None):
        headers = list(headers)
        if self.cookies:
            headers.append(("Cookie", "; ".join("%s=%s" % pair for pair in self.cookies.items())))
        answer = self.server.request(method, self.path + ("?" + query if query else ""), headers, body)
        for text in answer.all("Set-Cookie"):
            name, _, rest = text.partition("=")
            self.cookies[name] = rest.partition(";")[0]
            self.sets.append(text)
        return answer

    def json(self, query="", **more):
        answer = self.ask(query, **more)
        assert answer.status == 200, (answer, self.server.story())
        found = json.loads(answer.text)
        self.pids.append(found["pid"])
        return found

    @property
    def slot(self):
        return int(self.cookies["route"].partition(".")[0])


def workers(server):
    return [pid for pid in called("(wsgi:%d)" % server.port) if name_of(pid) == "wsgi-worker" and not has_ended(pid)]


def group(server, name="site"):
    return next(group for group in json.loads(server.get("/wsgi-status?json").text)["groups"] if group["name"] == name)


def ready(server, name="site"):
    return {process["pid"] for process in group(server, name)["processes"] if process["state"] == "ready"}


def runs(server):
    return os.listdir(os.path.join(server.root, "runs"))


def settle(server, count=4):
    return wait_until(lambda: len(ready(server)) == count and ready(server), "%d processes" % count)


def rest(server):
    """Waits until httpd has counted the end of all requests: a client has its answer a moment before."""
    wait_until(lambda: group(server)["requests_in_flight"] == 0, "the end of all requests")


def in_every_slot(server, count=4, together=None):
    """A session in each slot: so many requests at a time that every process gets one in the end."""
    settle(server, count)
    sessions = {}

    def ask(_):
        session = Session(server)
        session.json()
        return session

    def complete():
        rest(server)
        for session in run_together(together or count * 4, ask):
            sessions.setdefault(session.slot, session)
        return len(sessions) == count
    wait_until(complete, lambda: "a session in each of %d slots: %s" % (count, sorted(sessions)))
    return [sessions[slot] for slot in range(count)]


# MARK: what a client sees


def test_a_session_stays_with_its_process(serve):
    server = serve()
    sessions = in_every_slot(server)
    assert len({session.pids[0] for session in sessions}) == 4
    for session in sessions:
        for number in range(10):
            session.json("count=%d" % session.slot)
        assert len(set(session.pids)) == 1 and len(session.sets) == 1
        assert session.json("count=%d" % session.slot)["count"] == 11
    assert not server.log.lines(r":(warn|error|crit|alert|emerg)\]")


def test_the_cookie(serve):
    server = serve()
    session = Session(server)
    session.json()
    assert re.fullmatch(r"route=[0-3]\.[0-9a-f]{32}; Path=/site; HttpOnly; SameSite=Lax", session.sets[0]), session.sets


def test_the_application_does_not_see_the_cookie(serve):
    server = serve()
    session = Session(server)
    assert session.json()["cookie"] is None
    found = session.json()
    assert found["cookie"] is None and "HTTP_COOKIE" not in found["keys"]
    value = session.cookies["route"]
    for sent, seen in (
            ("a=b; route=%s", "a=b"), ("route=%s; a=b", "a=b"), ("a=b; route=%s; c=\"d e\";f", "a=b; c=\"d e\";f"),
            ("a=b;route=%s;c=d", "a=b;c=d"), ("route=%s;", None), ("route=%s; route=%s", None),
            ("route=forged; a=1", "a=1"), ("route=; a=1", "a=1"), ("xroute=%s", "xroute=%s"),
            ("routes=1; Route=2", "routes=1; Route=2"),
            ("a=b, route=1; c=d", "a=b, route=1; c=d")):
        answer = server.get("/site", [("Cookie", sent.replace("%s", value))])
        assert json.loads(answer.text)["cookie"] == (seen and seen.replace("%s", value)), sent
    # httpd makes one header of several.
    for sent, seen in ((["a=b", "route=" + value], "a=b"), (["route=" + value, "c=d; e=f"], "c=d; e=f"),
                       (["a=b", "route=" + value, "c=d"], "a=b, c=d"), (["route=" + value], None)):
        answer = server.get("/site", [("Cookie", one) for one in sent])
        assert json.loads(answer.text)["cookie"] == seen
        assert not answer.all("Set-Cookie"), sent


def test_a_forged_or_foreign_cookie_is_as_none(serve):
    server = serve(others="WSGIDaemonProcess other processes=4 sticky-cookie=route\n"
                   "WSGIScriptAlias /other {root}/site.py process-group=other application-group=%{GLOBAL}\n")
    settle(server)
    session, foreign = Session(server), Session(server, "/other")
    session.json()
    foreign.json()
    value = session.cookies["route"]
    slot, code = value.split(".")
    wrong = code[:-1] + ("0" if code[-1] != "0" else "1")
    for forged in (foreign.cookies["route"], "%s.%s" % (slot, wrong), "%d.%s" % ((int(slot) + 1) % 4, code), code, slot, "",
                   slot + ".", "0" + value, "+" + value, value + "0", value.replace("a", "A") + "!", "999." + code,
                   "-1." + code, "4." + code, "9" * 5000 + "." + code, "\xff\xfe", value.replace(".", "..")):
        answer = server.get("/site", [("Cookie", "route=" + forged)])
        assert answer.status == 200
        # Be it the same slot: the client gets one that is valid.
        assert len(answer.all("Set-Cookie")) == 1, forged
        assert json.loads(answer.text)["cookie"] is None
    # A second one that is valid counts.
    answer = server.get("/site", [("Cookie", "route=1.00000000000000000000000000000000; route=" + value)])
    assert json.loads(answer.text)["pid"] == session.pids[0] and not answer.all("Set-Cookie")


def test_restarts_and_stops(serve):
    server = serve()
    session = Session(server)
    session.json()
    value = session.cookies["route"]
    for restart in (server.graceful, server.restart):
        restart()
        settle(server)
        session.json()
        # The slot serves again, and it is the same one.
        assert session.cookies["route"] == value and len(session.sets) == 1
    assert len(set(session.pids)) == 3
    # After a stop another secret counts.
    server.stop()
    server.start()
    settle(server)
    session.json()
    assert session.cookies["route"] != value and len(session.sets) == 2


def test_the_path_is_the_mount_point(serve):
    server = serve(conf="WSGIDaemonProcess site %s\nWSGIProcessGroup site\n"
                   "WSGIScriptAlias \"/with space\" {root}/site.py\nWSGIScriptAliasMatch ^/user/([a-z]+) {root}/site.py\n"
                   "WSGIScriptAlias /semi;colon {root}/site.py\nWSGIScriptAlias /scripts/ {root}/scripts/\n"
                   "WSGIScriptAlias / {root}/site.py\n")
    os.mkdir(os.path.join(server.root, "scripts"))
    shutil.copy(os.path.join(server.root, "site.py"), os.path.join(server.root, "scripts", "app.py"))
    for path, expected in (
            ("/", "/"), ("/x/y", "/"), ("/with%20space/x", "/with%20space"), ("/user/joe/x?y=z", "/user/joe"),
            ("/semi;colon/x", "/semi%3Bcolon"), ("/scripts/app.py/x", "/scripts/app.py"), ("//with%20space//x", "/with%20space")):
        answer = server.get(path)
        assert answer.status == 200, (path, server.story())
        assert [re.search("Path=([^;]*)", text).group(1) for text in answer.all("Set-Cookie")] == [expected], path


def test_scripts_found_by_a_handler_have_the_cookie_of_the_site(serve):
    server = serve(conf="WSGIDaemonProcess site %s\nWSGIProcessGroup site\n"
                   "<Directory {docs}>\nOptions ExecCGI\nAddHandler wsgi-script .wsgi\nAddHandler all .any\n</Directory>\n"
                   "WSGIHandlerScript all {root}/handler.py\n")
    with open(os.path.join(server.root, "handler.py"), "w") as script:
        script.write(SCRIPT.replace("def application", "def handle_request"))
    os.mkdir(os.path.join(server.docs, "deep"))
    for name in ("file.wsgi", "file.any"):
        shutil.copy(os.path.join(server.root, "site.py"), os.path.join(server.docs, "deep", name))
        answer = server.get("/deep/" + name)
        assert answer.status == 200, server.story()
        assert [re.search("Path=([^;]*)", text).group(1) for text in answer.all("Set-Cookie")] == ["/"]


def test_applications_under_several_mount_points(serve):
    server = serve(others="WSGIScriptAlias /site2 {root}/site.py process-group=site application-group=%{GLOBAL}\n"
                   "WSGIScriptAlias / {root}/site.py process-group=site application-group=%{GLOBAL}\n")
    settle(server)
    first, second, root = (Session(server, path) for path in ("/site", "/site2", "/"))
    for session, path in ((first, "/site"), (second, "/site2"), (root, "/")):
        session.json()
        assert "; Path=%s; " % path in session.sets[0]
    # A browser sends the cookie of the longest path first; which one counts, and that both are taken, is all that matters.
    both = "route=%s; route=%s" % (first.cookies["route"], root.cookies["route"])
    answer = server.get("/site", [("Cookie", both)])
    assert json.loads(answer.text)["pid"] == first.pids[0] and not answer.all("Set-Cookie")
    assert json.loads(answer.text)["cookie"] is None


def test_caches_that_give_a_response_to_anybody_get_no_cookie_with_it(serve):
    server = serve()
    assert server.get("/site?header=Cache-Control:private,+max-age=60").all("Set-Cookie")
    for value in ("public,+max-age=60", "max-age=5,+s-maxage=60", "Public"):
        answer = server.get("/site?header=Cache-Control:" + value)
        assert answer.status == 200 and not answer.all("Set-Cookie"), value


def test_cookies_of_the_application_stay(serve):
    answer = serve().get("/site?header=Set-Cookie:own=1")
    assert len(answer.all("Set-Cookie")) == 2 and "own=1" in answer.all("Set-Cookie")


def test_an_error_document_has_it_too(serve):
    server = serve(others="WSGIErrorOverride On\nErrorDocument 404 \"nothing here\"\n")
    answer = server.get("/site?status=404+Not")
    assert answer.status == 404 and answer.text == "nothing here" and len(answer.all("Set-Cookie")) == 1


@pytest.mark.parametrize("status", ["404 Not Found", "500 Oops", "302 Found", "204 No Content", "304 Not Modified"])
def test_error_answers_set_it(serve, status):
    server = serve()
    answer = server.get("/site?status=" + status.replace(" ", "+"))
    assert answer.status == int(status[:3]), answer
    assert len(answer.all("Set-Cookie")) == 1
    session = Session(server, route=re.match("route=([^;]*)", answer.all("Set-Cookie")[0]).group(1))
    session.json()
    assert not session.sets


def certificate(server):
    path = os.path.join(server.root, "certificate.pem")
    subprocess.check_call(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", path + ".key", "-out", path,
                           "-days", "2", "-subj", "/CN=localhost"], stderr=subprocess.DEVNULL)
    return path


def test_under_tls_it_is_secure(serve):
    if not shutil.which("openssl") or not shutil.which("curl"):
        pytest.skip("no openssl or no curl")
    server = serve(modules=["ssl", "socache_shmcb"], starts=False)
    path = certificate(server)
    server.configure(SITE % STICKY + "SSLEngine On\nSSLCertificateFile %s\nSSLCertificateKeyFile %s.key\n" % (path, path))
    server.answers = lambda: True
    server.start()
    done = subprocess.run(["curl", "-sik", "--retry", "5", "--retry-connrefused", "https://127.0.0.1:%d/site" % server.port],
                          capture_output=True, text=True, timeout=60)
    assert re.search("^set-cookie: route=.*; Path=/site; HttpOnly; SameSite=Lax; Secure\r?$", done.stdout, re.M | re.I), done


def test_behind_a_proxy_it_is_as_the_client_sees_the_site(serve):
    server = serve(others="WSGITrustedProxies 127.0.0.1\nWSGITrustedProxyHeaders X-Forwarded-Proto X-Script-Name\n")
    plain = server.get("/site")
    assert "Secure" not in plain.header("Set-Cookie")
    answer = server.get("/site", [("X-Forwarded-Proto", "https"), ("X-Script-Name", "/outer/site")])
    assert answer.header("Set-Cookie").endswith("; Path=/outer/site; HttpOnly; SameSite=Lax; Secure"), answer


def test_http_2(serve):
    if not os.path.exists(os.path.join(query_apxs("LIBEXECDIR"), "mod_http2.so")):
        pytest.skip("no mod_http2")
    if not shutil.which("curl"):
        pytest.skip("no curl")
    server = serve(modules=["http2"], others="Protocols h2c http/1.1\n")
    settle(server)
    jar = os.path.join(server.root, "jar")

    def ask(*more):
        done = subprocess.run(["curl", "-s", "--http2-prior-knowledge", "-c", jar, "-b", jar, *more,
                               "http://127.0.0.1:%d/site" % server.port], capture_output=True, text=True, timeout=60)
        if "unsupported" in done.stderr:
            pytest.skip("a curl without HTTP/2")
        return json.loads(done.stdout)
    first = ask()
    for _ in range(5):
        found = ask("-H", "Cookie: a=b; c=d")
        assert (found["pid"], found["cookie"]) == (first["pid"], "a=b; c=d")


# MARK: losses


def test_a_slot_outlives_its_processes(serve):
    server = serve(STICKY + "maximum-requests=100000 ")
    sessions = in_every_slot(server)
    for session in sessions:
        before = session.pids[-1]
        os.kill(before, signal.SIGUSR1)
        wait_until(lambda: before not in ready(server) and len(ready(server)) == 4, "the replacement")
        session.json()
        assert session.pids[-1] != before and len(session.sets) == 1
    server.expected_crashes = True
    for session in sessions:
        before = session.pids[-1]
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: before not in ready(server) and len(ready(server)) == 4, "the replacement")
        session.json()
        assert session.pids[-1] != before and len(session.sets) == 1
    assert len({session.pids[-1] for session in sessions}) == 4


@pytest.mark.parametrize("policy", ["restart", "rolling", "interpreter"])
def test_a_reload_keeps_sessions_in_their_slots(serve, policy):
    server = serve(STICKY + "reload=%s " % policy)
    sessions = in_every_slot(server)
    write(server, SCRIPT.replace("VERSION = 1", "VERSION = 2"))
    wait_until(lambda: all(session.json()["version"] == 2 for session in sessions), "the new code")
    for session in sessions:
        session.json()
        # The slot may be without a process for a moment.
        assert len(session.sets) <= 3
    wait_until(lambda: len(ready(server)) == 4, "all processes")


def test_sessions_of_many_clients_survive_everything(serve):
    """50 sessions, 10,000 requests; a reload, a crash and a graceful restart in between."""
    server = serve(STICKY + "reload=rolling queue-limit=200 ", threads=80)
    settle(server)
    server.expected_crashes = True
    sessions, answered, lost, lock = [Session(server) for _ in range(50)], [], [], threading.Lock()
    total, turn = 10_000 // 50, threading.Barrier(51)

    def browse(session):
        found = []
        for number in range(total):
            if number % (total // 4) == 0:
                turn.wait(120)
            answer = session.ask("count=%d" % id(session))
            if answer.status == 200:
                found.append(json.loads(answer.text))
            else:
                lost.append(answer)
        with lock:
            answered.append((session, found))
    threads = [threading.Thread(target=browse, args=(session,)) for session in sessions]
    for thread in threads:
        thread.start()
    turn.wait(120)
    turn.wait(120)
    write(server, SCRIPT.replace("VERSION = 1", "VERSION = 2"))
    turn.wait(120)
    victim = sorted(ready(server))[0]
    os.kill(victim, signal.SIGKILL)
    turn.wait(120)
    server.graceful()
    for thread in threads:
        thread.join(300)
    assert len(answered) == 50
    # No more than its three threads were running when one process was killed, which nobody may run again.
    assert len(lost) <= 3 and all(answer.status == 502 for answer in lost), lost
    assert sum(len(found) for _, found in answered) + len(lost) == 10_000
    for session, found in answered:
        # The first time; once for the crash and once for the restart, twice for the reload.
        assert len(session.sets) <= 1 + 1 + 1 + 2, session.sets
        # Each process has counted as many requests of the session as it has answered: none ran twice.
        counts = {}
        for one in found:
            counts.setdefault(one["pid"], []).append(one["count"])
        for pid, seen in counts.items():
            assert seen == list(range(1, len(seen) + 1)), (pid, seen)


# MARK: slots that do not answer


def hold(server, session, name, count):
    """Keeps so many threads of the session's process busy until the server is told to release them."""
    def one(_):
        return session.__class__(server, route=session.cookies["route"]).ask("hold=" + name)
    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len([run for run in runs(server) if run.startswith(name)]) >= count, "busy threads")
    return threads


def release(server, threads):
    open(os.path.join(server.root, "runs", "release"), "w").close()
    for thread in threads:
        thread.join(60)


def test_a_busy_slot_is_left(serve):
    server = serve("processes=3 threads=2 sticky-cookie=route sticky-wait=100ms ")
    sessions = in_every_slot(server, 3)
    threads = hold(server, sessions[0], "busy", 2)
    # Both are the busy process's: a slot takes its sessions' requests.
    assert {run.split("-")[1] for run in runs(server)} == {str(sessions[0].pids[-1])}
    moved = Session(server, route=sessions[0].cookies["route"])
    for number in range(5):
        moved.json("note=moved%d" % number)
    # At the first it moved, and stays there.
    assert len(moved.sets) == 1 and moved.pids[0] != sessions[0].pids[-1] and len(set(moved.pids)) == 1
    many = run_together(10, lambda number: Session(server, route=sessions[0].cookies["route"]).json("note=many%d" % number))
    assert all(isinstance(one, dict) for one in many), many
    release(server, threads)
    # The process finds what was taken back from it, and runs none of it.
    again = Session(server, route=sessions[0].cookies["route"])
    again.json("note=again")
    assert again.pids == [sessions[0].pids[-1]] and not again.sets
    seen = [run.rsplit("-", 2)[0] for run in runs(server)]
    assert sorted(name for name in seen if name not in ("busy", "release")) == sorted(
        ["moved%d" % number for number in range(5)] + ["many%d" % number for number in range(10)] + ["again"])


@pytest.mark.skipif(os.geteuid() != 0, reason="processes of other users need root")
def test_a_stopped_process_gets_nothing_to_run_twice(serve):
    server = serve("processes=3 threads=2 sticky-cookie=route sticky-wait=100ms ")
    sessions = in_every_slot(server, 3)
    victim = sessions[1].pids[-1]
    stop_process(victim)
    try:
        moved = [Session(server, route=sessions[1].cookies["route"]) for _ in range(12)]
        run_together(12, lambda number: moved[number].json("note=n%d" % number, method="POST", body=b"x" * 100))
        assert all(session.pids and session.pids[0] != victim for session in moved)
    finally:
        os.kill(victim, signal.SIGCONT)
    wait_until(lambda: Session(server, route=sessions[1].cookies["route"]).json()["pid"] == victim, "the process to serve again")
    seen = [run.rsplit("-", 2)[0] for run in runs(server)]
    assert sorted(seen) == sorted("n%d" % number for number in range(12))


def test_a_request_in_the_queue_of_a_dying_process_is_neither_lost_nor_doubled(serve):
    server = serve("processes=2 threads=1 sticky-cookie=route sticky-wait=60 ")
    server.expected_crashes = True
    sessions = in_every_slot(server, 2)
    victim = sessions[0].pids[-1]
    threads = hold(server, sessions[0], "busy", 1)
    waiting = [Session(server, route=sessions[0].cookies["route"]) for _ in range(6)]
    results = [None] * 6

    def one(number):
        results[number] = waiting[number].ask("note=w%d" % number)
    more = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in more:
        thread.start()
    wait_until(lambda: group(server)["requests_in_flight"] >= 7, "the requests to wait")
    os.kill(victim, signal.SIGKILL)
    for thread in more:
        thread.join(60)
    assert [answer.status for answer in results] == [200] * 6
    seen = sorted(run.rsplit("-", 2)[0] for run in runs(server) if run.startswith("w"))
    assert seen == ["w%d" % number for number in range(6)]
    release(server, threads)


def test_limits_count_what_waits_for_a_slot(serve):
    server = serve("processes=2 threads=1 sticky-cookie=route sticky-wait=60 queue-limit=4 queue-timeout=8 ")
    sessions = in_every_slot(server, 2, together=4)
    rest(server)
    threads = hold(server, sessions[0], "busy", 1) + hold(server, sessions[1], "other", 1)
    statuses = []

    def one():
        statuses.append(Session(server, route=sessions[0].cookies["route"]).ask("note=w").status)
    more = [threading.Thread(target=one) for _ in range(2)]
    for thread in more:
        thread.start()
    wait_until(lambda: group(server)["requests_in_flight"] == 4, "the group to be at its limit")
    assert group(server)["requests_waiting"] == 2
    assert Session(server).ask().status == 503
    server.log.wait_for("WSGI0353")
    for thread in more:
        thread.join(60)
    # queue-timeout ends the wait for the slot, too.
    assert statuses == [504] * 2, statuses
    release(server, threads)
    again = Session(server, route=sessions[0].cookies["route"])
    again.json()
    assert again.pids == [sessions[0].pids[-1]]
    assert not [run for run in runs(server) if run.startswith("w-")]


# MARK: groups that come and go


def test_processes_that_end_for_want_of_work(serve):
    server = serve("processes=0-4 threads=2 idle-timeout=1 sticky-cookie=route ")
    session = Session(server)
    session.json()
    assert session.slot == 0
    for _ in range(5):
        session.json()
    assert len(set(session.pids)) == 1
    threads = hold(server, session, "busy", 2)
    other = Session(server)
    other.json()
    assert other.slot == 1
    release(server, threads)
    wait_until(lambda: not workers(server), "the end of all processes")
    # Its slot has no process: the group's queue gets one started.
    other.json()
    assert other.slot == 0 and len(other.sets) == 2


def test_the_process_with_sessions_is_not_the_first_to_end(serve):
    server = serve("processes=1-3 threads=2 idle-timeout=2 sticky-cookie=route ")
    first = Session(server)
    first.json()
    threads = hold(server, first, "a", 2)
    second = Session(server)
    second.json()
    threads += hold(server, second, "b", 2)
    third = Session(server)
    third.json()
    release(server, threads)
    assert sorted({first.slot, second.slot, third.slot}) == [0, 1, 2]
    # The third, and last, is in use.
    wait_until(lambda: third.json() and len(workers(server)) == 1, "the end of the others")
    assert len(third.sets) == 1 and workers(server) == [third.pids[-1]]


@pytest.mark.skipif(os.geteuid() != 0, reason="templates need root")
def test_templates(serve):
    users = [pwd.getpwnam(name) for name in ("daemon", "games")]
    server = serve("processes=0-3 threads=2 sticky-cookie=route ", starts=False,
                   conf="WSGIDaemonTemplate site uid-range=1-60000 %s\nSetEnv test.runs {root}/runs\n"
                   "WSGIScriptAliasMatch ^/~([a-z]+) {root}/home/$1/app.wsgi process-group=site\n" + STATUS)
    for user in users:
        home = os.path.join(server.root, "home", user.pw_name)
        os.makedirs(home)
        os.chown(home, user.pw_uid, user.pw_gid)
        path = os.path.join(home, "app.wsgi")
        with open(path, "w") as script:
            script.write(SCRIPT)
        os.chown(path, user.pw_uid, user.pw_gid)
    server.start()
    for user in users:
        path = "/~" + user.pw_name
        first = Session(server, path)
        first.json()
        assert "; Path=%s; " % path in first.sets[0]
        threads = hold_all(server, first, path, user.pw_name)
        second = Session(server, path)
        second.json()
        assert second.slot != first.slot and second.pids[0] != first.pids[0]
        release(server, threads)
        os.remove(os.path.join(server.root, "runs", "release"))
        for _ in range(5):
            first.json()
            second.json()
        assert len(first.sets) == len(second.sets) == 1
        # One tenant's cookie means nothing to another's application.
        for other in users:
            if other is not user:
                foreign = Session(server, "/~" + other.pw_name, route=first.cookies["route"])
                foreign.json()
                assert len(foreign.sets) == 1
    supervisor, = named(server.pid, "wsgi-supervisor")
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: named(server.pid, "wsgi-supervisor") not in ([], [supervisor]), "another supervisor")
    before = first.pids[-1]
    first.json()
    assert first.pids[-1] == before
    server.expected_crashes = True
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: has_ended(before), "the end of the process")
    first.json()
    assert first.pids[-1] != before


def hold_all(server, session, path, name):
    """Keeps the two threads of the session's process busy."""
    def one(_):
        return Session(server, path, route=session.cookies["route"]).ask("hold=" + name)
    threads = [threading.Thread(target=one, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len([run for run in runs(server) if run.startswith(name)]) >= 2, "busy threads")
    return threads


@pytest.mark.skipif(os.geteuid() != 0, reason="processes of other users need root")
def test_preloading(serve):
    server = serve(STICKY + "preload=On ")
    sessions = in_every_slot(server)
    for session in sessions:
        session.json()
        assert len(set(session.pids)) == 1 and len(session.sets) == 1
    server.expected_crashes = True
    before = sessions[2].pids[-1]
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: before not in ready(server) and len(ready(server)) == 4, "the replacement")
    sessions[2].json()
    assert len(sessions[2].sets) == 1
    write(server, SCRIPT.replace("VERSION = 1", "VERSION = 2"))
    wait_until(lambda: all(session.json()["version"] == 2 for session in sessions), "the new code")


def test_another_supervisor_keeps_slots(serve):
    server = serve()
    server.expected_crashes = True
    sessions = in_every_slot(server)
    supervisor, = named(server.pid, "wsgi-supervisor")
    os.kill(supervisor, signal.SIGKILL)
    wait_until(lambda: named(server.pid, "wsgi-supervisor") not in ([], [supervisor]), "another supervisor")
    for session in sessions:
        session.json()
        assert len(set(session.pids)) == 1
    before = sessions[3].pids[-1]
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: before not in ready(server) and len(ready(server)) == 4, "the replacement")
    for session in sessions:
        session.json()
        assert len(session.sets) == 1


# MARK: sticky-header=


def test_a_header_chooses_the_process(serve):
    server = serve("processes=4 threads=3 sticky-header=X-Shop ")
    settle(server)
    chosen = {}
    for number in range(40):
        answer = server.get("/site", [("X-Shop", "shop-%d" % number)])
        assert answer.status == 200 and not answer.all("Set-Cookie")
        chosen[number] = json.loads(answer.text)["pid"]
    assert len(set(chosen.values())) == 4
    for number in range(40):
        assert json.loads(server.get("/site", [("X-Shop", "shop-%d" % number)]).text)["pid"] == chosen[number]
    # Other cookies are none of its business; without a value any process does.
    answer = server.get("/site", [("Cookie", "a=b; X-Shop=1"), ("X-Shop", "")])
    assert json.loads(answer.text)["cookie"] == "a=b; X-Shop=1"
    assert server.get("/site").status == 200


def test_a_variable_of_a_rewrite_rule_chooses_the_process(serve):
    server = serve("processes=4 threads=3 sticky-header=SHOP ", modules=["rewrite"],
                   others="RewriteEngine On\nRewriteRule ^/site/([^/]+) - [E=SHOP:$1]\n"
                   "SetEnvIf Cookie \"(?:^|; )sessionid=([^;]+)\" SHOP=$1\n")
    settle(server)
    for paths in ([("/site/a%d/x" % number, ()) for number in range(20)],
                  [("/site", [("Cookie", "b=c; sessionid=%d" % number)]) for number in range(20)]):
        chosen = [json.loads(server.get(path, headers).text)["pid"] for path, headers in paths]
        assert len(set(chosen)) == 4
        # A client's header of that name does not overrule it.
        assert [json.loads(server.get(path, list(headers) + [("Shop", "x")]).text)["pid"] for path, headers in paths] == chosen


# MARK: without the option


def open_files(pid):
    return sorted(os.readlink("/proc/%d/fd/%s" % (pid, name)).split(":")[0] for name in os.listdir("/proc/%d/fd" % pid))


@pytest.mark.skipif(os.geteuid() != 0, reason="descriptors of other users' processes need root")
def test_descriptors(serve):
    """A group without the option has none for it, in no process; one with it has one in the parent and its supervisor."""
    counts = {}
    for name, options in (("without", "processes=4 threads=3 "), ("with", STICKY)):
        server = serve(options)
        settle(server)
        supervisor, = named(server.pid, "wsgi-supervisor")
        child = next(pid for pid in server.children() if pid != supervisor)
        worker = workers(server)[0]
        counts[name] = [len(os.listdir("/proc/%d/fd" % pid)) for pid in (server.pid, supervisor, child, worker)]
        numbers = set(map(int, os.listdir("/proc/%d/fd" % worker)))
        # The worker's is the one after those that every worker has.
        assert (9 in numbers) == (name == "with") or os.readlink("/proc/%d/fd/9" % worker) != "/dev/null"
    assert [more - less for less, more in zip(counts["without"], counts["with"])] == [1, 1, 4, 1], counts


def calls(server, pids, count):
    """How often processes make which system calls, for so many requests."""
    path = os.path.join(server.root, "calls")
    arguments = ["strace", "-f", "-c", "-o", path]
    for pid in pids:
        arguments += ["-p", str(pid)]
    tracer = subprocess.Popen(arguments, stderr=subprocess.PIPE)
    tracer.stderr.readline()
    with server.client() as client:
        for _ in range(count):
            assert client.request("GET", "/site").status == 200
    tracer.send_signal(signal.SIGINT)
    tracer.communicate(timeout=60)
    rows = [line.split() for line in Log(path).text().splitlines()]
    return {row[-1]: int(row[3]) for row in rows if len(row) >= 5 and row[3].isdigit() and row[-1] != "total"}


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("strace"), reason="no strace, or processes of other users")
def test_system_calls(serve):
    """Without the option processes wait for requests where they did, in one call."""
    count = 200
    seen = {}
    for name, options in (("without", "processes=1 threads=1 "), ("with", "processes=1 threads=1 sticky-cookie=route ")):
        server = serve(options, processes=1)
        settle(server, 1)
        try:
            seen[name] = calls(server, workers(server), count)
        except IndexError:
            pytest.skip("strace may not look at processes here")
        if not seen[name]:
            pytest.skip("strace may not look at processes here")
    assert seen["without"].get("poll", 0) < count / 2 <= seen["with"]["poll"], seen
    assert seen["without"]["recvmsg"] < count * 2, seen


def test_without_descriptors_for_slots_any_process_answers(serve):
    if not shutil.which("prlimit"):
        pytest.skip("no prlimit")
    server = serve("processes=1-100 threads=2 sticky-cookie=route ", starts=False)
    server.wrapper = ["prlimit", "--nofile=150:150"]
    server.start()
    answer = server.get("/site")
    assert answer.status == 200 and not answer.all("Set-Cookie")
    assert len(server.log.lines(r"\[wsgi:warn\] .*WSGI0732: Sessions do not stay with the processes of group 'site'")) == 1
