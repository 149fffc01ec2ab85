"""More requests than a group can take: they stay that group's own affair."""
import os

import pytest

from httpd_env import MODES, Httpd, run_together

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
        gate = os.path.join(server.make_directory("gate"), "open")
        refused, others = [], []

        def ask(_):
            answer = server.get("/small/wait_for?file=" + gate)
            if answer.status == 503:
                refused.append(answer)
                if len(refused) == CLIENTS - 22:
                    # What could be taken has been, the rest is refused: the group is as full as it will ever be.
                    others.append(server.get("/static.txt").text)
                    others.append(server.get("/other/pid").status)
                    open(gate, "w").close()
            return answer

        answers = run_together(CLIENTS, ask)
        statuses = sorted(getattr(answer, "status", answer) for answer in answers)
        # Two are run and twenty wait.
        assert statuses == [200] * 22 + [503] * (CLIENTS - 22), statuses
        assert all(answer.header("Retry-After") for answer in refused)
        assert others == ["static", 200]
        assert server.log.lines("WSGI0353: .*process group 'small'")
        assert server.get("/small/pid").status == 200


def test_a_group_may_not_take_all_of_httpds_threads():
    with Httpd(CONF.replace("queue-limit=20", ""), apps="daemon", threads=32, name="overload") as server:
        gate = os.path.join(server.make_directory("gate"), "open")
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
