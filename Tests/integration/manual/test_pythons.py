"""The chapter "Several Pythons"; with WSGI_TEST_OTHER_PYTHON it is two of them."""
import os
import subprocess
import sys

from documents import example

SCRIPT = """
import sys
def application(environ, start_response):
    start_response("200 OK", [])
    return [("%d.%d at %s" % (*sys.version_info[:2], sys.prefix)).encode()]
"""


def version_of(program):
    return subprocess.check_output([program, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], text=True).strip()


def test_each_site_has_its_own(machine):
    other = os.environ.get("WSGI_TEST_OTHER_PYTHON")
    program = os.path.join(other, "bin", "python3") if other else sys.executable
    one = machine()
    for block in example("pythons"):
        if block.language == "sh":
            one.run(block.text.replace("/usr/local/bin/python3.13", program))
        else:
            one.play([block])
    for name in ("shop", "wiki"):
        one.write("/srv/%s/app.wsgi" % name, SCRIPT, name)
    server = one.serve()
    assert server.get("/shop").text == "%s at /srv/shop/venv" % version_of(sys.executable)
    assert server.get("/wiki").text == "%s at /srv/wiki/venv" % version_of(program)
    assert not one.complaints()
