"""The commands that the manual shows."""
import os
import shlex

import pytest

import command
from documents import example
from httpd_env import Httpd

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="groups of other users need root")


def test_commands():
    server = Httpd("""
        WSGIDaemonProcess shop user=games processes=2 threads=2
        WSGIScriptAlias / {apps}/app.wsgi process-group=shop application-group=%{GLOBAL}
        """, name="control")
    command.write_script(server)
    lines = [shlex.split(line) for block in example("control") for line in block.text.splitlines()]
    assert len(lines) >= 6 and all(line[0] == "wsgictl" for line in lines)
    with server:
        command.wait_for_state(server, "shop", "serving")
        for line in lines:
            command.do(server, *line[1:])
            stopped = line[1] in ("drain", "stop")
            command.wait_for_state(server, "shop", *(["stopped"] if stopped else ["serving"]))
            assert server.get("/").status == (503 if stopped else 200)
