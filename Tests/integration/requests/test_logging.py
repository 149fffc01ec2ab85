"""wsgi.errors and the standard streams: one record a line, to the right log, with the request it belongs to."""
import os
import re
import urllib.parse

import pytest

from httpd_env import MODES, REFERENCE, Httpd, Site, run_together, wait_until


def SITE():
    conf = ["<VirtualHost 127.0.0.1:{port}>", "ServerName other.example", "ErrorLog other_log"]
    for mode in MODES:
        conf += ["WSGIScriptAlias /%s {apps}/app.wsgi" % mode, "<Location /%s>" % mode, "WSGIApplicationGroup %{GLOBAL}",
                 "WSGIProcessGroup %s" % ("site" if mode == "daemon" else "%{GLOBAL}"), "</Location>"]
    first = ["<VirtualHost 127.0.0.1:{port}>", "ServerName localhost", "</VirtualHost>"]
    return Site("logging", conf="\n".join(first + conf + ["</VirtualHost>"]))


def do(site, mode, expression):
    return site.get(mode, "/errors?do=" + urllib.parse.quote(expression)).text


def record(line):
    """Level and text of a record of httpd's error log."""
    match = re.match(r"\[[^]]*\] \[wsgi:(\w+)\] \[pid \d+(?::tid \d+)?\] (?:\[(?:client|remote) [^]]*\] )?"
                     r"(?:\[script [^]]*\] )?(.*)", line)
    assert match, line
    return match.groups()


# What is written, and the records that it makes.
WRITES = {
    "a line": ("e.write('ordinary W\\n')", ["ordinary W"]),
    "two lines": ("e.write('one W\\ntwo W\\n')", ["one W", "two W"]),
    "no line end": ("e.write('open W')", ["open W"]),
    "pieces": ("[e.write('pieces '), e.write('of W'), e.write('\\n')]", ["pieces of W"]),
    "writelines": ("e.writelines(['lines ', 'W\\n', 'more W'])", ["lines W", "more W"]),
    "print": ("print('printed', 'W', file=e)", ["printed W"]),
    "flush ends a line": ("[e.write('flushed W'), e.flush(), e.write('rest W\\n')]", ["flushed W", "rest W"]),
    "non-ascii": ("e.write('caf\\u00e9 W\\n')", ["caf\\xc3\\xa9 W"]),
    "surrogate": ("e.write('lone \\ud800 W\\n')", ["lone ? W"]),
    "escape": ("e.write('esc \\x1b[31m W\\n')", ["esc \\x1b[31m W"]),
    "bytes to the buffer": ("[e.buffer.write(b'buffer W\\n'), e.flush()]", ["buffer W"]),
}


@pytest.mark.parametrize("row", WRITES)
def test_records(site, mode, row):
    expression, expected = WRITES[row]
    word = "%s-%s" % (mode, row.replace(" ", "-"))
    mark = site.log.mark()
    do(site, mode, expression.replace("W", word))
    lines = site.log.wait_for(re.escape(word), mark, count=len(expected))
    assert [record(line) for line in lines] == [("error", text.replace("W", word)) for text in expected]


def test_empty_lines_and_carriage_returns_harm_nothing(site, mode):
    mark = site.log.mark()
    do(site, mode, "e.write('\\n\\r\\n\\nafter %s\\n')" % mode)
    site.log.wait_for("after " + mode, mark)


def test_a_record_tells_its_script_and_client(site, mode):
    mark = site.log.mark()
    do(site, mode, "e.write('whence %s\\n')" % mode)
    line = site.log.wait_for("whence " + mode, mark)[0]
    assert re.search(r"\[(client|remote) 127\.0\.0\.1:\d+\]", line)
    assert "[script %s]" % site.path() in line


def test_a_long_line_loses_nothing(site, mode):
    mark = site.log.mark()
    do(site, mode, "e.write('begin-%s ' + 'x' * 30000 + ' end-%s\\n')" % (mode, mode))
    if not REFERENCE:
        site.log.wait_for("end-" + mode, mark)
        assert site.log.text(mark).count("x" * 1000) >= 3
    assert len(site.log.wait_for("begin-" + mode, mark)) == 1


