"""Applications that do everything wrong, short of ending their own process."""
import gc
import io
import os
import sys
import threading
import weakref

from routes import Router, text

route = Router()
application = route.application
PLAIN = [("Content-Type", "text/plain")]


@route
def million_headers(environ, start_response):
    start_response("200 OK", [("X-%d" % index, "v") for index in range(int(environ["test.query"]["count"]))])
    return [b"body"]


@route
def long_header(environ, start_response):
    start_response("200 OK", [("X-Long", "v" * int(environ["test.query"]["size"]))])
    return [b"body"]


@route
def long_status(environ, start_response):
    start_response("200 " + "x" * 1000000, PLAIN)
    return [b"body"]


@route
def odd_names(environ, start_response):
    start_response("200 OK", [("X(Paren)", "1"), ("X:Colon", "2"), ("X@At", "3")])
    return [b"body"]


@route
def hop_by_hop(environ, start_response):
    start_response("200 OK", [("Connection", "keep-alive"), ("Keep-Alive", "timeout=5"), ("Upgrade", "h2c"), ("TE", "trailers")])
    return [b"body"]


@route
def chunked_by_hand(environ, start_response):
    start_response("200 OK", [("Transfer-Encoding", "chunked")])
    return [b"4\r\nbody\r\n0\r\n\r\n"]


@route
def informational(environ, start_response):
    start_response("%s Odd" % environ["test.query"]["status"], [])
    return [b""]


@route
def environ_cleared(environ, start_response):
    environ.clear()
    environ[5] = environ
    start_response("200 OK", PLAIN)
    return [b"body"]


@route
def environ_kept(environ, start_response):
    KEPT.append((environ, start_response, start_response("200 OK", PLAIN)))
    return [b"body"]


KEPT = []


@route
def use_all_kept(environ, start_response):
    for kept, start, write in KEPT:
        for action in (lambda: kept["wsgi.input"].read(), lambda: kept["wsgi.errors"].write("x\n"), lambda: start("200 OK", []),
                       lambda: write(b"x"), lambda: list(kept["wsgi.input"]), lambda: kept["wsgi.file_wrapper"](io.BytesIO(b""))):
            try:
                action()
            except (RuntimeError, TypeError):
                pass
    KEPT.clear()
    gc.collect()
    return text(start_response, "used")


@route
def streams_removed(environ, start_response):
    saved = sys.stderr, sys.stdout
    sys.stderr = sys.stdout = None
    try:
        raise_and_catch()
        start_response("200 OK", PLAIN)
        return [b"body"]
    finally:
        sys.stderr, sys.stdout = saved


def raise_and_catch():
    try:
        raise ValueError
    except ValueError:
        pass


@route
def stderr_removed_and_raises(environ, start_response):
    saved = sys.stderr
    sys.stderr = None
    RESTORE.append(saved)
    raise ValueError("without a stderr")


RESTORE = []


@route
def restore(environ, start_response):
    while RESTORE:
        sys.stderr = RESTORE.pop()
    return text(start_response, "restored")


@route
def traceback_removed(environ, start_response):
    import traceback
    saved, traceback.print_exception, traceback.format_exception = traceback.print_exception, None, None
    try:
        raise ValueError("without a traceback module")
    finally:
        import importlib
        importlib.reload(traceback)


@route
def bad_str(environ, start_response):
    class Bad(Exception):
        def __str__(self):
            raise RuntimeError("str fails too")
        __repr__ = __str__
    raise Bad()


@route
def huge_message(environ, start_response):
    raise ValueError("begin" + "x" * 3000000 + "end")


@route
def message_with_controls(environ, start_response):
    raise ValueError("one\r\n[Mon Jan 01 00:00:00 2024] [forged:error] two\x1b[31m\0three")


@route
def exception_group(environ, start_response):
    inner = ValueError("0")
    for index in range(2000):
        try:
            raise ValueError(str(index)) from inner
        except ValueError as failure:
            inner = failure
    raise inner


@route
def self_caused(environ, start_response):
    failure = ValueError("its own cause")
    failure.__cause__ = failure
    raise failure


@route
def generator_reentered(environ, start_response):
    start_response("200 OK", PLAIN)
    holder = []

    def blocks():
        yield next(holder[0])
    holder.append(blocks())
    return holder[0]


@route
def generator_closed_by_itself(environ, start_response):
    start_response("200 OK", PLAIN)

    class Closing:
        def __init__(self):
            self.count = 0

        def __iter__(self):
            return self

        def __next__(self):
            self.count += 1
            self.close()
            if self.count > 3:
                raise StopIteration
            return b"x"

        def close(self):
            self.count += 0
    return Closing()


@route
def list_changed_while_sent(environ, start_response):
    start_response("200 OK", PLAIN)
    blocks = [b"a" * 100 for _ in range(100)]

    class Changing(list):
        def __len__(self):
            del self[:]
            return 1000000
    return Changing(blocks)


@route
def list_changed_by_its_items(environ, start_response):
    blocks = []

    class Item(bytes):
        def __buffer__(self, flags):
            blocks.clear()
            return memoryview(b"x")

        def __len__(self):
            blocks.clear()
            return 1 << 40
    start_response("200 OK", PLAIN)
    blocks.extend([Item(b"abc")] * 10)
    return blocks


