"""A tenant with native code that wants to reach beyond its own processes."""
import array
import ctypes
import errno
import fcntl
import json
import mmap
import os
import socket
import struct
import subprocess
import termios
import threading
import time

from routes import Router, text

route = Router()
kept = []
libc = ctypes.CDLL(None, use_errno=True)


@route
def pid(environ, start_response):
    return text(start_response, str(os.getpid()))


@route
def children_of_parent(environ, start_response):
    """Makes processes whose parent is this one's."""
    made = []
    for _ in range(20):
        # clone(CLONE_PARENT | SIGCHLD); the child calls exit_group.
        child = libc.syscall(56, 0x8000 | 17, 0, 0, 0, 0)
        if child == 0:
            libc.syscall(231, 0)
        made.append(child)
    return text(start_response, json.dumps(made))


def descriptors():
    """Those that the process was started with, and the channel of this request."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink("/proc/self/fd/" + name)
        except OSError:
            continue
    return {number: target for number, target in found.items() if number and target.split(":")[0] in ("pipe", "socket")}


def stuck_page(path):
    """The address of a page that never comes."""
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    file = os.open(path, os.O_RDWR)
    return libc.mmap(None, 1 << 16, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED, file, 0)


@route
def stuck_writes(environ, start_response):
    """Writes to everything from a page that never comes, and receives the next request into one."""
    page = stuck_page(environ["test.query"]["path"])
    told = descriptors()
    queue = {number: target for number, target in told.items() if number == 4}
    calls = [(libc.write, number) for number in told if number not in queue] + [(libc.recv, number) for number in queue]
    for call, number in calls:
        arguments = (number, ctypes.c_void_p(page), ctypes.c_size_t(4096)) + ((0,) if call is libc.recv else ())
        threading.Thread(target=call, args=arguments, daemon=True).start()
    return text(start_response, "%d %s" % (os.getpid(), sorted(told.values())))


@route
def lingering(environ, start_response):
    """Sends what takes long to close to everybody who may receive it, and ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    sender = socket.create_connection(listener.getsockname())
    receiver = listener.accept()[0]
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 600))
    sender.setblocking(False)
    try:
        while True:
            sender.send(bytes(1 << 16))
    except BlockingIOError:
        pass
    # Somebody must be there who does not read.
    subprocess.Popen(["sleep", "60"], pass_fds=[receiver.fileno()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    sent = []
    for number in (4, 5, 6):
        try:
            it = socket.socket(fileno=os.dup(number))
            it.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [sender.fileno()]))], socket.MSG_DONTWAIT)
            sent.append(number)
        except OSError as failure:
            sent.append(errno.errorcode[failure.errno])
    kept.append(sender)
    return text(start_response, str(sent))


@route
def leave(environ, start_response):
    os._exit(3)


@route
def shut_down(environ, start_response):
    """Ends the queue, which all processes of the group share with httpd's children."""
    socket.socket(fileno=os.dup(4)).shutdown(socket.SHUT_RDWR)
    return text(start_response, str(os.getpid()))


@route
def shut_down_with_others_waiting(environ, start_response):
    """The same when another request waits in the queue; `leave`: and its only reader ends."""
    environ["wsgi.errors"].write("now the others\n")
    give_up = time.monotonic() + 20
    while fcntl.ioctl(4, termios.FIONREAD, b"    ") == b"\0\0\0\0" and time.monotonic() < give_up:
        time.sleep(0.01)
    socket.socket(fileno=os.dup(4)).shutdown(socket.SHUT_RDWR)
    if environ["test.query"]["then"] == "leave":
        os._exit(3)
    return text(start_response, str(os.getpid()))


@route
def terminal(environ, start_response):
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
        found = "a terminal"
    except OSError as failure:
        found = errno.errorcode[failure.errno]
    return text(start_response, "%d %d %s" % (os.getpid(), os.getsid(0), found))


@route
def inherited(environ, start_response):
    """What a program finds open that is started without a thought."""
    listing = subprocess.run(["ls", "/proc/self/fd"], close_fds=False, capture_output=True, text=True)
    return text(start_response, listing.stdout)


@route
def environment(environ, start_response):
    return text(start_response, json.dumps(dict(os.environ)))


@route
def output(environ, start_response):
    for path, words in (("/dev/stderr", "by its path"), ("/dev/stdout", "by the other path")):
        with open(path, "w") as it:
            it.write(words + "\n")
    os.write(1, b"by number\n")
    return text(start_response, "written")


application = route.application
