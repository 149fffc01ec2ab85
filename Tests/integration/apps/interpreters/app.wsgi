"""Which interpreter, which thread state, which environment a request runs in."""
import atexit
import os
import signal
import subprocess
import sys
import threading

import mod_wsgi
from routes import Router, text

try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

route = Router()
application = route.application
LOCAL = threading.local()
COUNT = []


@route
def who(environ, start_response):
    COUNT.append(1)
    here = str(interpreters.get_current()) == str(interpreters.get_main())
    return text(start_response, repr({
        "group": mod_wsgi.application_group, "environ": environ["mod_wsgi.application_group"], "main": here,
        "module": id(sys.modules), "count": len(COUNT), "pid": os.getpid(), "process_group": mod_wsgi.process_group}))


@route
def facts(environ, start_response):
    return text(start_response, repr({
        "argv": sys.argv, "stdin": type(sys.stdin).__name__, "stdout": type(sys.stdout).__name__,
        "stderr": type(sys.stderr).__name__, "signal": type(signal.signal).__name__,
        "path0": sys.path[0], "maximum_processes": mod_wsgi.maximum_processes,
        "threads_per_process": mod_wsgi.threads_per_process, "version": mod_wsgi.version,
        "home": os.environ.get("HOME"), "apache": sys.modules.get("apache") is not None,
        "threads": [thread.name for thread in threading.enumerate()],
        "current": threading.current_thread().name, "setenv": os.environ.get("FROM_SETENV"),
        "ignore_environment": sys.flags.ignore_environment, "site": "site" in sys.modules}))


@route
def read_stdin(environ, start_response):
    try:
        return text(start_response, repr(sys.stdin.read()))
    except (OSError, AttributeError) as failure:
        return text(start_response, "%s: %s" % (type(failure).__name__, failure))


@route
def write_stdout(environ, start_response):
    try:
        sys.stdout.write("x")
        return text(start_response, "written")
    except OSError as failure:
        return text(start_response, "OSError: %s" % failure)


@route
def handle_signal(environ, start_response):
    def handler(*_):
        pass
    before = signal.getsignal(signal.SIGTERM)
    result = signal.signal(signal.SIGTERM, handler)
    after = signal.getsignal(signal.SIGTERM)
    return text(start_response, repr([result is handler, str(before) == str(after)]))


@route
def setenv(environ, start_response):
    os.environ[environ["test.query"]["name"]] = environ["test.query"]["value"]
    return getenv(environ, start_response)


@route
def setdefault(environ, start_response):
    os.environ.setdefault(environ["test.query"]["name"], environ["test.query"]["value"])
    return getenv(environ, start_response)


@route
def unsetenv(environ, start_response):
    os.environ.pop(environ["test.query"]["name"], None)
    return getenv(environ, start_response)


@route
def getenv(environ, start_response):
    """What this interpreter, and a child process that it starts, see."""
    name = environ["test.query"]["name"]
    child = subprocess.run(["/bin/sh", "-c", 'printf %%s "${%s-unset}"' % name], capture_output=True, text=True).stdout
    return text(start_response, repr([os.environ.get(name), os.getenv(name), child]))


@route
def thread_local(environ, start_response):
    LOCAL.count = getattr(LOCAL, "count", 0) + 1
    return text(start_response, "%d %d" % (threading.get_ident(), LOCAL.count))


@route
def register_atexit(environ, start_response):
    path = environ["test.query"]["path"]

    def leave():
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        os.write(descriptor, ("%s\n" % mod_wsgi.application_group).encode())
        os.close(descriptor)
    atexit.register(leave)
    return text(start_response, "registered")


@route
def leave_threads(environ, start_response):
    """A daemon thread and an endless atexit-free helper: they must not keep the process from ending."""
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    return text(start_response, "started")


@route
def nested(environ, start_response):
    import concurrent.futures
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return text(start_response, repr(list(pool.map(lambda n: n * n, range(5)))))


@route
def data(environ, start_response):
    """C extensions of the standard library, which each interpreter imports for itself."""
    import ctypes, decimal, hashlib, json, sqlite3, ssl, zlib
    from datetime import datetime
    connection = sqlite3.connect(":memory:")
    value = connection.execute("select 1 + 1").fetchone()[0]
    return text(start_response, repr([
        value, str(decimal.Decimal("1.10") + 1), json.loads("[1]"), zlib.decompress(zlib.compress(b"z")),
        hashlib.sha256(b"").hexdigest()[:8], datetime.strptime("2024-02-29", "%Y-%m-%d").day, bool(ssl.OPENSSL_VERSION)]))
