"""What can become of a daemon process: applications that die, hang and transfer, and one that tells what it runs in."""
import ctypes
import fcntl
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time

from routes import Router, text

route = Router()
VERSION = 0
BLOCK = bytes(range(256)) * 256


@route
def pid(environ, start_response):
    return text(start_response, "%d %d" % (os.getpid(), VERSION))


@route
def segfault(environ, start_response):
    ctypes.string_at(0)


@route
def abort(environ, start_response):
    os.abort()


@route
def has(environ, start_response):
    """Whether the Python library has a function."""
    return text(start_response, str(hasattr(ctypes.pythonapi, environ["test.rest"])))


@route
def leave(environ, start_response):
    os._exit(int(environ["test.rest"]))


@route
def interrupted(environ, start_response):
    """Ends in the middle of a response."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"begun"
    os.kill(os.getpid(), signal.SIGKILL)


@route
def die(environ, start_response):
    """Dies of a signal, before any answer, when the file that the query names is there."""
    query = environ["test.query"]
    print("%d waits to die of signal %s" % (os.getpid(), query["signal"]))
    while not os.path.exists(query["file"]):
        time.sleep(0.001)
    os.kill(os.getpid(), int(query["signal"]))
    time.sleep(60)


@route
def memory(environ, start_response):
    held = []
    while True:
        held.append(bytearray(16 << 20))


@route
def gil(environ, start_response):
    """Waits without giving up the GIL."""
    print("waiting with the GIL")
    ctypes.PyDLL(None).pause()


@route
def lock(environ, start_response):
    """Waits for a lock that this thread holds."""
    own = threading.Lock()
    own.acquire()
    print("waiting without the GIL")
    while True:
        own.acquire(timeout=0.02)


@route
def blocked(environ, start_response):
    print("blocked")
    signal.pthread_sigmask(signal.SIG_BLOCK, [])
    threading.Event().wait()


@route
def identified(environ, start_response):
    """Tells its request's id, and blocks."""
    environ["wsgi.errors"].write("blocked as [%s]\n" % environ["mod_wsgi.request_id"])
    environ["wsgi.errors"].flush()
    threading.Event().wait()


@route
def wait_for(environ, start_response):
    """Answers when the file that the query names is there."""
    print("waiting for " + environ["test.query"]["file"])
    while not os.path.exists(environ["test.query"]["file"]):
        time.sleep(0.01)
    return text(start_response, str(os.getpid()))


@route
def run(environ, start_response):
    """What a program writes."""
    query = environ["test.query"]
    return text(start_response, subprocess.run([query["program"], query["argument"]], capture_output=True, text=True).stdout)


@route
def hold(environ, start_response):
    """Takes so many milliseconds."""
    time.sleep(int(environ["test.rest"]) / 1000)
    return text(start_response, "held")


@route
def fork(environ, start_response):
    child = os.fork()
    if child == 0:
        os._exit(7)
    return text(start_response, str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))


@route
def child(environ, start_response):
    """A child of the application's own that outlives the request."""
    import subprocess
    process = subprocess.Popen(["sleep", "1000"])
    return text(start_response, str(process.pid))


@route
def burn(environ, start_response):
    print("burning")
    while True:
        sum(range(10000))


def umask():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1], 8) for line in lines if line.startswith("Umask:"))


@route
def state(environ, start_response):
    import locale
    return text(start_response, json.dumps({
        "pid": os.getpid(), "cwd": os.getcwd(), "umask": umask(), "LANG": os.environ.get("LANG"),
        "LC_ALL": os.environ.get("LC_ALL"), "locale": locale.setlocale(locale.LC_ALL),
        "nice": os.nice(0), "HOME": os.environ.get("HOME"),
        "version": "%d.%d" % sys.version_info[:2], "prefix": sys.prefix, "path": sys.path,
        "standard": os.path.dirname(os.path.realpath(os.__file__)),
        "data": resource.getrlimit(resource.RLIMIT_DATA), "cpu": resource.getrlimit(resource.RLIMIT_CPU),
        "multiprocess": environ["wsgi.multiprocess"], "threads": threading.active_count()}))


@route
def paths(environ, start_response):
    return text(start_response, json.dumps(dict({
        "file": __file__, "pid": os.getpid(), "cwd": os.getcwd(), "prefix": sys.prefix, "path": sys.path}, **{
        name: environ.get(name) for name in ("SCRIPT_FILENAME", "DOCUMENT_ROOT", "CONTEXT_DOCUMENT_ROOT")})))


@route
def imports(environ, start_response):
    """Imports what the rest of the path names, on a thread that comes and goes."""
    import importlib
    failures = []

    def run():
        try:
            for name in environ["test.rest"].split(","):
                importlib.import_module(name)
        except BaseException as failure:
            failures.append(repr(failure))
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return text(start_response, failures[0] if failures else "imported")


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@route
def upload(environ, start_response):
    digest, size = hashlib.md5(), 0
    while True:
        block = environ["wsgi.input"].read(65536)
        if not block:
            break
        digest.update(block)
        size += len(block)
    return text(start_response, "%s %d %d" % (digest.hexdigest(), size, peak()))


@route
def early(environ, start_response):
    """Answers without reading the body."""
    return text(start_response, "too large", "413 Content Too Large")


@route
def download(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return (BLOCK for _ in range(int(environ["test.rest"])))


@route
def file(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return environ["wsgi.file_wrapper"](open(environ["test.query"]["file"], "rb"))


@route
def leased(environ, start_response):
    """A file of the response on which this process holds a lease: whoever else opens it waits until that is given up."""
    file = open(environ["test.query"]["file"], "r+b")
    # In place of SIGIO, which would end the process.
    fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return environ["wsgi.file_wrapper"](file)


@route
def cut(environ, start_response):
    """Fails in the middle of a response."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"begun"
    raise RuntimeError("cut on purpose")


@route
def close_raises(environ, start_response):
    """Fails when the response is complete."""
    class Closing:
        def __iter__(self):
            return iter([b"complete"])

        def close(self):
            raise RuntimeError("closed on purpose")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "8"), ("X-Request", environ["mod_wsgi.request_id"])])
    return Closing()


@route
def repeated(environ, start_response):
    start_response("200 OK", [("Link", "<a>"), ("Link", "<b>"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"),
                              ("Content-Length", "0")])
    return []


@route
def read_one(environ, start_response):
    return text(start_response, environ["wsgi.input"].read(1).decode())


@route
def peak_memory(environ, start_response):
    return text(start_response, str(peak()))


application = route.application
