"""What an application must not send. `/give?call=(status, headers, blocks)` answers with it; `/frame?head=…` writes a response of
its own onto the channel, past the engine, as a worker may whose code is a tenant's."""
import ast
import os
import struct

from routes import Router, text

route = Router()
application = route.application


def descriptors():
    """What is open: numbers, each with the object behind it."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add((int(name), os.readlink("/proc/self/fd/" + name)))
        except OSError:
            continue
    return found


AT_IMPORT = descriptors()


@route
def victim(environ, start_response):
    return text(start_response, "victim " + environ["test.rest"])


@route
def give(environ, start_response):
    status, headers, blocks = ast.literal_eval(environ["test.query"]["call"])
    start_response(status, headers)
    return blocks if environ["test.query"].get("whole") else iter(blocks)


def encoded(status, length, reason, headers):
    head = struct.pack("=IIqI", 0x31485352, status, length, len(reason)) + reason + struct.pack("=I", len(headers))
    for name, value in headers:
        head += struct.pack("=II", len(name), len(value)) + name + value
    return head


@route
def frame(environ, start_response):
    head = encoded(*ast.literal_eval(environ["test.query"]["head"]))
    body = b"hostile"
    for number, target in descriptors() - AT_IMPORT:
        if target.startswith(("pipe:", "socket:")):
            try:
                os.write(number, struct.pack("=BBHIII", 4, 1, 0x4657, len(head), len(body), os.getpid()) + head + body)
            except OSError:
                continue
    return text(start_response, "the engine's own answer")
