"""The chapter "Tuning": its configurations serve, and what it reads from the status page is there to be read."""
import re

from documents import chapter, example

SCRIPT = """
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"here"]
"""


def test_a_tuned_server(machine):
    one = machine(threads=25, processes=8)
    one.run("adduser shop\npython3 -m venv /srv/shop/venv")
    one.write("/srv/shop/app.wsgi", SCRIPT)
    one.play(example("mpm") + example("slow") + example("tuned"))
    assert one.serve().get("/").text == "here"
    assert not one.complaints()


def test_what_the_page_shows_is_what_it_has():
    """Causes of failures, reasons of ends, and states."""
    rows = re.findall(r"(?m)^\| `(failures|process_ends|state)` \|(.*)$", chapter("monitoring"))
    words = {word for _, row in rows for word in re.findall(r"`(\w+)`", row)}
    words |= {"maximum_requests", "memory_recycle"}  # `shutdown_reason` stands for them
    table = chapter("tuning").split("## How to read the status page")[1].split("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"(?m)^\| ([^|]*) \|", table))))
    assert len(named) > 6 and named <= words, named - words
