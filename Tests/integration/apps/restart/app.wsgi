import os
import threading


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path:
        print("running " + path[1:])
    if path == "/busy":
        while True:
            sum(range(1000))
    if path == "/blocked":
        threading.Event().wait()
    body = b"%d %s" % (os.getpid(), environ["wsgi.input"].read() or b"-")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
