"""wsgi.file_wrapper over files, pipes and things that only read()."""
import io
import os
import tempfile

import mod_wsgi
from routes import Router, text

route = Router()
application = route.application
PLAIN = [("Content-Type", "text/plain")]
DATA = b"0123456789" * 10
PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data.bin")
EVENTS = []


class Noisy:
    """Passes a file on and records what is called."""

    def __init__(self, target, **without):
        self.target = target
        for name, value in without.items():
            setattr(self, name, value)

    def __getattr__(self, name):
        if name == "target":
            raise AttributeError(name)
        value = getattr(self.target, name)
        if not callable(value):
            return value

        def call(*arguments):
            EVENTS.append("%s%r" % (name, arguments))
            return value(*arguments)
        return call


def opened(environ, **arguments):
    return Noisy(open(PATH, "rb"), **arguments)


@route
def events(environ, start_response):
    out = "\n".join(EVENTS)
    EVENTS.clear()
    return text(start_response, out)


@route
def whole(environ, start_response):
    start_response("200 OK", PLAIN)
    return environ["wsgi.file_wrapper"](opened(environ))


@route
def part(environ, start_response):
    """?offset=O&length=L&block=B, each optional."""
    query, headers = environ["test.query"], list(PLAIN)
    source = opened(environ)
    if "offset" in query:
        source.seek(int(query["offset"]))
    if "length" in query:
        headers.append(("Content-Length", query["length"]))
    start_response(query.get("status", "200 OK"), headers)
    return environ["wsgi.file_wrapper"](source, int(query.get("block", "8192")))


@route
def position(environ, start_response):
    """Where the descriptor stands after it was served."""
    source = open(PATH, "rb")
    os.lseek(source.fileno(), 0, os.SEEK_SET)
    source.seek(30)
    KEPT[:] = [os.dup(source.fileno())]
    start_response("200 OK", PLAIN)
    return environ["wsgi.file_wrapper"](source)


KEPT = []


@route
def kept_position(environ, start_response):
    return text(start_response, str(os.lseek(KEPT[0], 0, os.SEEK_CUR)))


@route
def unlinked(environ, start_response):
    source = tempfile.TemporaryFile()
    source.write(DATA)
    source.seek(10)
    start_response("200 OK", PLAIN)
    return environ["wsgi.file_wrapper"](source)


@route
def memory(environ, start_response):
    start_response("200 OK", PLAIN)
    return environ["wsgi.file_wrapper"](Noisy(io.BytesIO(DATA)), 30)


@route
def memory_noisy(environ, start_response):
    start_response("200 OK", PLAIN + [("X-A", "1")])
    return environ["wsgi.file_wrapper"](Noisy(io.BytesIO(DATA)))


@route
def sparse(environ, start_response):
    file = tempfile.TemporaryFile()
    os.truncate(file.fileno(), 1 << 40)
    start_response("200 OK", PLAIN)
    return environ["wsgi.file_wrapper"](file)


@route
def memory_with_length(environ, start_response):
    start_response("200 OK", PLAIN + [("Content-Length", "100")])
    return environ["wsgi.file_wrapper"](io.BytesIO(DATA))


@route
def pipe(environ, start_response):
    reader, writer = os.pipe()
    os.write(writer, DATA)
    os.close(writer)
    start_response("200 OK", PLAIN)
    return environ["wsgi.file_wrapper"](os.fdopen(reader, "rb"), 64)


@route
def after_write(environ, start_response):
    write = start_response("200 OK", PLAIN)
    write(b"before ")
    return environ["wsgi.file_wrapper"](opened(environ))


@route
def wrapped_in_a_generator(environ, start_response):
    start_response("200 OK", PLAIN)
    for block in environ["wsgi.file_wrapper"](opened(environ), 7):
        yield block


@route
def subclass(environ, start_response):
    class Own(mod_wsgi.FileWrapper):
        pass
    start_response("200 OK", PLAIN)
    return Own(opened(environ))


@route
def no_fileno(environ, start_response):
    class Plain:
        def __init__(self):
            self.blocks = [DATA[:50], DATA[50:], b""]

        def read(self, size):
            return self.blocks.pop(0)
    start_response("200 OK", PLAIN)
    return environ["wsgi.file_wrapper"](Plain())


def raising(*_):
    raise OSError("not this one")


@route
def awkward(environ, start_response):
    case = environ["test.rest"]
    changes = {"fileno_raises": {"fileno": raising}, "fileno_negative": {"fileno": lambda: -1},
               "fileno_str": {"fileno": lambda: "3"}, "fileno_closed": {"fileno": lambda: 9999},
               "tell_raises": {"tell": raising}, "tell_str": {"tell": lambda: "0"}, "tell_none": {"tell": lambda: None},
               "tell_negative": {"tell": lambda: -5}, "tell_beyond": {"tell": lambda: 5000}, "close_raises": {"close": raising},
               "directory": {"fileno": lambda: DIRECTORY}}[case]
    start_response("200 OK", PLAIN)
    return environ["wsgi.file_wrapper"](opened(environ, **changes))


DIRECTORY = os.open("/", os.O_RDONLY)


@route
def read_str(environ, start_response):
    start_response("200 OK", PLAIN)
    return environ["wsgi.file_wrapper"](io.StringIO("a str"))


@route
def read_raises(environ, start_response):
    start_response("200 OK", PLAIN)
    return environ["wsgi.file_wrapper"](Noisy(io.BytesIO(DATA), read=raising))


@route
def lazy_start(environ, start_response):
    class Late:
        def __init__(self):
            self.source = open(PATH, "rb")

        def read(self, size):
            start_response("200 Late", PLAIN)
            self.read = self.source.read
            return self.source.read(size)
    return environ["wsgi.file_wrapper"](Late())


@route
def attributes(environ, start_response):
    answers, make = [], environ["wsgi.file_wrapper"]
    source = io.BytesIO(b"data")
    wrapper = make(source, 3)
    answers += [wrapper.filelike is source, wrapper.blksize, make(source).blksize, list(wrapper)]
    for attempt in (lambda: make(source, -1), lambda: make(), lambda: setattr(wrapper, "blksize", 5), lambda: make(1, "2")):
        try:
            answers.append(attempt())
        except (ValueError, TypeError, AttributeError) as failure:
            answers.append(type(failure).__name__)
    wrapper.close()
    answers.append(source.closed)
    try:
        answers.append(wrapper.filelike)
    except ValueError as failure:
        answers.append("ValueError: %s" % failure)
    return text(start_response, repr(answers))


@route
def big(environ, start_response):
    source = open(os.path.join(os.path.dirname(PATH), "big.bin"), "rb")
    start_response("200 OK", PLAIN)
    return environ["wsgi.file_wrapper"](source)


SHARED = []


@route
def shared(environ, start_response):
    """One descriptor for all requests, each of which wants another part of it."""
    class Part:
        def __init__(self, file, offset):
            self.file, self.offset = file, offset

        def fileno(self):
            return self.file.fileno()

        def tell(self):
            return self.offset

        def read(self, size):
            raise OSError("it is to be sent as a file")
    if not SHARED:
        SHARED.append(open(os.path.join(os.path.dirname(PATH), "big.bin"), "rb"))
    start_response("200 OK", PLAIN)
    return environ["wsgi.file_wrapper"](Part(SHARED[0], int(environ["test.query"]["offset"])))
