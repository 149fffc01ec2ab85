"""Which interpreter, which thread state, which environment a request runs in."""
import atexit
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

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
def native(environ, start_response):
    """What C code sees in the process's environment."""
    import ctypes
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_char_p
    return text(start_response, repr(getenv(environ["test.query"]["name"].encode())))


@route
def zone(environ, start_response):
    os.environ["TZ"] = environ["test.query"]["value"]
    time.tzset()
    return text(start_response, time.strftime("%Z", time.localtime(0)))


@route
def putenv(environ, start_response):
    """Past os.environ, as the manual says: programs see it all the same."""
    os.putenv(environ["test.query"]["name"], environ["test.query"]["value"])
    return programs(environ, start_response)


@route
def programs(environ, start_response):
    """What a program sees that is started in each of Python's ways."""
    name = environ["test.query"]["name"]
    seen = {}

    def shell(way, start):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "seen")
            start('printf %%s "${%s-unset}" > %s' % (name, path))
            with open(path) as said:
                seen[way] = said.read()

    def in_child(become):
        pid = os.fork()
        if not pid:
            try:
                become()
            finally:
                os._exit(1)
        os.waitpid(pid, 0)

    def spawn(function):
        return lambda line: os.waitpid(function("/bin/sh", ["sh", "-c", line], os.environ), 0)
    shell("call", lambda line: subprocess.call(["/bin/sh", "-c", line]))
    shell("shell", lambda line: subprocess.check_call(line, shell=True, close_fds=False))
    shell("session", lambda line: subprocess.Popen(["sh", "-c", line], start_new_session=True).wait())
    shell("popen", lambda line: os.popen(line).close())
    shell("system", os.system)
    shell("posix_spawn", spawn(os.posix_spawn))
    shell("posix_spawnp", spawn(os.posix_spawnp))
    if "fork" in environ["test.query"]:  # CPython does not get over that where there are sub-interpreters
        shell("spawnl", lambda line: os.spawnl(os.P_WAIT, "/bin/sh", "sh", "-c", line))
        shell("execv", lambda line: in_child(lambda: os.execv("/bin/sh", ["sh", "-c", line])))
        shell("execlp", lambda line: in_child(lambda: os.execlp("sh", "sh", "-c", line)))
    pool = multiprocessing.get_context("spawn").Pool(1)
    seen["spawn"] = pool.apply_async(os.getenv, (name, "unset")).get(60)
    pool.close()  # not terminated: what a thread of httpd starts has signals blocked
    pool.join()
    return text(start_response, repr(seen))


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
