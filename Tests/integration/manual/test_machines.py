"""The chapter "More than one machine": a front server and two back servers."""
import re
import threading

import pytest

from documents import example
from httpd_env import wait_until
from http_client import Client

SCRIPT = """
import mod_wsgi, os
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join([NAME, environ["REMOTE_ADDR"], environ["wsgi.url_scheme"], environ["HTTP_HOST"]]).encode()]
"""
HOST = [("Host", "shop.example.org")]


@pytest.fixture
def park(machine):
    """The front, and two servers behind it."""
    back = []
    for name in ("app1", "app2"):
        one = machine()
        one.run("adduser shop\npython3 -m venv /srv/shop/venv")
        one.write("/srv/shop/app.wsgi", "NAME = %r\n%s" % (name, SCRIPT))
        one.configure("".join(block.text for block in example("back")).replace("192.0.2.10", "127.0.0.1"))
        one.serve()
        back.append(one)
    front = machine(log_level="notice proxy_hcheck:info")
    conf = "".join(block.text for block in example("front")).replace("hcinterval=5", "hcinterval=100ms")
    for name, one in zip(("app1", "app2"), back):
        conf = conf.replace("http://%s.example.org" % name, "http://127.0.0.1:%d" % one.server.port)
    front.configure(conf)
    front.serve()
    return front, back


def names(front, count=20):
    """Who answered so many requests."""
    answers = [front.server.get("/", HOST) for _ in range(count)]
    assert [answer.status for answer in answers] == [200] * count
    return {answer.text.split()[0] for answer in answers}


def test_requests_are_shared_and_keep_their_client(park):
    front, back = park
    wait_until(lambda: names(front) == {"app1", "app2"}, "both servers")
    assert back[0].server.get("/wsgi-status?json").status == 200
    assert front.server.get("/wsgi-status?json", HOST).status == 403  # the front's own: its directories are closed
    # A client with an address of its own, which pretends to be another.
    said = front.run("curl --interface 127.0.0.2 --header 'X-Forwarded-For: 198.51.100.1' http://shop.example.org/")
    assert said.split()[1:] == ["127.0.0.2", "http", "shop.example.org"]


def test_a_server_is_taken_out_and_comes_back_without_a_lost_request(park):
    front, back = park
    first, over, answers = back[0], threading.Event(), []

    def visit():
        while not over.is_set():
            try:
                with Client(front.server.port) as client:
                    answer = client.request("GET", "/", HOST)
                answers.append((answer.status, answer.text.split()[0]))
            except Exception as failure:
                answers.append((failure, ""))
    visitors = [threading.Thread(target=visit, daemon=True) for _ in range(3)]
    for visitor in visitors:
        visitor.start()
    try:
        served_by(answers, "app1")
        mark = front.log.mark()
        first.run(example("drain")[0].text)
        front.log.wait_for(r"Health check DISABLING http://127\.0\.0\.1:%d" % first.server.port, mark)
        served_by(answers, "app2")
        first.graceful_stop()
        first.server.start()
        mark = front.log.mark()
        first.run(example("undrain")[0].text)
        front.log.wait_for(r"Health check ENABLING http://127\.0\.0\.1:%d" % first.server.port, mark)
        served_by(answers, "app1")
    finally:
        over.set()
        for visitor in visitors:
            visitor.join(60)
    assert {status for status, _ in answers} == {200}


def served_by(answers, name):
    """Waits for an answer of this server from now on."""
    count = len(answers)
    wait_until(lambda: name in [who for _, who in answers[count:]], "an answer of " + name)


def test_a_server_whose_group_is_not_ready_is_left_out(park):
    front, back = park
    wait_until(lambda: names(front) == {"app1", "app2"}, "both servers")
    one, mark = back[0], front.log.mark()
    one.write("/srv/shop/app.wsgi", "1 / 0\n")
    one.run("touch -d '1 hour ago' /srv/shop/app.wsgi")
    wait_until(lambda: one.server.get("/").status == 500, "the failure")
    front.log.wait_for(r"Health check DISABLING http://127\.0\.0\.1:%d" % one.server.port, mark)
    assert names(front) == {"app2"}


def test_a_server_that_is_gone_costs_no_request(park):
    front, back = park
    wait_until(lambda: names(front) == {"app1", "app2"}, "both servers")
    back[0].server.stop()
    assert names(front) == {"app2"}


def test_sessions_stay_with_a_server(park):
    front, _ = park
    front.conf = front.conf.replace("</VirtualHost>", example("front-sessions")[0].text + "</VirtualHost>", 1)
    front.configure("")
    front.server.graceful(alone=True)
    answer = front.server.get("/", HOST)
    cookie = re.match(r"(SHOP_SERVER=\.(app\d)); Path=/; HttpOnly$", answer.header("Set-Cookie"))
    assert cookie[2] == answer.text.split()[0]
    for _ in range(10):
        answer = front.server.get("/", HOST + [("Cookie", cookie[1])])
        assert answer.text.split()[0] == cookie[2] and answer.header("Set-Cookie") is None
