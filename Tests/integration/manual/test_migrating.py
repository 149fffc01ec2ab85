"""The chapter "Migrating": its configurations serve, and its tables name what there is."""
import re

import pytest

from documents import chapter, example

SCRIPT = """
import os, sys
def application(environ, start_response):
    start_response("200 OK", [])
    return [repr((sys.prefix, os.getcwd(), environ["SCRIPT_NAME"], environ["PATH_INFO"])).encode()]
"""
EXAMPLES = {"express": "shop/wsgi.py", "gunicorn": "shop/wsgi.py", "passenger": "passenger_wsgi.py"}


@pytest.mark.parametrize("blocks", [example("express"), example("gunicorn"), example("passenger")], ids=EXAMPLES)
def test_a_site_that_has_moved(machine, blocks):
    one = machine()
    one.run("adduser shop\npython3 -m venv /srv/shop/venv\nmkdir -p /srv/shop/shop /srv/shop/static /srv/shop/public/assets")
    one.write("/srv/shop/" + EXAMPLES[blocks[0].marks["test"]], SCRIPT)
    files = {"/assets/page.css": "public/assets/page.css", "/robots.txt": "public/robots.txt"}
    if "passenger" not in blocks[0].marks["test"]:
        files = {"/static/page.css": "static/page.css"}
    for url, path in files.items():
        one.write("/srv/shop/" + path, url)
    one.play(blocks)
    server = one.serve()
    assert server.get("/some/page").text == repr(("/srv/shop/venv", "/srv/shop", "", "/some/page"))
    for url in files:
        assert server.get(url).text == url
    assert not one.complaints()


def cells():
    """The right column of the chapter's tables."""
    return [row.rsplit("|", 2)[1] for row in re.findall(r"^\| .* \|$", chapter("migrating"), re.M)]


def test_directives_and_options_of_the_tables_exist():
    reference = chapter("reference")
    options = set(re.findall(r"^\| `([\w-]+)=`", reference, re.M))
    options |= {"process-group", "callable-object"}  # of the aliases
    directives = set(re.findall(r"^\| `<?(WSGI\w+)", reference, re.M))
    named = set(re.findall(r"`([\w-]+)=", " ".join(cells()))) | set(re.findall(r"(?<=[` ])([a-z-]+)=", " ".join(cells())))
    assert len(named) > 30 and named <= options, named - options
    assert set(re.findall(r"`(WSGI\w+)", " ".join(cells()))) <= directives
    same, = re.findall(r"^\| `--…-timeout`(.*?) \| the option", chapter("migrating"), re.M)
    assert set(re.findall(r"`--([a-z-]+)`", same)) <= options
