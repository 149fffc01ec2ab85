"""The application that every server under measurement serves, one function per path, and what is asked of it."""
import hashlib
import os
import time

PAGE = ("<!doctype html><title>A page</title><table>" + "<tr><td>cell<td>another &amp; one</tr>\n" * 900)[:30000].encode()
BLOCK = b"x" * 1000
FILE = os.environ.get("BENCH_FILE", "")
TEXT = ("Content-Type", "text/plain")


class Workload:
    """`connections` ask for `path` again and again; `body` bytes are sent with each request.

    An httpd all of whose threads are busy closes connections that wait for their next request: `threads` are what it needs.
    """

    def __init__(self, path, connections, body=0, keeps=True, threads=25):
        self.path, self.connections, self.body, self.keeps, self.threads = path, connections, body, keeps, threads


WORKLOADS = {
    "hello": Workload("hello", 16),
    "one connection": Workload("hello", 1),
    "256 connections": Workload("hello", 256, threads=300),
    "no keep-alive": Workload("hello", 16, keeps=False),
    "page 30 KB": Workload("page", 16),
    "100 blocks": Workload("blocks", 16),
    "upload 1 MB": Workload("upload", 8, body=1 << 20),
    "file 10 MB": Workload("file", 4),
    "computing": Workload("compute", 16),
    "waiting 10 ms": Workload("wait", 16),
}


def answer(start_response, body, headers=(TEXT,)):
    start_response("200 OK", [*headers, ("Content-Length", str(len(body)))])
    return [body]


def hello(environ, start_response):
    return answer(start_response, b"Hello World!")


def page(environ, start_response):
    return answer(start_response, PAGE, [
        ("Content-Type", "text/html; charset=utf-8"), ("Vary", "Cookie, Accept-Language"), ("X-Frame-Options", "DENY"),
        ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "same-origin"), ("Content-Language", "en"),
        ("Cross-Origin-Opener-Policy", "same-origin"), ("Set-Cookie", "csrftoken=" + "c" * 32 + "; Path=/; SameSite=Lax"),
        ("Set-Cookie", "sessionid=" + "s" * 32 + "; HttpOnly; Path=/; SameSite=Lax")])


def blocks(environ, start_response):
    start_response("200 OK", [TEXT])
    return (BLOCK for _ in range(100))


def upload(environ, start_response):
    digest, stream = hashlib.md5(), environ["wsgi.input"]
    for block in iter(lambda: stream.read(65536), b""):
        digest.update(block)
    return answer(start_response, digest.hexdigest().encode())


def large(environ, start_response):
    return answer(start_response, BLOCK * 800)


def file(environ, start_response):
    source = open(FILE, "rb")
    start_response("200 OK", [TEXT, ("Content-Length", str(os.fstat(source.fileno()).st_size))])
    wrapper = environ.get("wsgi.file_wrapper")
    return wrapper(source, 65536) if wrapper else iter(lambda: source.read(65536), b"")


def compute(environ, start_response):
    return answer(start_response, str(sum(number * number for number in range(20000))).encode())


def report(environ, start_response):
    """Computes for a fifth of a second, and never waits for anything."""
    end = time.perf_counter() + 0.2
    while time.perf_counter() < end:
        pass
    return answer(start_response, b"reported")


def wait(environ, start_response):
    time.sleep(0.01)
    return answer(start_response, b"waited")


def mark(environ, start_response):
    """Where callgrind is told to write its counters (instructions.py)."""
    os.getloadavg()
    return answer(start_response, b"marked")


PATHS = {function.__name__: function for function in (hello, page, blocks, upload, large, file, compute, report, wait, mark)}


def application(environ, start_response):
    path = environ.get("SCRIPT_NAME", "") + environ["PATH_INFO"]
    return PATHS[path[path.rindex("/") + 1:]](environ, start_response)
