"""A dispatch script that does what the query says, as `function=value`, in Python."""
import sys
import urllib.parse


def choose(function, environ):
    environ.setdefault("test.calls", []).append(function)
    sys.dispatch_seen = {"calls": environ["test.calls"],
                         "environ": {key: value for key, value in environ.items() if isinstance(value, str)},
                         "others": sorted(key for key, value in environ.items() if not isinstance(value, str))}
    expression = dict(urllib.parse.parse_qsl(environ["QUERY_STRING"])).get(function)
    environ["wsgi.errors"].write("%s asked\n" % function)
    if expression == "raise":
        raise ValueError("%s on purpose" % function)
    if expression == "exit":
        raise SystemExit
    return eval(expression) if expression else None


def process_group(environ):
    return choose("process_group", environ)


def application_group(environ):
    return choose("application_group", environ)


def callable_object(environ):
    return choose("callable_object", environ)