# Outside of a request a thread of the application's writes, after the request has ended.
@pytest.mark.difference("the reference cuts long lines")
@pytest.mark.parametrize("kind", ["ascii", "wide"])
@pytest.mark.parametrize("size", [4000, 9000, 60000])
@pytest.mark.parametrize("where", ["request", "thread"])
@pytest.mark.parametrize("how", ["errors", "stderr", "print", "logging"])
def test_a_line_of_any_length_loses_nothing(site, mode, how, where, size, kind):
    if how == "errors" and where == "thread":
        pytest.skip("wsgi.errors ends with its request")
    mark = site.log.mark()
    word = "%s-%s-%s-%d-%s" % (mode, how, where, size, kind)
    site.get(mode, "/long?how=%s&where=%s&size=%d&kind=%s&word=%s" % (how, where, size, kind, word))
    site.log.wait_for("behind-" + word, mark)
    texts = [record(line)[1] for line in site.log.lines(r"\[wsgi:error\]", mark)]
    number = "%05d." if kind == "ascii" else "\\xe2\\x82\\xac%05d."
    expected = "before-%s " % word + "".join(number % n for n in range(size // 6)) + " behind-" + word
    assert expected in "".join(texts), [len(text) for text in texts]
    # Each record is text of its own.
    for text in texts:
        re.sub(r"\\x(..)", lambda match: chr(int(match.group(1), 16)), text).encode("latin-1").decode()


@pytest.mark.difference("the reference knows no limit")
def test_a_request_that_floods_the_log_is_held_back(site, mode):
    total, mark = 40_000, site.log.mark()
    site.get(mode, "/flood?lines=%d&word=flood-%s" % (total, mode))
    site.log.wait_for("WSGI0642", mark)

    def counts():
        # What has been dropped is told once a second, when another record is written.
        site.flush_log(mode)
        dropped = sum(int(re.search(r"WSGI0642: Dropped (\d+) log lines \((\d+) bytes\)", line).group(1))
                      for line in site.log.lines("WSGI0642", mark))
        return len(site.log.lines("flood-%s line" % mode, mark)), dropped
    wait_until(lambda: sum(counts()) == total, lambda: "%d written and %d dropped" % counts())
    assert counts()[0] >= 10_000
    # Others are not held back.
    site.get(mode, "/many?word=calm-%s" % mode)
    assert len(site.log.wait_for("calm-%s line" % mode, mark, count=50)) == 50


@pytest.mark.difference("the reference knows no limit")
def test_a_process_that_floods_the_log_outside_of_requests_is_held_back(make_httpd):
    server = make_httpd("WSGIDaemonProcess one python-path={lib}\nWSGIScriptAlias /app {apps}/app.wsgi\n"
                        "WSGIProcessGroup one\nWSGIApplicationGroup %{GLOBAL}\n", apps="logging")
    assert server.get("/app/flood_outside?lines=20000&word=outside").status == 200

    # Nothing that follows brings it out.
    def is_complete():
        told = server.log.lines(r"WSGI0458: Dropped \d+ log lines \(\d+ bytes\) of process \d+ of process group 'one'")
        missing = sum(int(re.search(r"WSGI0458: Dropped (\d+)", line).group(1)) for line in told)
        return missing > 0 and len(server.log.lines("outside line")) + missing == 20_000

    wait_until(is_complete, lambda: "%d written, and %s" % (
        len(server.log.lines("outside line")), server.log.lines("WSGI04")))
    assert len(server.log.lines("outside line")) >= 2000


@pytest.mark.difference("the reference knows no limit")
def test_the_requests_of_a_group_share_a_limit(make_httpd):
    server = make_httpd("WSGIDaemonProcess one threads=7 python-path={lib}\nWSGIScriptAlias /app {apps}/app.wsgi\n"
                        "WSGIProcessGroup one\nWSGIApplicationGroup %{GLOBAL}\n", apps="logging")
    asked = []

    def ask(lines):
        asked.append(lines)
        assert server.get("/app/flood?lines=%d&word=shared" % lines).status == 200

    def missing():
        told = server.log.lines(r"WSGI0643: Dropped \d+ log lines \(\d+ bytes\) of the requests of process group 'one'")
        return sum(int(re.search(r"WSGI0643: Dropped (\d+)", line).group(1)) for line in told)

    # Each request keeps to the limit of a request; how many it takes depends on how fast they are, since the limit is a rate.
    for _ in range(10):
        assert run_together(7, lambda index: ask(9000)) == [None] * 7
        if missing():
            break
    else:
        pytest.skip("lines are written no faster here than a process group may write them")
    assert not server.log.lines("WSGI0642")

    # What is missing is told once a second, by a request that writes.
    def is_complete():
        ask(1)
        return len(server.log.lines("shared line")) + missing() == sum(asked)

    wait_until(is_complete, lambda: "%d written, %d missing, of %d" % (
        len(server.log.lines("shared line")), missing(), sum(asked)))
    assert len(server.log.lines("shared line")) >= 50_000


FLOOD = """
import os, threading, time
def write():
    count = 0
    while not os.path.exists(%(stop)r):
        for _ in range(100):
            print('together line')
        count += 100
        time.sleep(0.05)
    with open(os.path.join(%(counts)r, '.%%d' %% os.getpid()), 'w') as out:
        out.write(str(count))
    os.rename(out.name, os.path.join(%(counts)r, str(os.getpid())))
threading.Thread(target=write, daemon=True).start()
def application(environ, start_response):
    start_response('200 OK', [])
    return [b'served']
"""


@pytest.mark.skipif("daemon" not in MODES, reason="daemon mode is not tested here")
@pytest.mark.difference("the reference knows no limit")
def test_the_processes_of_a_group_share_a_limit():
    """Each may pass on 500 lines a second: those of twelve are more than the 2,000 of their group, however fast they are."""
    conf = "WSGIScriptAlias /%s {apps}/%s.wsgi process-group=%s application-group=%%{GLOBAL}\n"
    server = Httpd("WSGIDaemonProcess many processes=12 threads=1\nWSGIDaemonProcess calm threads=1 python-path={lib}\n"
                   + conf % (("many",) * 3) + conf.replace("%s.wsgi", "app.wsgi") % ("calm", "calm"), apps="logging", name="many")
    counts, stop = server.make_directory("counts", 0o777), server.unused_path("stop")
    with open(os.path.join(server.apps, "many.wsgi"), "w") as script:
        script.write(FLOOD % {"stop": stop, "counts": counts})
    told = r"WSGI0644: Dropped (\d+) log lines \(\d+ bytes\) of the processes of group 'many': outside requests"

    def missing(pattern):
        return sum(int(re.search(pattern, line).group(1)) for line in server.log.lines(pattern))

    with server:
        server.log.wait_for(told)
        # Another group is not held back.
        assert server.get("/calm/flood_outside?lines=1000&word=calm").status == 200
        server.log.wait_for("calm line", count=1000)
        open(stop, "w").close()
        wait_until(lambda: len([name for name in os.listdir(counts) if name[0] != "."]) == 12, "all of them")
        total = sum(int(open(os.path.join(counts, name)).read()) for name in os.listdir(counts))

        def passed_and_missing():
            return len(server.log.lines("together line")), missing(r"WSGI0458: Dropped (\d+)"), missing(told)
        wait_until(lambda: sum(passed_and_missing()) == total, lambda: "%s of %d" % (passed_and_missing(), total))
        assert passed_and_missing()[0] >= 20_000


def test_what_is_ordinary_is_not(site, mode):
    mark = site.log.mark()
    site.get(mode, "/flood?lines=5000&word=plenty-%s" % mode)
    assert len(site.log.wait_for("plenty-%s line" % mode, mark, count=5000)) == 5000
    assert not site.log.lines("WSGI0642|WSGI0643", mark)


@pytest.mark.difference("the reference writes names as they are")
def test_no_name_of_a_file_forges_a_line(make_httpd, mode):
    conf = "WSGIScriptAlias /app {apps}/app.wsgi\nWSGIApplicationGroup %{GLOBAL}\n"
    if mode == "daemon":
        conf += "WSGIDaemonProcess one python-path={lib}\nWSGIProcessGroup one\n"
    server = make_httpd(conf, apps="logging", log_level="warn wsgi:debug")
    mark = server.log.mark()
    assert server.get("/app/forge").status == 500
    server.log.wait_for("forged traceback", mark)
    server.log.wait_for("said at debug level", mark)
    server.log.wait_for("said outside", mark)
    texts = server.log.text(mark).splitlines()
    assert all(line.startswith("[") and "] [" in line for line in texts), texts
    assert not [line for line in texts if re.search(r"^\[forged|\] forged", line)], texts


def test_a_nul_loses_nothing(site, mode):
    mark = site.log.mark()
    do(site, mode, "e.write('before-%s \\0 after-%s\\n')" % (mode, mode))
    site.log.wait_for("before-" + mode, mark)
    if not REFERENCE:
        site.log.wait_for("after-" + mode, mark)


ATTRIBUTES = {
    "e.name": "'<wsgi.errors>'", "sys.stderr.name": "'<stderr>'", "sys.stdout.name": "'<stdout>'", "e.closed": "False",
    "e.isatty()": "False", "e.encoding.lower()": "'utf-8'", "e.errors": "'replace'", "e.line_buffering": "True",
    "e.fileno()": "UnsupportedOperation", "type(e).__name__": "'TextIOWrapper'", "type(e.buffer).__name__": "'Log'",
    "e.write('')": "0",
    "e.buffer.readable()": "False", "e.buffer.writable()": "True", "e.buffer.seekable()": "False",
    "e.buffer.fileno()": "UnsupportedOperation", "sys.stdout.fileno()": "UnsupportedOperation",
    "sys.stderr.fileno()": "UnsupportedOperation", "issubclass(__import__('io').UnsupportedOperation, OSError)": "True",
    "e.read()": "UnsupportedOperation", "e.tell()": "UnsupportedOperation", "e.seek(0)": "UnsupportedOperation",
    "e.truncate()": "UnsupportedOperation", "e.buffer.read()": "UnsupportedOperation", "sys.stdout.isatty()": "False",
    "sys.stdout.readable()": "False", "sys.stdout.writable()": "True", "sys.stdout.seekable()": "False",
    # What write() returns: characters for text, bytes for bytes.
    "sys.stdout.write('\\u20ac' * 5 + '\\n')": "6", "e.write('caf\\xe9\\n')": "5", "e.buffer.write('\\u20ac' * 5)": "5",
    "e.buffer.write(b'12345')": "5",
}


@pytest.mark.parametrize("expression", ATTRIBUTES)
def test_stream_attributes(site, mode, expression):
    assert do(site, mode, expression).partition(":")[0] == ATTRIBUTES[expression]


def test_use_after_the_request(site, mode):
    mark = site.log.mark()
    site.get(mode, "/keep")
    site.log.wait_for("an unfinished line", mark)
    lines = site.get(mode, "/use_kept").text.split("\n")
    assert [line.partition(":")[0] for line in lines] == ["RuntimeError", "RuntimeError", "None"]


def test_what_a_script_says_while_it_loads(site, mode):
    site.get(mode, "/streams?word=loaded")
    for words in ("printed while loading", "stderr while loading"):
        site.log.wait_for(words)


def test_standard_streams_of_a_request(site, mode):
    word = "streams-" + mode
    mark = site.log.mark()
    site.get(mode, "/streams?word=" + word)
    lines = site.log.wait_for(word, mark, count=4)
    assert [record(line)[1] for line in lines] == ["print " + word, "stderr " + word, "stderr print " + word, "lines " + word]
    assert all("[script %s]" % site.path() in line for line in lines)


def test_streams_of_a_background_thread(site, mode):
    word = "background-" + mode
    mark = site.log.mark()
    site.get(mode, "/thread?word=" + word)
    lines = site.log.wait_for(word, mark, count=2)
    assert not [line for line in lines if "[script" in line], lines


def test_an_exception_in_a_background_thread(site, mode):
    mark = site.log.mark()
    site.get(mode, "/thread_raises?word=" + mode)
    site.log.wait_for("ValueError: in a thread " + mode, mark)


def test_records_go_to_their_virtual_host(site, mode):
    word = "vhost-" + mode
    answer = site.httpd.request("GET", "/%s/streams?word=%s" % (mode, word), host="other.example")
    assert answer.status == 200
    other = type(site.log)(site.httpd.root + "/other_log")
    other.wait_for(word, count=4)
    assert not site.log.lines(word)


def test_logging_levels(site, mode):
    word = "levels-" + mode
    mark = site.log.mark()
    site.get(mode, "/log?word=" + word)
    # The server keeps wsgi:info; the two lines of one record are two records.
    lines = site.log.wait_for(word, mark, count=5)
    assert [record(line) for line in lines] == [
        ("crit", "level 50 of " + word), ("error", "level 40 of " + word), ("warn", "level 30 of " + word),
        ("info", "level 20 of " + word), ("error", "lines of " + word)]


def test_warnings(site, mode):
    mark = site.log.mark()
    site.get(mode, "/warn?word=" + mode)
    site.log.wait_for("UserWarning: a warning " + mode, mark)


def test_concurrent_lines_stay_whole(site, mode):
    mark = site.log.mark()
    answers = run_together(8, lambda index: site.get(mode, "/many?word=who%d-%s" % (index, mode)))
    assert all(answer.status == 200 for answer in answers)
    lines = site.log.wait_for(r"who\d-%s" % mode, mark, count=400)
    assert len(lines) == 400
    for line in lines:
        assert re.search(r" who\d-%s line \d\d x{300} end$" % mode, line), line
    for who in range(8):
        mine = [line for line in lines if "who%d-" % who in line]
        assert [int(re.search(r"line (\d\d)", line).group(1)) for line in mine] == list(range(50)), "in order"
