"""What daemon processes do while signals come: requests that wait, a thread beside them, and programs that are started."""
import ctypes
import os
import subprocess
import sys
import threading
import time

import mod_wsgi
from routes import Router, text

route = Router()
seen = []
mod_wsgi.subscribe_signals(lambda event, **payload: seen.append(payload["signame"]))


@route
def pid(environ, start_response):
    return text(start_response, "%d" % os.getpid())


@route
def signals(environ, start_response):
    return text(start_response, " ".join(seen))


def wait_until_there(path):
    while not os.path.exists(path):
        time.sleep(0.01)


@route
def wait_for(environ, start_response):
    wait_until_there(environ["test.query"]["file"])
    return text(start_response, "%d" % os.getpid())


@route
def thread(environ, start_response):
    threading.Thread(target=wait_until_there, args=(environ["test.query"]["file"],), name="beside", daemon=True).start()
    return text(start_response, "started")


@route
def deep(environ, start_response):
    def descend(levels):
        return descend(levels - 1) if levels else wait_until_there(environ["test.query"]["file"])
    descend(300)
    return text(start_response, "back")


@route
def gil(environ, start_response):
    """Keeps the GIL until the file is there."""
    libc = ctypes.PyDLL(None)
    interval = sys.getswitchinterval()
    # Nobody who waits asks for it between the calls.
    sys.setswitchinterval(3600)
    try:
        print("keeping the GIL", file=sys.stderr)
        while libc.access(environ["test.query"]["file"].encode(), 0):
            libc.usleep(10000)
    finally:
        sys.setswitchinterval(interval)
    return text(start_response, "%d" % os.getpid())


@route
def dispositions(environ, start_response):
    """The signals that a program started from here ignores, catches and blocks."""
    status = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True).stdout
    return text(start_response, " ".join(line for line in status.splitlines() if line.startswith(("SigIgn", "SigCgt", "SigBlk"))))


@route
def forked(environ, start_response):
    """The signal that ends a fork."""
    child = os.fork()
    if child == 0:
        os.kill(os.getpid(), int(environ["test.rest"]))
        time.sleep(20)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return text(start_response, "%d" % os.WTERMSIG(status))


application = route.application
