"""What a daemon process says of itself: which process it is, and what its threads do."""
import os
import re
import signal

import pytest

from httpd_env import MODES, REFERENCE, Httpd, wait_until

pytestmark = [pytest.mark.skipif(REFERENCE, reason="mod_wsgi 6.1.1 logs in the process itself"),
              pytest.mark.skipif("daemon" not in MODES, reason="daemon mode is not tested here")]


def test_every_line_about_a_process_names_it():
    conf = """
WSGIDaemonProcess site processes=2 threads=2 startup-timeout=60 python-path={lib}
WSGIScriptAlias / {apps}/app.wsgi process-group=site
"""
    with Httpd(conf, apps="status", name="named") as server:
        pids = set()

        def serve():
            pids.add(int(server.get("/pid").text))
            return len(pids) >= 2
        wait_until(serve, "both processes")
        os.kill(min(pids), signal.SIGUSR1)
        server.log.wait_for(r"Exiting process 'site' \(pid=%d\)" % min(pids))
        os.kill(max(pids), signal.SIGTERM)
        server.log.wait_for(r"Exiting process 'site' \(pid=%d\)" % max(pids))
        said = [line for line in server.log.text().splitlines() if re.search(r":info\].*'site'", line)]
    for words in ("takes requests", "Creating", "Loading WSGI script", "startup timer .* started", "startup timer .* cancelled",
                  "restart of 'site'", "Shutdown requested", "Stopping process", "Exiting process"):
        assert any(re.search(words, line) for line in said), (words, said)
    for line in said:
        assert re.search(r"\(pid=\d+\)|process \d+ of process group 'site'", line), line
    for pid in pids:
        assert [line for line in said if "(pid=%d)" % pid in line]
