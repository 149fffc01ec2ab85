"""Producing the response: what an application may return, and what it may not."""
import itertools
import sys
import threading

from routes import Router, text

route = Router()
application = route.application
PLAIN = [("Content-Type", "text/plain")]


class Body:
    """An iterable that records when it is closed, in `EVENTS`."""

    def __init__(self, blocks, name="body", fail_in_close=None):
        self.blocks, self.name, self.fail_in_close = iter(blocks), name, fail_in_close

    def __iter__(self):
        return self

    def __next__(self):
        block = next(self.blocks)
        if isinstance(block, BaseException):
            raise block
        return block

    def close(self):
        EVENTS.append("close " + self.name)
        if self.fail_in_close:
            raise self.fail_in_close


EVENTS = []


@route
def events(environ, start_response):
    out = "\n".join(EVENTS)
    if environ["test.query"].get("clear"):
        EVENTS.clear()
    return text(start_response, out)


# MARK: shapes of the iterable

@route
def one_block(environ, start_response):
    start_response("200 OK", PLAIN)
    return [b"hello world"]


@route
def one_block_tuple(environ, start_response):
    start_response("200 OK", PLAIN)
    return (b"hello world",)


@route
def two_blocks(environ, start_response):
    start_response("200 OK", PLAIN)
    return [b"hello ", b"world"]


@route
def empty_list(environ, start_response):
    start_response("200 OK", PLAIN)
    return []


@route
def one_empty_block(environ, start_response):
    start_response("200 OK", PLAIN)
    return [b""]


@route
def empty_blocks_between(environ, start_response):
    start_response("200 OK", PLAIN)
    return [b"", b"hello ", b"", b"world", b""]


