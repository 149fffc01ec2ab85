"""Who may use which group, service scripts, many groups, and what is left when all is over."""
import os
import re
import signal

import pytest

from httpd_env import MODES, Httpd, wait_until
from processes import about, descendants, every_pid, has_ended, name_of, noted, parent_of, remaining

pytestmark = pytest.mark.skipif("daemon" not in MODES, reason="daemon mode is not tested here")

SERVICE = """
import os
import time

path = %r
with open(path, "a") as file:
    file.write("begun %%d\\n" %% os.getpid())
try:
    while not os.path.exists(path + ".return"):
        time.sleep(0.01)
    os.unlink(path + ".return")
finally:
    with open(path, "a") as file:
        file.write("over\\n")
"""


def lines_of(path):
    try:
        with open(path) as file:
            return file.read().splitlines()
    except OSError:
        return []


def test_a_request_for_a_service_is_refused_and_says_why():
    with Httpd("WSGIDaemonProcess service threads=0 python-path={lib}\n"
               "WSGIScriptAlias / {apps}/app.wsgi process-group=service application-group=%{GLOBAL}\n",
               apps="daemon", name="service") as server:
        assert server.get("/pid").status == 500
        server.log.wait_for("WSGI0683: Process group 'service' has threads=0 and serves no requests")


def test_a_service_script():
    server = Httpd("", apps="daemon", name="service")
    path = server.unused_path("journal")
    os.chmod(os.path.dirname(path), 0o777)
    with open(os.path.join(server.apps, "service.py"), "w") as script:
        script.write(SERVICE % path)
    server.configure("WSGIDaemonProcess service threads=0 python-path={lib}\n"
                     "WSGIImportScript {apps}/service.py process-group=service application-group=%{GLOBAL}\n")
    with server:
        wait_until(lambda: len(lines_of(path)) == 1, "the service's start")
        first = lines_of(path)[0]
        # A service that returns is started again.
        open(path + ".return", "w").close()
        wait_until(lambda: len(lines_of(path)) == 3, lambda: "its next start: %s" % lines_of(path))
        assert lines_of(path)[1] == "over" and lines_of(path)[2] != first
        server.stop()
        # A stop ends it in good order.
        assert lines_of(path)[3:] == ["over"]


def test_a_service_script_never_runs_twice_at_a_time():
    """At a graceful restart the next one waits for the one before it, however long that takes to tidy up."""
    server = Httpd("", apps="daemon", name="service")
    path = server.unused_path("journal")
    os.chmod(os.path.dirname(path), 0o777)
    with open(os.path.join(server.apps, "service.py"), "w") as script:
        # It is over when somebody has seen httpd's new children.
        script.write(SERVICE.replace("finally:", "finally:\n    while not os.path.exists(path + '.tidy'):\n"
                                     "        time.sleep(0.01)") % path)
    server.configure("WSGIDaemonProcess service threads=0 python-path={lib} shutdown-timeout=60\n"
                     "WSGIImportScript {apps}/service.py process-group=service application-group=%{GLOBAL}\n"
                     "WSGIDaemonProcess site python-path={lib}\n"
                     "WSGIScriptAlias /site {apps}/app.wsgi process-group=site application-group=%{GLOBAL}\n")
    with server:
        wait_until(lambda: len(lines_of(path)) == 1, "the service's start")
        before = server.get("/site/pid").text
        server.graceful()
        wait_until(lambda: server.get("/site/pid").text != before, "the next generation")
        assert len(lines_of(path)) == 1
        open(path + ".tidy", "w").close()
        wait_until(lambda: len(lines_of(path)) == 3, lambda: "the next service: %s" % lines_of(path))
        assert lines_of(path)[1] == "over" and lines_of(path)[2].startswith("begun")
    # SystemExit is how a service is told to end, and nothing to speak of.
    assert not server.log.lines("SystemExit")


def test_a_service_script_in_a_sub_interpreter_is_advised_against():
    server = Httpd("", apps="daemon", name="service")
    with open(os.path.join(server.apps, "service.py"), "w") as script:
        script.write("import time\nprint('begun', flush=True)\nwhile True:\n    time.sleep(0.01)\n")
    server.configure("WSGIDaemonProcess service threads=0 python-path={lib} shutdown-timeout=300ms\n"
                     "WSGIImportScript {apps}/service.py process-group=service application-group=other\n")
    with server:
        server.log.wait_for("begun")
        assert len(server.log.lines("WSGI0090")) == 1


