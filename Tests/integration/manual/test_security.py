"""The chapter "Security": the site that it describes serves, and cannot change itself."""
import ast

from documents import example

SCRIPT = """
import os
def application(environ, start_response):
    start_response("200 OK", [])
    return [repr([path for path, _, _ in os.walk("/srv/shop") if os.access(path, os.W_OK)]
                 + [name for name in os.environ if name == "SECRET"]).encode()]
"""


def test_a_site_that_is_hard_to_abuse(machine):
    one = machine()
    one.server.environment["SECRET"] = "of httpd"
    shell, conf = example("hardened")
    one.play([shell])
    one.write("/srv/shop/app.wsgi", SCRIPT)
    one.run("chown root: /srv/shop/app.wsgi")
    one.play([conf])
    server = one.serve()
    assert ast.literal_eval(server.get("/").text) == ["/srv/shop/uploads"]
    assert not one.complaints()
    # A script that somebody else has put there is not run.
    one.run("chown shop: /srv/shop/app.wsgi")
    mark = one.log.mark()
    one.run("touch -d '1 hour ago' /srv/shop/app.wsgi")
    assert server.get("/").status == 403
    one.log.wait_for(r"WSGI0163", mark)
