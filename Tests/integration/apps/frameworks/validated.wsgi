"""wsgiref's validator watches both sides keep to PEP 3333; what it finds is an AssertionError, and so a 500."""
from wsgiref.validate import validator


def simple(environ, start_response):
    stream, path = environ["wsgi.input"], environ["PATH_INFO"]
    if path == "/input":
        body = b"".join(iter(lambda: stream.read(3), b"")) + stream.read(1)
    elif path == "/lines":
        body = stream.readline() + b"|" + b"|".join(stream)
    elif path == "/errors":
        environ["wsgi.errors"].write("validated\n")
        environ["wsgi.errors"].writelines(["lines\n"])
        environ["wsgi.errors"].flush()
        body = b"written"
    elif path == "/write":
        start_response("200 OK", [("Content-Type", "text/plain")])(b"written ")
        return [b"returned"]
    elif path == "/generator":
        def blocks():
            yield b"one "
            yield b""
            yield b"two"
        start_response("200 OK", [("Content-Type", "text/plain")])
        return blocks()
    elif path == "/none":
        start_response("204 No Content", [])
        return []
    else:
        body = b"hello"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


application = validator(simple)
