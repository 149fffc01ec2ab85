import os


def application(environ, start_response):
    body = b"%d %s" % (os.getpid(), environ["wsgi.input"].read() or b"-")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
