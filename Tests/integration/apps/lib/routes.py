"""What the test applications share: one function per path."""
import urllib.parse


class Router:
    """`application` of a script: `/name/rest` calls the function `name`, which finds `rest` in environ["test.rest"]."""

    def __init__(self):
        self.cases = {"sentinel": sentinel}

    def __call__(self, function):
        self.cases[function.__name__] = function
        return function

    def application(self, environ, start_response):
        name, _, rest = environ["PATH_INFO"].lstrip("/").partition("/")
        case = self.cases.get(name)
        if case is None:
            start_response("404 No such case", [])
            return [("no case %r" % name).encode()]
        environ["test.rest"] = rest
        environ["test.query"] = dict(urllib.parse.parse_qsl(environ["QUERY_STRING"]))
        return case(environ, start_response)


def sentinel(environ, start_response):
    environ["wsgi.errors"].write(environ["QUERY_STRING"] + "\n")
    return text(start_response, "logged")


def text(start_response, body, status="200 OK", headers=()):
    body = body.encode("utf-8")
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))] + list(headers))
    return [body]
