"""The chapter "Troubleshooting": each row of its first table, brought about."""
import re

import pytest

from documents import chapter, example

SITE = """
WSGIDaemonProcess shop user=shop group=shop python-home=/srv/shop/venv home=/srv/shop %s
WSGIScriptAlias / /srv/shop/app.wsgi process-group=shop application-group=%%{GLOBAL}
%s
"""
GRANTED = "<Directory /srv/shop>\nRequire all granted\n</Directory>"
APPLICATION = "def application(environ, start_response):\n    "
ANSWER = "start_response('200 OK', [])\n    return [b'here']\n"
# What to write as the script, and into the configuration.
FAULTS = {
    ("404", "WSGI0135"): (None, "", GRANTED),
    ("404", "WSGI0089"): ("app = 1\n", "", GRANTED),
    ("403", "AH01630"): (APPLICATION + ANSWER, "", ""),
    ("500", "WSGI0105"): ("def application(:\n", "", GRANTED),
    ("500", "WSGI0610"): ("import no_such_module\n" + APPLICATION + ANSWER, "", GRANTED),
    ("500", "WSGI0109"): ("1 / 0\n" + APPLICATION + ANSWER, "", GRANTED),
    ("500", "WSGI0174"): (APPLICATION + "1 / 0\n", "", GRANTED),
    ("502", "WSGI0146"): (APPLICATION + "import os; os.kill(os.getpid(), 9)\n", "", GRANTED),
    ("503", "WSGI0117"): (APPLICATION + ANSWER, "python-home=/srv/shop/no-such-venv connect-timeout=1", GRANTED),
    ("504", "WSGI0411"): (APPLICATION + "import threading; threading.Event().wait()\n", "request-timeout=1 threads=1", GRANTED),
    ("504", "WSGI0145"): (APPLICATION + "import threading; threading.Event().wait()\n", "socket-timeout=1 threads=1", GRANTED),
}
# 503 for a group at its limit needs many clients at once: daemons/test_overload.py. That nothing is logged, and half a page,
# other tests show.
ELSEWHERE = {("503", "WSGI0353"), ("404", "nothing"), ("half", "WSGI0174")}


def rows():
    table = chapter("troubleshooting").split("## By what the browser shows")[1].split("\n## ")[0]
    return {(status, log) for status, log in re.findall(r"(?m)^\| (\d{3}|half)[^|]* \| `?(\w+)", table)}


def test_each_row_is_brought_about():
    assert rows() == set(FAULTS) | ELSEWHERE


@pytest.mark.parametrize("status, message", sorted(FAULTS),
                         ids=["-".join(row) for row in sorted(FAULTS)])
def test_what_the_browser_and_the_log_show(machine, status, message):
    script, options, access = FAULTS[status, message]
    one = machine()
    one.server.expected_crashes = True
    one.run("adduser shop\npython3 -m venv /srv/shop/venv")
    if script is not None:
        one.write("/srv/shop/app.wsgi", script)
    one.configure(SITE % (options, access))
    one.server.start()
    mark = one.log.mark_before(message)
    assert one.server.get("/page").status == int(status), one.log.text()
    one.log.wait_for(message, mark)
    if message == "WSGI0117":
        one.log.wait_for("WSGI0457")


def test_the_three_places(machine):
    one = machine()
    one.run("adduser shop\npython3 -m venv /srv/shop/venv")
    one.write("/srv/shop/app.wsgi", APPLICATION + ANSWER)
    one.configure(SITE % ("", GRANTED) + "<Location /wsgi-status>\nSetHandler wsgi-status\nRequire local\n</Location>")
    one.serve()
    block, = example("look")
    printed = one.run(block.text.replace("/var/log/apache2/error.log", one.log.path))
    assert "Syntax OK" in printed and "resuming normal operations" in printed and '"groups"' in printed
