"""Loading scripts: what a broken one answers and logs, module names, changed scripts, races."""
import hashlib
import os
import re

import pytest

from httpd_env import MODES, REFERENCE, Site, run_together

HELLO = """
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [%s]
"""


def SITE():
    conf = []
    for mode in MODES:
        conf += ["WSGIScriptAlias /%s-files/ {apps}/" % mode, "<Location /%s-files>" % mode,
                 "WSGIProcessGroup %s" % ("site" if mode == "daemon" else "%{GLOBAL}"), "WSGIApplicationGroup %{GLOBAL}",
                 "</Location>", "<Location /%s-files/fixed.wsgi>" % mode, "WSGIScriptReloading Off", "</Location>",
                 "<Location /%s-files/callable.wsgi/named>" % mode, "WSGICallableObject own", "</Location>",
                 "<Location /%s-files/callable.wsgi/missing>" % mode, "WSGICallableObject nowhere", "</Location>",
                 "<Location /%s-files/callable.wsgi/wrong>" % mode, "WSGICallableObject number", "</Location>"]
    return Site("loading", conf="\n".join(conf))


class Script:
    """A script of one test, of which each version has an mtime of its own."""

    def __init__(self, site, mode, name):
        self.site, self.mode = site, mode
        self.name = name if name in ("fixed.wsgi", "callable.wsgi") else "%s-%s" % (mode, name)
        self.file = site.path(self.name)
        self.age = 1000

    def write(self, source):
        if isinstance(source, str):
            source = source.encode("utf-8")
        with open(self.file + ".new", "wb") as out:
            out.write(source)
        self.age -= 10
        moment = os.stat(self.site.path()).st_mtime - self.age
        os.utime(self.file + ".new", (moment, moment))
        os.replace(self.file + ".new", self.file)
        return self

    def get(self, path="", **more):
        return self.site.httpd.get("/%s-files/%s%s" % (self.mode, self.name, path), **more)


# Source, status, what the log says.
BROKEN = {
    "syntax error": ("def application(:\n", 500, r"WSGI0105", r"SyntaxError"),
    "indentation": ("def a():\nreturn\n", 500, r"WSGI0105", r"IndentationError"),
    "null byte": ("a = '\0'\n", 500, r"WSGI0105", r"null byte|SyntaxError|ValueError"),
    "bad encoding": (b"# -*- coding: utf-8 -*-\nname = '\xff'\n", 500, r"WSGI0105", r"SyntaxError|UnicodeDecodeError"),
    "unknown encoding": ("# -*- coding: klingon -*-\n", 500, r"WSGI0105", r"SyntaxError|LookupError|klingon"),
    "exception": ("raise ValueError('on purpose')\n", 500, r"WSGI0109", r"ValueError: on purpose"),
    "import error": ("import no_such_module\n", 500, r"WSGI0109", r"ModuleNotFoundError"),
    "name error": ("application = undefined\n", 500, r"WSGI0109", r"NameError"),
    "SystemExit": ("import sys\nsys.exit(3)\n", 500, r"WSGI0107", r"SystemExit"),
    "KeyboardInterrupt": ("raise KeyboardInterrupt('on purpose')\n", 500, r"WSGI0109", r"KeyboardInterrupt"),
    "recursion": ("def a():\n  return a() + 1\na()\n", 500, r"WSGI0109", r"RecursionError"),
}


@pytest.mark.parametrize("row", BROKEN)
def test_broken_scripts(site, mode, row):
    source, status, number, words = BROKEN[row]
    script = Script(site, mode, "broken-%s.wsgi" % row.replace(" ", "-")).write(source)
    mark = site.log.mark()
    answer = script.get()
    assert answer.status == status and answer.complete
    line = site.log.wait_for(number, mark)[0]
    assert script.file in line
    site.log.wait_for(words, mark)
    answer = script.get()
    assert answer.status == status and answer.complete
    script.write(HELLO % "b'mended'")
    assert script.get().body == b"mended"