@route
def sized(environ, start_response):
    size, kind = int(environ["test.query"]["size"]), environ["test.query"]["kind"]
    body = (b"0123456789" * (size // 10 + 1))[:size]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return {"list": [body], "tuple": (body,), "two": [body[:3], body[3:]]}[kind]


@route
def generator(environ, start_response):
    start_response("200 OK", PLAIN)
    yield b"hello "
    yield b"world"


@route
def lazy(environ, start_response):
    yield b""
    start_response("200 Lazy", PLAIN)
    yield b"hello world"


@route
def list_iterator(environ, start_response):
    start_response("200 OK", PLAIN)
    return iter([b"hello world"])


@route
def sequence(environ, start_response):
    class Sequence:
        def __getitem__(self, index):
            return [b"hello ", b"world"][index]
    start_response("200 OK", PLAIN)
    return Sequence()


@route
def bytes_subclass(environ, start_response):
    class Bytes(bytes):
        pass
    start_response("200 OK", PLAIN)
    return [Bytes(b"hello world")]


@route
def list_subclass(environ, start_response):
    class List(list):
        def __iter__(self):
            return iter([b"from iter"])
    start_response("200 OK", PLAIN)
    return List([b"from storage"])


@route
def large(environ, start_response):
    start_response("200 OK", PLAIN)
    return [b"x" * (5 << 20)]


@route
def many(environ, start_response):
    start_response("200 OK", PLAIN)
    return (b"%07d\n" % number for number in range(100000))


# MARK: wrong shapes

WRONG = {
    "none": None, "number": 5, "true": True, "bytes": b"hello", "str": "hello", "dict_of_str": {"a": b"b"},
    "list_of_str": ["hello"], "list_of_int": [104], "list_of_none": [None], "list_of_bytearray": [bytearray(b"hello")],
    "list_of_memoryview": [memoryview(b"hello")], "list_of_list": [[b"hello"]], "object": object(), "module": sys,
    "second_is_str": [b"hello", "world"], "function": len, "type": list,
}


@route
def wrong(environ, start_response):
    start_response("200 OK", PLAIN)
    return WRONG[environ["test.rest"]]


@route
def wrong_lazily(environ, start_response):
    start_response("200 OK", PLAIN)
    yield b"first "
    yield "a str"


@route
def no_start_response(environ, start_response):
    return [b"hello"]


@route
def no_start_response_empty(environ, start_response):
    return []


@route
def no_start_response_none(environ, start_response):
    return None


# MARK: exceptions

EXCEPTIONS = {
    "value": ValueError, "exit": SystemExit, "keyboard": KeyboardInterrupt, "memory": MemoryError, "base": BaseException,
    "generator_exit": GeneratorExit, "stop": StopIteration, "unicode": lambda text: UnicodeDecodeError("utf-8", b"\xff", 0, 1, text),
    "recursion": RecursionError, "os": OSError, "syntax": SyntaxError, "surrogate": lambda text: ValueError(text + "\ud800"),
}


@route
def raise_in_call(environ, start_response):
    start_response("200 OK", PLAIN + [("X-App", "1")])
    raise EXCEPTIONS[environ["test.rest"]]("raised on purpose")


@route
def raise_in_iter(environ, start_response):
    class Broken:
        def __iter__(self):
            raise EXCEPTIONS[environ["test.rest"]]("raised on purpose")

        def close(self):
            EVENTS.append("close in_iter")
    start_response("200 OK", PLAIN)
    return Broken()


@route
def raise_first(environ, start_response):
    start_response("200 OK", PLAIN)
    return Body([EXCEPTIONS[environ["test.rest"]]("raised on purpose")], "first")


@route
def raise_later(environ, start_response):
    start_response("200 OK", PLAIN)
    return Body([b"first ", EXCEPTIONS[environ["test.rest"]]("raised on purpose")], "later")


@route
def raise_later_with_length(environ, start_response):
    start_response("200 OK", PLAIN + [("Content-Length", "100")])
    return Body([b"first ", ValueError("raised on purpose")], "later")


@route
def raise_in_close(environ, start_response):
    start_response("200 OK", PLAIN + [("Content-Length", "5")])
    return Body([b"hello"], "failing", EXCEPTIONS[environ["test.rest"]]("raised on purpose"))


@route
def close_lookup_fails(environ, start_response):
    class Awkward:
        def __iter__(self):
            return iter([b"hello"])

        @property
        def close(self):
            raise ValueError("no close for you")
    start_response("200 OK", PLAIN + [("Content-Length", "5")])
    return Awkward()


@route
def close_is_not_callable(environ, start_response):
    class Awkward(list):
        close = 5
    start_response("200 OK", PLAIN + [("Content-Length", "5")])
    return Awkward([b"hello"])


@route
def exit_in_call(environ, start_response):
    sys.exit("leaving")


@route
def recursion(environ, start_response):
    def down():
        return down() + 1
    down()


@route
def chained(environ, start_response):
    try:
        raise KeyError("inner cause")
    except KeyError as cause:
        raise ValueError("outer effect") from cause


# MARK: close

@route
def closes(environ, start_response):
    start_response("200 OK", PLAIN)
    return Body([b"hello ", b"world"], "normal")


@route
def endless(environ, start_response):
    start_response("200 OK", PLAIN)
    return Body(itertools.repeat(b"x" * 65536), "endless")


@route
def endless_write(environ, start_response):
    write = start_response("200 OK", PLAIN)
    try:
        while True:
            write(b"x" * 65536)
    except OSError as failure:
        EVENTS.append("OSError " + str(failure))
        raise
    finally:
        EVENTS.append("write ended")
    return []


# MARK: lengths

@route
def length(environ, start_response):
    start_response("200 OK", PLAIN + [("Content-Length", environ["test.query"]["length"])])
    return [b"0123456789"]


@route
def length_in_blocks(environ, start_response):
    start_response("200 OK", PLAIN + [("Content-Length", environ["test.query"]["length"])])
    yield b"01234"
    yield b"56789"


@route
def status(environ, start_response):
    start_response(environ["test.query"]["status"], PLAIN + [("X-App", "1")])
    return [b"0123456789"] if "body" in environ["test.query"] else []


@route
def method(environ, start_response):
    return text(start_response, environ["REQUEST_METHOD"])


@route
def method_generator(environ, start_response):
    start_response("200 OK", PLAIN)
    yield environ["REQUEST_METHOD"].encode()


# MARK: write

@route
def write_then_return(environ, start_response):
    write = start_response("200 OK", PLAIN)
    write(b"one ")
    write(b"")
    write(b"two ")
    return [b"three ", b"four"]


@route
def write_wrong(environ, start_response):
    write = start_response("200 OK", PLAIN)
    failures = []
    for value in ("text", None, 5, bytearray(b"x"), memoryview(b"x")):
        try:
            write(value)
        except TypeError as failure:
            failures.append("%s" % failure)
    return ["\n".join(failures).encode()]


WRITES = []


@route
def write_keep(environ, start_response):
    WRITES[:] = [start_response("200 OK", PLAIN)]
    return [b"kept"]


@route
def write_kept(environ, start_response):
    try:
        WRITES[0](b"late")
    except RuntimeError:
        return text(start_response, "RuntimeError")
    return text(start_response, "accepted")


@route
def location(environ, start_response):
    start_response("200 OK", PLAIN + [("Location", "/elsewhere")])
    return [b"the body stays"]


@route
def status_error(environ, start_response):
    start_response("200 Error", PLAIN)
    return [b"the body stays"]


# MARK: each block on its way before the next is asked for

GATE = threading.Event()


@route
def gated(environ, start_response):
    GATE.clear()
    start_response("200 OK", PLAIN)
    yield b"first"
    GATE.wait(20)
    yield b"second"


@route
def gated_write(environ, start_response):
    GATE.clear()
    write = start_response("200 OK", PLAIN)
    write(b"first")
    GATE.wait(20)
    return [b"second"]


@route
def gated_again(environ, start_response):
    start_response("200 OK", PLAIN)
    for number in range(8):
        GATE.clear()
        yield b"%d" % number
        GATE.wait(20)


@route
def open_gate(environ, start_response):
    GATE.set()
    return text(start_response, "open")
