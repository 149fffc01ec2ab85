"""wsgi.input: `/read?how=EXPRESSION` evaluates an expression over `i`, the input, and answers with its repr."""
import concurrent.futures
import hashlib
import threading

from routes import Router, text

route = Router()
application = route.application
RESULTS = []


@route
def read(environ, start_response):
    i = environ["wsgi.input"]
    try:
        result = repr(eval(environ["test.query"]["how"], {"i": i, "environ": environ}))
    except Exception as failure:
        result = "%s: %s" % (type(failure).__name__, failure)
    RESULTS.append(result)
    return text(start_response, result)


@route
def digest(environ, start_response):
    seen, size, stream = hashlib.sha256(), 0, environ["wsgi.input"]
    block = int(environ["test.query"].get("block", "65536"))
    while True:
        data = stream.read(block)
        if not data:
            break
        seen.update(data)
        size += len(data)
    return text(start_response, "%d %s" % (size, seen.hexdigest()))


@route
def ignore(environ, start_response):
    return text(start_response, "ignored")


KEPT = []


@route
def keep(environ, start_response):
    KEPT[:] = [environ["wsgi.input"], start_response, start_response("200 OK", [])]
    return text(start_response, "kept")


@route
def use_kept(environ, start_response):
    answers = []
    for how in ("i.read()", "i.readline()", "i.readlines()", "list(i)", "start('200 OK', [])", "write(b'x')"):
        try:
            answers.append(repr(eval(how, {"i": KEPT[0], "start": KEPT[1], "write": KEPT[2]})))
        except RuntimeError as failure:
            answers.append("RuntimeError: %s" % failure)
    return text(start_response, "\n".join(answers))


@route
def fail_twice(environ, start_response):
    """Reads a body that the client never finishes: what the first and the second read raise."""
    stream, answers = environ["wsgi.input"], []
    for _ in range(2):
        try:
            answers.append(repr(stream.read()))
        except OSError as failure:
            answers.append("OSError: %s" % failure)
    RESULTS.append("\n".join(answers))
    DONE.set()
    return text(start_response, "\n".join(answers))


DONE = threading.Event()


@route
def in_a_thread(environ, start_response):
    """A thread of the application reads the body and writes the answer, while the request's own thread waits for it."""
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        for _ in range(3):
            pool.submit(lambda: write(environ["wsgi.input"].read(5) + b"|")).result()
        pool.submit(lambda: write(environ["wsgi.input"].read())).result()
    return [b" done"]


@route
def results(environ, start_response):
    if environ["test.query"].get("clear"):
        RESULTS.clear()
        DONE.clear()
    return text(start_response, "\n".join(RESULTS))


@route
def answer_first(environ, start_response):
    """Answers before it reads: what the client sends later is echoed, block by block."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"ready"
    stream = environ["wsgi.input"]
    while True:
        line = stream.readline()
        if not line:
            return
        yield b"echo " + line


@route
def read_after_answer(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"answer "
    yield environ["wsgi.input"].read()