def test_an_exception_at_import_has_its_traceback(site, mode):
    script = Script(site, mode, "traceback.wsgi").write("def inner():\n  raise ValueError('on purpose')\ninner()\n")
    mark = site.log.mark()
    script.get()
    site.log.wait_for(r"ValueError: on purpose", mark)
    assert REFERENCE or re.search(r"line 2, in inner", site.log.text(mark))
    site.log.wait_for(r"WSGI0109", mark)


def test_a_missing_script(site, mode):
    mark = site.log.mark()
    assert Script(site, mode, "missing.wsgi").get().status == 404
    site.log.wait_for(r"WSGI0135", mark)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, whom httpd's children are not")
def test_an_unreadable_script(site, mode):
    script = Script(site, mode, "unreadable.wsgi").write(HELLO % "b''")
    os.chmod(script.file, 0o600)
    mark = site.log.mark()
    assert script.get().status in (403, 500)
    site.log.wait_for(r"WSGI0105|denied", mark)


def test_a_directory(site, mode):
    os.makedirs(site.path("%s-directory" % mode), exist_ok=True)
    answer = site.httpd.get("/%s-files/%s-directory" % (mode, mode))
    assert answer.status == 403


@pytest.mark.difference("the reference's daemon mode answers 500 where embedded answers 404")
def test_a_missing_callable(site, mode):
    script = Script(site, mode, "no-callable.wsgi").write("value = 1\n")
    mark = site.log.mark()
    assert script.get().status == 404
    site.log.wait_for(r"WSGI0089", mark)


def test_a_callable_of_another_name(site, mode):
    source = HELLO % "b'default'" + (HELLO % "b'own'").replace("application", "own") + "number = 5\n"
    script = Script(site, mode, "callable.wsgi").write(source)
    assert script.get("/named").body == b"own"
    assert script.get("/other").body == b"default"
    mark = site.log.mark()
    assert script.get("/wrong").status == 500
    site.log.wait_for(r"TypeError.*not callable", mark)
    assert script.get("/missing").status in (404, 500)


def test_what_a_module_is_called(site, mode):
    script = Script(site, mode, "module.wsgi").write("""
import os, sys
main = __name__ == '__main__'
def application(environ, start_response):
    start_response('200 OK', [])
    import routes
    facts = [__name__, __file__, main, sys.modules[__name__].application is application, sys.modules[__name__].__mtime__,
             os.path.dirname(__file__) in sys.path, sys.argv, os.path.exists(__file__ + 'c')]
    return [repr(facts).encode()]
""")
    name, file, main, registered, mtime, on_path, argv, compiled = eval(script.get().body)
    digest = hashlib.md5(script.file.encode()).hexdigest()
    assert name == "_mod_wsgi_" + digest and file == script.file
    assert (main, registered, on_path, argv, compiled) == (False, True, False, ["mod_wsgi"], False)
    # Whole seconds, so that both agree on the microseconds.
    assert abs(mtime - os.stat(script.file).st_mtime * 1e6) < 2


def test_source_encodings(site, mode):
    script = Script(site, mode, "encoding.wsgi").write(
        "# -*- coding: latin-1 -*-\n".encode() + (HELLO % "name.encode('utf-8')").encode() + b"name = 'caf\xe9'\n")
    assert script.get().text == "caf\xe9"
    script.write(b"\xef\xbb\xbf" + (HELLO % "'\u00e9'.encode('utf-8')").encode("utf-8"))
    assert script.get().text == "\xe9"


def test_line_ends(site, mode):
    script = Script(site, mode, "crlf.wsgi").write((HELLO % "b'crlf'").replace("\n", "\r\n"))
    assert script.get().body == b"crlf"


def test_an_empty_script(site, mode):
    assert Script(site, mode, "empty.wsgi").write("").get().status in (404, 500)


def test_odd_file_names(site, mode):
    script = Script(site, mode, "caf\u00e9 & 'co'.wsgi").write(HELLO % "__file__.encode('utf-8', 'surrogateescape')")
    answer = site.httpd.get("/%s-files/%s-caf%%C3%%A9%%20%%26%%20'co'.wsgi" % (mode, mode))
    assert answer.status == 200 and answer.body == script.file.encode("utf-8"), answer


