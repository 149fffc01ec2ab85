"""Applications that end their process or keep it: what the client gets, what the log says, and that the group is back at once."""
import os
import re

import pytest

from httpd_env import MODES, Httpd, run_together, wait_until

pytestmark = pytest.mark.skipif("daemon" not in MODES, reason="daemon mode is not tested here")

GROUPS = {
    "site": "processes=1 threads=4",
    "small": "threads=2 memory-limit=268435456",
    "gil": "threads=4 deadlock-timeout=3s shutdown-timeout=1s",
    "slow": "threads=1 request-timeout=500ms interrupt-timeout=5s",
    "stuck": "threads=1 request-timeout=500ms interrupt-timeout=300ms shutdown-timeout=500ms",
    "neighbour": "threads=1",
}


def conf():
    lines = []
    for name, options in GROUPS.items():
        lines += ["WSGIDaemonProcess %s python-path={lib} %s" % (name, options),
                  "WSGIScriptAlias /%s {apps}/app.wsgi process-group=%s application-group=%%{GLOBAL}" % (name, name)]
    lines += ["WSGIDaemonProcess several processes=2 threads=2 python-path={lib}",
              "WSGIScriptAliasMatch ^/several/(.*) {apps}/$1 process-group=several application-group=%{GLOBAL}"]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def server():
    with Httpd(conf(), apps="daemon", name="ends", threads=32) as running:
        running.expected_crashes = True
        yield running


# A script that ends its process while it is imported, when it is told to.
DIES = """
import os, time
print("waiting to die", flush=True)
while not os.path.exists(%r):
    time.sleep(0.01)
os._exit(4)
"""

# What an application does, the group, the client's status, and how the log names the cause.
ENDS = {
    "segfault": ("/site/segfault", 502, r"was killed by signal 11 \(SIGSEGV\)"),
    "abort": ("/site/abort", 502, r"was killed by signal 6 \(SIGABRT\)"),
    "exit": ("/site/leave/3", 502, r"exited with code 3"),
    "exit 0": ("/site/leave/0", 502, r"exited"),
    "exit 255": ("/site/leave/255", 502, r"255"),
    "an exit code of a worker's own": ("/site/leave/70", 502, r"exited with code 70"),
    "deadlock with the GIL": ("/gil/gil", 504, r"deadlock_timeout"),
    "a request that cannot be interrupted": ("/stuck/blocked", 504, r"request_timeout"),
}


@pytest.mark.parametrize("row", ENDS)
def test_ends(server, row):
    path, status, cause = ENDS[row]
    group = path.split("/")[1]
    assert server.get("/%s/pid" % group).status == 200
    neighbour = server.get("/neighbour/pid").text
    mark = server.log.mark()
    answer = server.get(path)
    assert answer.status == status, (answer, server.log.text(mark))
    line, = server.log.wait_for("WSGI0146", mark)
    assert re.search(r"Daemon process \d+ of group '%s'.*%s" % (group, cause), line), line
    # The group is back, and nobody else has noticed.
    assert server.get("/%s/pid" % group).status == 200
    assert server.get("/neighbour/pid").text == neighbour


def test_the_deadlock_is_named_with_its_stack(server):
    mark = server.log.mark()
    server.get("/gil/gil")
    line, = server.log.wait_for(r"WSGI0413: No thread could acquire the GIL for 3 s \(deadlock-timeout\)", mark)
    # The stack of a thread that keeps the GIL can be read with CPython's own means up to 3.12.
    assert re.search(r"app\.wsgi.* in gil\b", line) or not reads_stacks_without_gil(server), line


def test_requests_that_wait_for_the_gil_of_a_dying_process_go_to_another(server):
    pid = server.get("/gil/pid").text
    mark = server.log.mark()
    with server.client() as holder:
        holder.send(holder.head("GET", "/gil/gil"))
        server.log.wait_for("waiting with the GIL", mark)
        # The other threads of the process take one or two of these, and cannot begin; the rest stays in the queue.
        answers = run_together(3, lambda index: server.request("POST" if index else "GET", "/gil/pid", body=b"body"))
        assert holder.read_response().status == 504
    assert [answer.status for answer in answers] == [200] * 3 and pid not in [answer.text for answer in answers]
    assert 1 <= len(server.log.lines(r"Queueing the request again, attempt #2", mark)) <= 2


