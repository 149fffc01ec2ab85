"""A group that a command has stopped, as the status page has it."""
import pytest

import command
from httpd_env import MODES, REFERENCE, Httpd, wait_until

pytestmark = pytest.mark.skipif(REFERENCE or "daemon" not in MODES, reason="mod_wsgi 6.1.1 has no such command")

CONF = """
WSGIControlSocket {root}/wsgictl.sock
WSGIDaemonProcess shop processes=1 threads=2
WSGIScriptAlias /shop {root}/shop.wsgi process-group=shop
<Location /wsgi-status>
SetHandler wsgi-status
Require local
</Location>
"""


def test_the_page_says_so_and_a_probe_too():
    server = Httpd(CONF, name="stopped", threads=16, modules=["authz_host"])
    with open(server.root + "/shop.wsgi", "w") as script:
        script.write(command.SCRIPT)
    with server:
        def ready():
            answer = server.get("/wsgi-status?ready=shop")
            return answer.status, answer.text
        wait_until(lambda: ready() == (200, "ready\n"), ready)
        command.do(server, "stop", "shop")
        wait_until(lambda: ready() == (503, "not ready: it is stopped\n"), ready)
        page = server.get("/wsgi-status").text
        assert '<span class="state warning">stopped</span>' in page and "<code>wsgictl start shop</code>" in page
        assert 'wsgi_group_state{group="shop",state="stopped"} 1\n' in server.get("/wsgi-status?openmetrics").text
        command.do(server, "start", "shop")
        wait_until(lambda: ready() == (200, "ready\n"), ready)