# MARK: changes

COUNTING = "import os\nSTATE = []\n" + HELLO % "b'%d %%d %%d' %% (os.getpid(), STATE.append(1) or len(STATE))"


def test_a_changed_script_answers_the_next_request(site, mode):
    script = Script(site, mode, "changing.wsgi").write(COUNTING % 1)
    first = script.get().body.split()
    assert first[0] == b"1" and script.get().body.split() == [b"1", first[1], b"2"]
    for version in (2, 3):
        mark = site.log.mark()
        script.write(COUNTING % version)
        answer = script.get()
        assert answer.status == 200 and answer.body.split()[0] == b"%d" % version and answer.body.split()[2] == b"1"
        if mode == "embedded":
            assert answer.body.split()[1] == first[1], "the same process"
            site.log.wait_for(r"[Rr]eloading", mark)


def test_an_older_script_counts_as_changed(site, mode):
    script = Script(site, mode, "older.wsgi").write(HELLO % "b'new'")
    assert script.get().body == b"new"
    script.age += 500
    script.write(HELLO % "b'old'")
    assert script.get().body == b"old"


def test_a_change_that_breaks_and_one_that_mends(site, mode):
    script = Script(site, mode, "breaking.wsgi").write(HELLO % "b'good'")
    assert script.get().body == b"good"
    script.write("syntax error here\n")
    assert script.get().status == 500
    assert script.get().status == 500
    script.write(HELLO % "b'mended'")
    assert script.get().body == b"mended"


def test_reloading_off(site, mode):
    script = Script(site, mode, "fixed.wsgi").write(HELLO % "b'first'")
    # Both modes share the file; each loads it once.
    first = script.get().body
    script.write(HELLO % "b'second'")
    assert script.get().body == first


def test_a_reload_leaves_other_scripts_alone(site, mode):
    if mode == "daemon":
        pytest.skip("a daemon reloads as a whole")
    other = Script(site, mode, "other.wsgi").write(COUNTING % 1)
    script = Script(site, mode, "one.wsgi").write(COUNTING % 1)
    other.get(), script.get()
    script.write(COUNTING % 2)
    assert script.get().body.split()[0] == b"2"
    assert other.get().body.split()[2] == b"2"


RACING = """
import os, time
descriptor = os.open(%r, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
os.write(descriptor, b'.')
os.close(descriptor)
time.sleep(0.2)  # an import that takes a while, as imports do
""" + HELLO % "b'%d'"


def test_requests_that_race_load_a_script_once(site, mode):
    counter = site.httpd.unused_path("loads")
    script = Script(site, mode, "racing.wsgi").write(RACING % (counter, 1))
    answers = run_together(8, lambda _: script.get())
    assert [answer.body for answer in answers] == [b"1"] * 8
    with open(counter) as loads:
        assert loads.read() == "."
    if mode == "embedded":
        script.write(RACING % (counter, 2))
        answers = run_together(8, lambda _: script.get())
        assert [answer.body for answer in answers] == [b"2"] * 8, "none is answered by the old code"
        with open(counter) as loads:
            assert loads.read() == ".."


@pytest.mark.skipif(REFERENCE, reason="the reference holds one lock for all scripts of a process")
def test_a_slow_import_does_not_hold_up_other_scripts(site, mode):
    gate = site.httpd.unused_path("open")
    slow = Script(site, mode, "slow.wsgi").write("""
import os, time
end = time.monotonic() + 20
while not os.path.exists(%r) and time.monotonic() < end:
    time.sleep(0.01)
""" % gate + HELLO % "b'slow'")
    quick = Script(site, mode, "quick.wsgi").write(HELLO % "b'quick'")
    assert quick.get().body == b"quick"

    def work(index):
        if index == 0:
            return slow.get().body
        body = quick.get().body
        open(gate, "w").close()
        return body
    assert run_together(2, work) == [b"slow", b"quick"]
