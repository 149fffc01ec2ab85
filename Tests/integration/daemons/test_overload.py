"""More requests than a group can take: they stay that group's own affair."""
import os
import re

import pytest

from httpd_env import MODES, Httpd, run_together, wait_until
from swarm import Swarm

pytestmark = pytest.mark.skipif("daemon" not in MODES, reason="daemon mode is not tested here")

CONF = """
WSGIDaemonProcess small processes=1 threads=2 queue-limit=20 python-path={lib}
WSGIDaemonProcess other processes=1 threads=2 python-path={lib}
WSGIScriptAlias /small {apps}/app.wsgi process-group=small application-group=%{GLOBAL}
WSGIScriptAlias /other {apps}/app.wsgi process-group=other application-group=%{GLOBAL}
"""
CLIENTS = 200


def test_overload_stays_in_its_group():
    with Httpd(CONF, apps="daemon", threads=240, name="overload") as server:
        with open(os.path.join(server.docs, "static.txt"), "w") as file:
            file.write("static")
        assert server.get("/small/pid").status == 200
        gate = server.unused_path("open")
        refused, others = [], []

        def ask(_):
            answer = server.get("/small/wait_for?file=" + gate)
            if answer.status == 503:
                refused.append(answer)
                if len(refused) == CLIENTS - 20:
                    # What could be taken has been, the rest is refused: the group is as full as it will ever be.
                    others.append(server.get("/static.txt").text)
                    others.append(server.get("/other/pid").status)
                    open(gate, "w").close()
            return answer

        answers = run_together(CLIENTS, ask)
        statuses = sorted(getattr(answer, "status", answer) for answer in answers)
        # Two are run and eighteen wait.
        assert statuses == [200] * 20 + [503] * (CLIENTS - 20), statuses
        assert all(answer.header("Retry-After") for answer in refused)
        assert others == ["static", 200]
        # One line for all of them, with what there is to weigh.
        line, = server.log.lines("WSGI0353")
        assert re.search(r"Process group 'small' is at its limit: \d+ requests in flight, queue-limit 20 "
                         r"\(MaxRequestWorkers: 240\)", line), line
        assert server.get("/small/pid").status == 200


def test_a_group_may_not_take_all_of_httpds_threads():
    with Httpd(CONF.replace("queue-limit=20", ""), apps="daemon", threads=32, name="overload") as server:
        gate = server.unused_path("open")
        assert server.get("/small/pid").status == 200
        refused = []

        def ask(_):
            answer = server.get("/small/wait_for?file=" + gate)
            if answer.status == 503:
                refused.append(answer)
                # An eighth of the threads is for others.
                if len(refused) == 1:
                    assert server.get("/other/pid").status == 200
                    open(gate, "w").close()
            return answer.status

        statuses = run_together(64, ask)
        assert set(statuses) == {200, 503}, statuses


def test_neighbours_answer_while_a_group_is_overloaded():
    """200 clients on one process of two threads; what the others take is printed, for a quiet machine."""
    with Httpd(CONF.replace("queue-limit=20", ""), apps="daemon", threads=64, name="overload") as server:
        with open(os.path.join(server.docs, "static.txt"), "w") as file:
            file.write("static")
        assert server.get("/small/pid").status == 200 and server.get("/other/pid").status == 200
        with Swarm(server.port, CLIENTS, "/small/hold/5") as crowd:
            wait_until(lambda: crowd.statuses[200] >= 20 and crowd.statuses[503], lambda: "overload: %s" % crowd.statuses)
            with Swarm(server.port, 2, "/static.txt", rate=50, expect=lambda body: body == b"static") as files, \
                    Swarm(server.port, 2, "/other/pid", rate=50, expect=lambda body: body.endswith(b" 0")) as others:
                wait_until(lambda: len(files.times) >= 100 and len(others.times) >= 100,
                           lambda: "100 answers of the neighbours: %d, %d" % (len(files.times), len(others.times)))
        for name, swarm in (("static file", files), ("another group", others)):
            assert not swarm.lost and set(swarm.statuses) == {200}, (name, swarm.statuses, swarm.failures, swarm.wrong)
            print("%s: p50 %.1f ms, p99 %.1f ms" % (name, 1e3 * swarm.quantile(0.5), 1e3 * swarm.quantile(0.99)))
        print("the group itself: %s, longest %.1f s" % (dict(crowd.statuses), max(crowd.times)))
        assert set(crowd.statuses) == {200, 503} and not crowd.failures, (crowd.statuses, crowd.failures[:5])
        assert server.get("/small/pid").status == 200
