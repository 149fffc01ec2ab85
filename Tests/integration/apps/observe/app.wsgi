"""What the tests of the mod_wsgi module ask for: mostly, the value of an expression."""
import json
import logging
import os
import sys
import threading
import time
import traceback

import apache
import mod_wsgi
from routes import Router, text

router = Router()
application = router.application
seen = []


def answer(start_response, value):
    return text(start_response, json.dumps(value, default=repr))


@router
def evaluate(environ, start_response):
    """The value of ?e=EXPRESSION as JSON, or the exception."""
    try:
        value = eval(environ["test.query"]["e"], dict(globals(), environ=environ))
    except BaseException as exception:
        value = "%s: %s" % (type(exception).__name__, exception)
    return answer(start_response, value)


@router
def execute(environ, start_response):
    """Executes ?c=CODE in this module."""
    exec(environ["test.query"]["c"], globals())
    return text(start_response, "done")


@router
def body(environ, start_response):
    return text(start_response, str(len(environ["wsgi.input"].read())))


@router
def status(environ, start_response):
    return text(start_response, "status", environ["test.rest"] + " Status")


@router
def fail(environ, start_response):
    raise ValueError("told to fail")


@router
def stream(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return (b"0123456789" for _ in range(int(environ["test.rest"])))


@router
def wait(environ, start_response):
    """Waits until the file ?path= is there, in a function that a stack shows."""
    def waiting_for_a_file(path):
        while not os.path.exists(path):
            time.sleep(0.005)
    waiting_for_a_file(environ["test.query"]["path"])
    return text(start_response, "waited")


@router
def collect(environ, start_response):
    import gc
    for _ in range(int(environ["test.rest"])):
        gc.collect(int(environ["test.query"].get("generation", "2")))
    return text(start_response, "collected")


@router
def log_levels(environ, start_response):
    """A record of every level, on this request's thread or (rest "thread") on another."""
    logger = logging.getLogger("observe." + environ["test.rest"])
    logger.handlers = [mod_wsgi.LogHandler()]
    logger.handlers[0].setFormatter(logging.Formatter("%(levelname)s of %(name)s: %(message)s"))
    logger.propagate = False
    logger.setLevel(1)

    def write():
        for level in (5, 10, 20, 25, 30, 40, 50, 60):
            logger.log(level, "level %d", level)
        logger.error("first line\nsecond line")
        logger.error("bad %d", "argument")
    if environ["test.rest"] == "thread":
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
    else:
        write()
    return text(start_response, "logged")
