"""wsgi.errors, sys.stderr, sys.stdout and what applications do with them."""
import logging
import sys
import threading
import warnings

import mod_wsgi
from routes import Router, text

route = Router()
application = route.application

print("printed while loading")
sys.stderr.write("stderr while loading\n")


@route
def errors(environ, start_response):
    """Evaluates an expression over `e`, the stream."""
    e = environ["wsgi.errors"]
    try:
        result = repr(eval(environ["test.query"]["do"], {"e": e, "sys": sys}))
    except Exception as failure:
        result = "%s: %s" % (type(failure).__name__, failure)
    return text(start_response, result)


KEPT = []


@route
def keep(environ, start_response):
    KEPT[:] = [environ["wsgi.errors"]]
    environ["wsgi.errors"].write("an unfinished line")
    return text(start_response, "kept")


@route
def use_kept(environ, start_response):
    answers = []
    for action in (lambda: KEPT[0].write("late\n"), lambda: KEPT[0].writelines(["late\n"]), lambda: KEPT[0].flush()):
        try:
            answers.append(repr(action()))
        except RuntimeError as failure:
            answers.append("RuntimeError: %s" % failure)
    return text(start_response, "\n".join(answers))


@route
def streams(environ, start_response):
    word = environ["test.query"]["word"]
    print("print " + word)
    sys.stderr.write("stderr " + word + "\n")
    print("stderr print", word, file=sys.stderr)
    sys.stdout.write("two\nlines " + word + "\n")
    return text(start_response, "said")


@route
def thread(environ, start_response):
    word = environ["test.query"]["word"]

    def speak():
        print("thread " + word)
        sys.stderr.write("thread stderr " + word + "\n")
    speaker = threading.Thread(target=speak)
    speaker.start()
    speaker.join()
    return text(start_response, "said")


@route
def thread_raises(environ, start_response):
    def fail():
        raise ValueError("in a thread " + environ["test.query"]["word"])
    failing = threading.Thread(target=fail)
    failing.start()
    failing.join()
    return text(start_response, "failed")


@route
def log(environ, start_response):
    logger = logging.getLogger("test.%s" % environ["test.query"]["word"])
    logger.propagate = False
    logger.setLevel(1)
    logger.addHandler(mod_wsgi.LogHandler())
    for level in (logging.CRITICAL, logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG):
        logger.log(level, "level %d of %s", level, environ["test.query"]["word"])
    logger.error("two\nlines of %s", environ["test.query"]["word"])
    return text(start_response, "logged")


@route
def warn(environ, start_response):
    warnings.simplefilter("always")
    warnings.warn("a warning " + environ["test.query"]["word"])
    return text(start_response, "warned")


@route
def many(environ, start_response):
    word = environ["test.query"]["word"]
    for index in range(50):
        print("%s line %02d %s end" % (word, index, "x" * 300))
    return text(start_response, "said")


WAYS = {
    "errors": lambda environ, line: environ["wsgi.errors"].write(line + "\n"),
    "stderr": lambda environ, line: sys.stderr.write(line + "\n"),
    "print": lambda environ, line: print(line),
    "logging": lambda environ, line: logging.getLogger("long").error(line),
}


@route
def long(environ, start_response):
    query = environ["test.query"]
    number = "%05d." if query["kind"] == "ascii" else "\u20ac%05d."
    line = "before-" + query["word"] + " " + "".join(number % n for n in range(int(query["size"]) // 6)) + " behind-" + query["word"]
    logger = logging.getLogger("long")
    logger.propagate = False
    logger.handlers = [mod_wsgi.LogHandler()]
    if query["where"] == "request":
        WAYS[query["how"]](environ, line)
    else:
        threading.Thread(target=WAYS[query["how"]], args=(environ, line)).start()
    return text(start_response, "said")


@route
def flood(environ, start_response):
    query = environ["test.query"]
    for number in range(int(query["lines"])):
        print("%s line %d" % (query["word"], number))
    return text(start_response, "said")


@route
def flood_outside(environ, start_response):
    query = environ["test.query"]

    def write():
        for number in range(int(query["lines"])):
            print("%s line %d" % (query["word"], number))

    threading.Thread(target=write).start()
    return text(start_response, "begun")


FORGED = "/srv/app\n[forged] line\nforged line \x1b[2J.py"


@route
def forge(environ, start_response):
    logger = logging.getLogger("forge")
    logger.propagate = False
    logger.setLevel(1)
    logger.handlers = [mod_wsgi.LogHandler()]
    names = {"logger": logger, "threading": threading}
    exec(compile("logger.debug('said at debug level')\n"
                 "thread = threading.Thread(target=lambda: logger.debug('said outside'))\n"
                 "thread.start(); thread.join()\n"
                 "def fail():\n raise ValueError('forged traceback')\n", FORGED, "exec"), names)
    names["fail"]()