@route
def headers_changed_by_their_items(environ, start_response):
    headers = []

    class Name(str):
        def __str__(self):
            headers.clear()
            return "X-Changed"

        def __hash__(self):
            headers.clear()
            return 1

        def encode(self, *_):
            headers.clear()
            return b"X-Changed"
    headers.extend([(Name("X-Name"), Name("value"))] * 100)
    start_response("200 OK", headers)
    headers.clear()
    return [b"body"]


@route
def headers_changed_later(environ, start_response):
    headers = [("X-Early", "1")]
    start_response("200 OK", headers)
    headers.append(("X-Late", "2"))
    headers.append("not a tuple")
    return [b"body"]


@route
def failing_del(environ, start_response):
    class Failing(list):
        def __del__(self):
            raise ValueError("in __del__")
    start_response("200 OK", PLAIN)
    return Failing([b"body"])


@route
def deep_recursion(environ, start_response):
    nested = []
    for _ in range(100000):
        nested = [nested]
    try:
        repr(nested)
    except RecursionError:
        pass
    start_response("200 OK", PLAIN)
    return [b"body"]


@route
def infinite_recursion_in_iteration(environ, start_response):
    start_response("200 OK", PLAIN)

    class Endless:
        def __iter__(self):
            return iter(self)
    return Endless()


@route
def recursion_in_close(environ, start_response):
    class Closing(list):
        def close(self):
            self.close()
    start_response("200 OK", PLAIN)
    return Closing([b"body"])


@route
def memory_error(environ, start_response):
    start_response("200 OK", PLAIN)
    return [bytes(1 << 60)]


@route
def memory_error_in_read(environ, start_response):
    start_response("200 OK", PLAIN)
    return [environ["wsgi.input"].read(1 << 62)]


@route
def odd_numbers(environ, start_response):
    seen = []
    for number in (1 << 70, -(1 << 70), "5", 5.0, None, True):
        for name in ("read", "readline", "readlines"):
            try:
                getattr(environ["wsgi.input"], name)(number)
                seen.append("ok")
            except (TypeError, OverflowError, ValueError, MemoryError) as failure:
                seen.append(type(failure).__name__)
    return text(start_response, " ".join(seen))


@route
def instances_outlive(environ, start_response):
    KEPT_REFS.append(weakref.WeakKeyDictionary())
    KEPT_OBJECTS.append((environ["wsgi.input"], environ["wsgi.errors"].buffer, environ["wsgi.file_wrapper"](io.BytesIO(b"x"))))
    return text(start_response, "kept")


KEPT_REFS, KEPT_OBJECTS = [], []


@route
def types_called(environ, start_response):
    """The types behind the objects, made by hand."""
    seen = []
    for thing in (environ["wsgi.input"], environ["wsgi.errors"].buffer, start_response.__self__ if hasattr(
            start_response, "__self__") else start_response):
        kind = type(thing)
        for attempt in (lambda: kind(), lambda: kind.__new__(kind), lambda: object.__new__(kind)):
            try:
                made = attempt()
                for method in ("read", "readline", "write", "flush", "close", "__next__", "__iter__"):
                    try:
                        getattr(made, method)()
                    except Exception:
                        pass
                seen.append("made")
            except TypeError:
                seen.append("refused")
        try:
            type("Sub", (kind,), {})()
        except Exception:
            pass
    return text(start_response, " ".join(seen))


@route
def thread_uses_the_request(environ, start_response):
    """Another thread writes, reads and logs while the request runs, and after it."""
    write = start_response("200 OK", PLAIN)
    stop = threading.Event()

    def use():
        while not stop.is_set():
            for action in (lambda: environ["wsgi.input"].read(1), lambda: environ["wsgi.errors"].flush(), lambda: write(b"")):
                try:
                    action()
                except Exception:
                    pass
    user = threading.Thread(target=use)
    user.start()
    threading.Timer(0.3, stop.set).start()
    for _ in range(100):
        yield b"x"


@route
def two_threads_write(environ, start_response):
    """Two threads send blocks that take their time, read, and log, at once; one of them still does when the request has ended."""
    write = start_response("200 OK", PLAIN)
    stop = threading.Event()

    def use():
        while not stop.is_set():
            for action in (lambda: write(b"y" * 200000), lambda: environ["wsgi.input"].read(10), lambda: environ["wsgi.input"].readline(),
                           lambda: print("from another thread", file=environ["wsgi.errors"])):
                try:
                    action()
                except Exception:
                    pass
    users = [threading.Thread(target=use) for _ in range(2)]
    for user in users:
        user.start()
    threading.Timer(0.2, stop.set).start()
    for _ in range(30):
        environ["wsgi.input"].read(1000)
        yield b"x" * 200000


@route
def fork(environ, start_response):
    pid = os.fork()
    if pid == 0:
        os._exit(7)
    return text(start_response, str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))


@route
def bytes_header(environ, start_response):
    start_response(b"200 OK", [(b"X", b"Y")])
    return [b"body"]


@route
def audit(environ, start_response):
    sys.settrace(lambda *_: None)
    sys.setprofile(lambda *_: None)
    start_response("200 OK", PLAIN)
    return [b"body"]


class Application:
    """A class as the application: its instances are the iterables."""

    def __init__(self, environ, start_response):
        start_response("200 OK", PLAIN)

    def __iter__(self):
        yield b"from a class"


none = None
number = 5


def takes_none():
    return []


async def coroutine(environ, start_response):
    start_response("200 OK", PLAIN)
    return [b"body"]