def test_a_request_that_kills_the_process_by_its_import_is_not_given_to_another(server):
    with open(os.path.join(server.apps, "fatal.wsgi"), "w") as script:
        script.write("import os\nos._exit(5)\n")
    mark = server.log.mark()
    assert server.get("/several/fatal.wsgi").status == 502
    server.log.wait_for("WSGI0146", mark)
    assert not server.log.lines("Queueing the request again", mark)


def reads_stacks_without_gil(server):
    return server.get("/site/has/_Py_DumpTracebackThreads").text == "True"


@pytest.mark.unsanitized("memory-limit is left out")
def test_memory_that_runs_out_fails_the_request(server):
    mark = server.log.mark()
    assert server.get("/small/memory").status == 500
    server.log.wait_for("MemoryError", mark)
    assert server.get("/small/pid").status == 200


def test_a_request_that_waits_too_long_is_interrupted(server):
    """A dead-lock of the application's own: without the GIL, where Python still sees the exception."""
    before = server.get("/slow/pid").text
    mark = server.log.mark()
    answer = server.get("/slow/lock")
    assert answer.status == 504, (answer, server.log.text(mark))
    line, = server.log.wait_for("WSGI0410", mark)
    assert re.search(r"raising RequestTimeout in it .*app\.wsgi.* in lock\b", line), line
    assert server.get("/slow/pid").text == before


def test_a_request_that_cannot_be_interrupted_is_named_with_its_stack(server):
    mark = server.log.mark()
    server.get("/stuck/blocked")
    line = server.log.wait_for("WSGI0411", mark)[0]
    assert re.search(r"app\.wsgi.* in blocked\b", line), line
    # It was interrupted before, and both lines have the stack.
    line, = server.log.lines("WSGI0410", mark)
    assert re.search(r"app\.wsgi.* in blocked\b", line), line


def test_a_response_in_progress_is_cut(server):
    mark = server.log.mark()
    answer = server.get("/site/interrupted")
    assert answer.status == 200 and not answer.complete and answer.body == b"begun"
    line, = server.log.wait_for("WSGI0119", mark)
    assert "SIGKILL" in line


def test_a_fork_changes_nothing(server):
    before = server.get("/site/pid").text
    assert server.get("/site/fork").text == "7"
    assert server.get("/site/pid").text == before


def test_a_request_that_waits_for_a_first_start_is_refused_when_that_fails(make_httpd):
    gates = []

    def prepare(server):
        server.expected_crashes = True
        gates.append(server.unused_path("open"))
        server.write("dies.wsgi", DIES % gates[0])
    server = make_httpd("WSGIDaemonProcess late connect-timeout=300ms python-path={lib}\n"
                        "WSGIImportScript {apps}/dies.wsgi process-group=late application-group=%{GLOBAL}\n"
                        "WSGIScriptAlias /late {apps}/app.wsgi process-group=late application-group=%{GLOBAL}\n",
                        apps="daemon", name="start", prepare=prepare)
    gate, = gates
    server.log.wait_for("waiting to die")
    with server.client() as client:
        client.send(client.head("GET", "/late/pid"))
        open(gate, "w").close()
        assert client.read_response().status == 503
    server.log.wait_for("WSGI0117")


def test_a_crash_loop_backs_off(make_httpd):
    server = make_httpd("WSGIDaemonProcess loop python-path={lib}\nWSGIDaemonProcess good python-path={lib}\n"
                        "WSGIImportScript {apps}/dies.wsgi process-group=loop application-group=%{GLOBAL}\n"
                        "WSGIScriptAlias /loop {apps}/app.wsgi process-group=loop application-group=%{GLOBAL}\n"
                        "WSGIScriptAlias /good {apps}/app.wsgi process-group=good application-group=%{GLOBAL}\n", apps="daemon")
    server.expected_crashes = True
    path = os.path.join(server.apps, "dies.wsgi")
    with open(path + ".new", "w") as script:
        script.write("import os\nos._exit(4)\n")
    os.replace(path + ".new", path)
    server.graceful()
    lines = server.log.wait_for(r"WSGI0452.*exited with code 4", count=3)
    pauses = [float(found.group(1)) for found in (re.search(r"in ([0-9.]+) s", line) for line in lines) if found]
    assert pauses == sorted(pauses) and len(set(pauses)) > 1, lines
    assert server.get("/good/pid").status == 200
    os.unlink(path)
    wait_until(lambda: server.get("/loop/pid").status == 200, "the group's return")