def test_who_may_use_which_group(make_httpd):
    server = make_httpd("""
WSGIDaemonProcess shared python-path={lib}
WSGIScriptAlias /shared {apps}/app.wsgi process-group=shared
WSGIScriptAlias /unknown {apps}/app.wsgi
<Location /unknown>
    WSGIProcessGroup nosuch
</Location>
<VirtualHost *:{port}>
    ServerName one
    WSGIDaemonProcess own python-path={lib}
    WSGIScriptAlias /own {apps}/app.wsgi process-group=own
    <Location /shared>
        WSGIRestrictProcess shared
    </Location>
</VirtualHost>
<VirtualHost *:{port}>
    ServerName two
    WSGIScriptAlias /own {apps}/app.wsgi
    <Location /own>
        WSGIProcessGroup own
    </Location>
    WSGIScriptAlias /restricted {apps}/app.wsgi
    <Location /restricted>
        WSGIRestrictProcess other
        WSGIProcessGroup shared
    </Location>
</VirtualHost>
""", apps="daemon")
    for host, path, status, number in (
            ("one", "/own", 200, None), ("one", "/shared", 200, None), ("two", "/shared", 200, None),
            ("two", "/own", 500, "WSGI0152"), ("two", "/restricted", 500, "WSGI0149"), ("two", "/unknown", 500, "WSGI0150")):
        mark = server.log.mark()
        answer = server.get(path + "/pid", host=host)
        assert answer.status == status, (host, path, answer)
        if number:
            assert len(server.log.wait_for(number, mark)) == 1


def groups(count, port):
    return "\n".join("WSGIDaemonProcess g%d-%d threads=2" % (number, port) for number in range(count))


def test_fifty_idle_groups():
    server = Httpd("", name="fifty")
    server.configure(groups(50, server.port))
    with server:
        server.log.wait_for("takes requests", count=50, deadline=90)
        assert len({re.search(r"'(g\d+)-", line).group(1) for line in server.log.lines("takes requests")}) == 50
        server.stop()
        assert not left(server)


def left(server):
    """Processes of a server by the names that they have, and what may outlive them in the file system."""
    found = [pid for pid in every_pid() if re.search(r"^wsgi-worker\0\w+-%d\0" % server.port, about(pid, "cmdline"))]
    with open("/proc/net/unix") as table:
        found += [line for line in table if server.root in line]
    return found


def shared_memory():
    return set(os.listdir("/dev/shm"))


LEFT = """
WSGIDaemonProcess site-{port} processes=2 python-path={lib}
WSGIScriptAlias /site {apps}/app.wsgi process-group=site-{port} application-group=%{GLOBAL}
"""


def test_nothing_is_left_after_a_stop():
    before = shared_memory()
    with Httpd(LEFT, apps="daemon", name="left") as server:
        old = noted([int(server.get("/site/pid").text.split()[0])])
        server.restart()
        wait_until(lambda: not remaining(old), "the end of old processes")
        assert server.get("/site/pid").status == 200
        server.graceful()
        grandchild = int(server.get("/site/child").text)
        server.stop()
        assert not left(server)
        assert not [name for name in os.listdir(server.root) if re.search(r"\.(sock|lock)$|^wsgi", name)]
        # What an application had started ends as well.
        wait_until(lambda: name_of(grandchild) != "sleep" or has_ended(grandchild), "the end of the application's own child")
    assert not {name for name in shared_memory() - before if "wsgi" in name.lower()}


def test_what_an_application_started_ends_with_a_full_restart_and_not_with_a_graceful_one():
    with Httpd(LEFT, apps="daemon", name="left") as server:
        kept = int(server.get("/site/child").text)
        worker = parent_of(kept)
        assert name_of(worker) == "wsgi-worker"
        try:
            # A program that an application runs may take longer than the process that started it is needed.
            server.graceful()
            wait_until(lambda: has_ended(worker) or name_of(worker) != "wsgi-worker", "the end of the process")
            assert name_of(kept) == "sleep" and not has_ended(kept)
        finally:
            os.kill(kept, signal.SIGKILL)
        ended = int(server.get("/site/child").text)
        # httpd's own child can crash where its ungraceful stop meets a connection.
        server.let_connections_end()
        server.restart()
        wait_until(lambda: name_of(ended) != "sleep" or has_ended(ended), "the end of the application's own child")
        assert server.get("/site/pid").status == 200


def test_nothing_is_left_after_the_end_of_a_killed_parent():
    with Httpd(LEFT, apps="daemon", name="left") as server:
        server.expected_crashes = True
        assert server.get("/site/pid").status == 200
        def ours_among(family):
            return [pid for pid in family if name_of(pid).startswith("wsgi-")]
        # A supervisor, two processes, and the relay of each.
        wait_until(lambda: len(ours_among(descendants(server.pid))) == 5, lambda: descendants(server.pid))
        family = descendants(server.pid)
        ours = noted(ours_among(family))
        os.kill(server.pid, signal.SIGKILL)
        server.process.wait()
        server.process = None
        wait_until(lambda: not remaining(ours), "the end of supervisor and workers")
        server.log.wait_for("WSGI0459")
        # httpd's own children do not notice such an end.
        for pid in set(family) - set(ours):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        assert not left(server)
