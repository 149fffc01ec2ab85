"""The chapter "A first site": what a reader does, and sees."""
from documents import example


def test_a_first_page(machine):
    one = machine()
    assert one.play(example("first-page")) == "Syntax OK\nIt works\n"
    assert not one.complaints()


def test_flask(machine):
    one = machine()
    assert one.play(example("flask")) == "Hello from Flask"
    assert not one.complaints()


def test_django_with_its_static_files(machine):
    one = machine()
    printed = one.play(example("django"))
    login, head = printed.split("HTTP/1.1 200 OK")
    assert "Syntax OK" in login and "csrfmiddlewaretoken" in login and "Content-Type: text/css" in head
    assert not one.complaints()


def test_static_files(machine):
    one = machine()
    one.run("adduser --system --group --home /srv/shop shop\npython3 -m venv /srv/shop/venv\nmkdir /srv/shop/static")
    one.write("/srv/shop/app.wsgi", next(block.text for block in example("first-page") if block.language == "python"))
    for name in ("robots.txt", "page.css"):
        one.write("/srv/shop/static/" + name, name)
    one.play(example("static"))
    server = one.serve()
    assert server.get("/").text == "It works\n" and server.get("/robots.txt").text == "robots.txt"
    css = server.get("/static/page.css")
    assert css.text == "page.css" and css.header("Cache-Control") == "max-age=86400"
    # What the text says of the rest: it stays closed.
    one.conf = one.conf.replace("Alias /robots.txt", "Alias /secret /srv/shop\nAlias /robots.txt")
    one.configure("")
    server.graceful()
    one.write("/srv/shop/settings.py", "SECRET = 1")
    assert server.get("/secret/settings.py").status == 403
    assert not one.complaints()
