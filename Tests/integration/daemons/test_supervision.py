"""The supervisor in unusual company: httpd as a single process, groups that cannot start, or take their time to."""
import glob
import os
import signal
import subprocess

from httpd_env import Httpd, httpd_program, wait_until
from processes import descendants, noted, remaining, supervisors

SITE = """
WSGIDaemonProcess site python-path={lib}
WSGIScriptAlias /site {apps}/app.wsgi process-group=site application-group=%{GLOBAL}
"""
SLOW = """import time
time.sleep(4)
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'at last']
"""


def test_a_single_process_has_process_groups():
    server = Httpd(SITE, apps="daemon", name="single")
    server.process = subprocess.Popen([httpd_program(), "-f", server.conf, "-X"], stdin=subprocess.DEVNULL,
                                      start_new_session=True)
    try:
        wait_until(server.answers, "httpd -X")
        first = int(server.get("/site/pid").text.split()[0])
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: first not in descendants(server.pid), "the end of the process")
        answer = server.get("/site/pid")
        assert answer.status == 200 and int(answer.text.split()[0]) != first
        assert not server.log.lines("WSGI0459")
    finally:
        family = noted(descendants(server.pid))
        server.signal(signal.SIGTERM)
        server.process.wait(30)
        server.process = None
        wait_until(lambda: not remaining(family), "the end of all processes")
        server.remove()


def test_groups_that_cannot_start_need_no_supervisor():
    server = Httpd("WSGIDaemonProcess site\nWSGIScriptAlias /site {apps}/app.wsgi process-group=site", apps="daemon", name="none")
    for engine in glob.glob(os.path.join(os.path.dirname(server.module), "wsgi-engine-*")):
        os.unlink(engine)
    with server:
        assert server.get("/site/pid").status == 500
        assert not supervisors(server.pid)
        opened = set(os.listdir("/proc/%d/fd" % server.pid))
        for _ in range(3):
            server.graceful()
            assert server.get("/site/pid").status == 500
        # A generation that never ran leaves nothing behind.
        assert len(os.listdir("/proc/%d/fd" % server.pid)) <= len(opened)


def test_a_first_import_may_take_longer_than_the_connect_timeout():
    conf = """
WSGIDaemonProcess site connect-timeout=1
WSGIScriptAlias /site {root}/slow.py process-group=site application-group=%{GLOBAL}
"""
    server = Httpd(conf, name="slow")
    with open(os.path.join(server.root, "slow.py"), "w") as script:
        script.write(SLOW)
    with server:
        answer = server.get("/site")
        assert (answer.status, answer.text) == (200, "at last")


def test_a_group_that_never_starts_is_refused_after_the_connect_timeout():
    conf = """
WSGIDaemonProcess site connect-timeout=1 chroot={root}
WSGIScriptAlias /site {apps}/app.wsgi process-group=site
"""
    if os.getuid() != 0:
        return
    with Httpd(conf, apps="daemon", name="never") as server:
        server.expected_crashes = True
        server.log.wait_for("WSGI0028")
        assert server.get("/site/pid").status == 503
        server.log.wait_for("WSGI0117")


def test_groups_start_before_files_are_looked_at():
    """What the warnings at the start look at may take its time: here the process that looks notes who was there before it."""
    server = Httpd(SITE, apps="daemon", name="order")
    worker = os.path.join(os.path.dirname(server.module), "wsgi-worker")
    os.rename(worker, worker + ".real")
    seen = os.path.join(server.root, "seen")
    with open(worker, "w") as script:
        script.write('#!/bin/sh\n[ $# = 0 ] && /usr/bin/ps -o pid= --ppid $PPID > %s\nexec %s.real "$@"\n' % (seen, worker))
    os.chmod(worker, 0o755)
    with server:
        assert server.get("/site/pid").status == 200
        wait_until(lambda: os.path.exists(seen) and open(seen).read().split(), "the process that looks")
        with open(seen) as file:
            assert set(supervisors(server.pid)) & {int(pid) for pid in file.read().split()}
