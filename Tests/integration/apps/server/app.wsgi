"""What an application does that the server around it must carry out: broken responses, large ones, files, errors."""
import json
import os
import tempfile
import threading

from routes import Router, text

route = Router()
application = route.application
PLAIN = [("Content-Type", "text/plain")]


@route
def environ(environ, start_response):
    return text(start_response, json.dumps({key: value for key, value in environ.items() if isinstance(value, str)}))


@route
def cut(environ, start_response):
    start_response("200 OK", PLAIN)

    def blocks():
        yield b"begun"
        raise RuntimeError("on purpose")
    return blocks()


@route
def short(environ, start_response):
    start_response("200 OK", PLAIN + [("Content-Length", "1000")])
    return [b"x" * 10]


@route
def large(environ, start_response):
    start_response("200 OK", PLAIN)
    return [b"0123456789" * 300000]


@route
def stream(environ, start_response):
    start_response("200 OK", PLAIN)
    return (b"%d\n" % number for number in range(1000))


@route
def file(environ, start_response):
    source = tempfile.TemporaryFile()
    source.write(b"0123456789" * 30000)
    source.seek(5)
    start_response("200 OK", PLAIN)
    return environ["wsgi.file_wrapper"](source)


@route
def error(environ, start_response):
    status = environ["test.query"]["status"]
    return text(start_response, "from the application", status + " Of Mine",
                [("WWW-Authenticate", 'Basic realm="here"'), ("X-Mine", "1")])


@route
def length(environ, start_response):
    return text(start_response, str(len(environ["wsgi.input"].read())))


@route
def thread(environ, start_response):
    return text(start_response, str(threading.current_thread() is threading.main_thread()))


@route
def who(environ, start_response):
    return text(start_response, json.dumps([os.getpid(), environ["mod_wsgi.application_group"], environ.get("REMOTE_USER")]))
