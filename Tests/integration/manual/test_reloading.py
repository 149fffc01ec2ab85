"""The chapter "Reloading": new code by the recipes that it gives."""
import os
import threading

from documents import example
from httpd_env import wait_until

SCRIPT = """
import shop
def application(environ, start_response):
    start_response("200 OK", [])
    return [shop.VERSION.encode()]
"""


def furnished(machine, place="/srv/shop"):
    one = machine(log_level="notice wsgi:info")
    one.run("adduser shop\ninstall -d -o shop -g shop {0}\npython3 -m venv {0}/venv".format(place))
    one.write(place + "/app.wsgi", SCRIPT)
    one.write(place + "/shop.py", "VERSION = 'one'\n")
    return one


def until(server, text):
    """Asks until new code answers; every answer on the way is one of the site's."""
    def asked():
        answer = server.get("/")
        assert answer.status == 200, answer
        return answer.text == text
    wait_until(asked, lambda: text + server.story())


def newer(one, path, text):
    """A file with another time than the one that was there, however coarse the clock of the file system."""
    before = os.stat(one.path(path)).st_mtime
    one.write(path, text)
    os.utime(one.path(path), (before + 2, before + 2))


def test_a_touched_script(machine):
    one = furnished(machine)
    one.play([block for block in example("rolling") if block.language == "apache"])
    server = one.serve()
    assert server.get("/").text == "one"
    touch, = [block for block in example("rolling") if block.language == "sh"]
    newer(one, "/srv/shop/shop.py", "VERSION = 'two'\n")
    one.play([touch])
    until(server, "two")
    # Code that does not load leaves the old processes where they are.
    newer(one, "/srv/shop/shop.py", "VERSION = three\n")
    mark = one.log.mark()
    one.play([touch])
    wait_until(lambda: server.get("/").text == "two" and one.log.lines("WSGI0460", mark), "the message")
    one.log.wait_for("NameError", mark)


def test_releases_side_by_side(machine):
    one = furnished(machine, "/srv/shop/releases/1")
    one.run("cp -a /srv/shop/releases/1 /srv/shop/releases/2\nln -s /srv/shop/releases/1 /srv/shop/current")
    one.write("/srv/shop/releases/2/shop.py", "VERSION = 'two'\n")
    conf, switch = example("releases")
    one.play([conf])
    server = one.serve()
    assert server.get("/").text == "one"
    over, seen = threading.Event(), []

    def visit():
        while not over.is_set():
            seen.append(server.get("/"))
    visitor = threading.Thread(target=visit, daemon=True)
    visitor.start()
    try:
        one.play([switch])
        until(server, "two")
    finally:
        over.set()
        visitor.join(60)
    assert {(answer.status, answer.text) for answer in seen} <= {(200, "one"), (200, "two")}
    one.run(switch.text.replace("/2", "/1"))
    until(server, "one")
    assert not one.complaints()


def test_a_watch_on_all_modules(machine):
    one = furnished(machine)
    one.write("/srv/shop/helper.py", "VERSION = 'one'\n")
    one.write("/srv/shop/shop.py", "import helper\ndef application(environ, start_response):\n"
              "    start_response('200 OK', [])\n    return [helper.VERSION.encode()]\n")
    one.play(example("watch"))
    one.play([block for block in example("rolling") if block.language == "apache"])
    server = one.serve()
    assert server.get("/").text == "one"
    newer(one, "/srv/shop/helper.py", "VERSION = 'two'\n")
    until(server, "two")
