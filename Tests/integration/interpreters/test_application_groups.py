"""Application groups: main interpreter and sub-interpreters, their environment, threads, signals and end."""
import os

import pytest

from httpd_env import MODES, PYTHON, REFERENCE, Httpd, Site, run_together

GROUPS = {"main": "%{GLOBAL}", "one": "one", "two": "two", "resource": "%{RESOURCE}", "server": "%{SERVER}",
          "host": "%{HOST}", "env": "%{ENV:GROUP}", "env-global": "%{ENV:TO_GLOBAL}", "env-missing": "%{ENV:NOWHERE}",
          "embedded-token": "x-%{GLOBAL}"}


def SITE():
    conf = ["SetEnv FROM_SETENV value", "SetEnvIf Request_URI . GROUP=from-env", "SetEnvIf Request_URI . TO_GLOBAL=%{GLOBAL}"]
    for mode in MODES:
        for name, group in GROUPS.items():
            conf += ["WSGIScriptAlias /%s-%s {apps}/app.wsgi" % (mode, name), "<Location /%s-%s>" % (mode, name),
                     "WSGIProcessGroup %s" % ("site" if mode == "daemon" else "%{GLOBAL}"), "WSGIApplicationGroup %s" % group,
                     "</Location>"]
    return Site("interpreters", conf="\n".join(conf), environment={"PRISTINE": "yes", "TO_REMOVE": "there"})


def ask(site, mode, group, path, **more):
    answer = site.httpd.get("/%s-%s%s" % (mode, group, path), **more)
    assert answer.status == 200, answer
    return answer.text


def facts(site, mode, group="main"):
    return eval(ask(site, mode, group, "/facts"))


NAMES = {
    "main": "", "one": "one", "resource": "localhost|/{mode}-resource", "server": "localhost", "host": "localhost",
    "env": "from-env", "env-global": "", "env-missing": "%{ENV:NOWHERE}",
          "embedded-token": "x-%{GLOBAL}",
}


WART = pytest.mark.difference("the reference may run %{GLOBAL} in a sub-interpreter on Python 3.11 and older")


@pytest.mark.parametrize("group", [pytest.param(name, marks=WART) if name == "env-global" else name for name in NAMES])
def test_names(site, mode, group):
    who = eval(ask(site, mode, group, "/who"))
    expected = NAMES[group].format(mode=mode) if "{mode}" in NAMES[group] else NAMES[group]
    assert who["group"] == who["environ"] == expected
    assert who["process_group"] == ("site" if mode == "daemon" else "")


@pytest.mark.difference("the port in a name is the one that the client named there")
def test_the_port_in_a_name_is_not_the_clients(site, mode):
    for group, name in (("host", "other.example"), ("server", "localhost:%d" % site.httpd.port)):
        answer = site.httpd.get("/%s-%s/who" % (mode, group), [("Host", "Other.Example:8123")])
        assert eval(answer.text)["group"] == name


def test_one_interpreter_for_a_group_and_another_for_another(site, mode):
    first, second, main = (eval(ask(site, mode, group, "/who")) for group in ("one", "two", "main"))
    again = eval(ask(site, mode, "one", "/who"))
    assert first["module"] == again["module"] and again["count"] == first["count"] + 1
    assert len({first["module"], second["module"], main["module"]}) == 3
    assert first["pid"] == second["pid"] == main["pid"]


@WART
def test_groups_of_one_name_share_an_interpreter(site, mode):
    assert eval(ask(site, mode, "main", "/who"))["module"] == eval(ask(site, mode, "env-global", "/who"))["module"]


@WART
def test_global_is_the_main_interpreter_on_every_thread(site, mode):
    run_together(12, lambda index: ask(site, mode, "one" if index % 2 else "two", "/who"))
    answers = run_together(24, lambda index: eval(ask(site, mode, "main" if index % 2 else "one", "/who")))
    assert [answer["main"] for answer in answers] == [index % 2 == 1 for index in range(24)]


@pytest.mark.parametrize("group", ["main", "one"])
def test_what_an_interpreter_is_given(site, mode, group):
    seen = facts(site, mode, group)
    assert seen["argv"] == ["mod_wsgi"] and seen["stderr"] == "TextIOWrapper" and seen["stdout"] == "TextIOWrapper"
    assert seen["apache"] and seen["site"] and seen["ignore_environment"] == 0 and seen["setenv"] is None
    assert seen["path0"] == os.path.join(site.httpd.root, "lib")
    assert len(seen["version"]) == 3
    assert (seen["maximum_processes"], seen["threads_per_process"]) == ((1, 8) if mode == "daemon" else (1, 80))


@pytest.mark.parametrize("group", ["main", "one"])
def test_signal_handlers_are_not_installed(site, mode, group):
    mark = site.log.mark()
    assert ask(site, mode, group, "/handle_signal") == "[True, True]"
    site.log.wait_for(r"signal", mark)


@pytest.mark.parametrize("group", ["main", "one"])
def test_stdin_is_empty_and_stdout_is_the_log(site, mode, group):
    assert ask(site, mode, group, "/read_stdin") in ("''", "AttributeError: 'NoneType' object has no attribute 'read'")
    assert ask(site, mode, group, "/write_stdout") == "written"


# MARK: os.environ

def test_the_environment_of_httpd_is_there(site, mode):
    for group in ("main", "one"):
        assert ask(site, mode, group, "/getenv?name=PRISTINE") == "['yes', 'yes', 'yes']"


@pytest.mark.difference("the reference writes every interpreter's environment into the process's own")
def test_each_interpreter_has_an_environment_of_its_own(site, mode):
    name = "SETTINGS_%s" % mode.upper()
    for group in ("one", "two", "main", "server"):
        value = "for-" + group
        assert ask(site, mode, group, "/setdefault?name=%s&value=%s" % (name, value)) == repr([value] * 3)
    for group in ("one", "two", "main", "server"):
        assert ask(site, mode, group, "/getenv?name=" + name) == repr(["for-" + group] * 3)
    # An interpreter that comes later starts from what httpd gave, not from what the others did.
    assert ask(site, mode, "env-missing", "/getenv?name=" + name) == repr([None, None, "unset"])


@pytest.mark.difference("the reference writes every interpreter's environment into the process's own")
def test_a_variable_removed_in_one_interpreter_stays_in_the_others(site, mode):
    assert ask(site, mode, "one", "/unsetenv?name=TO_REMOVE") == repr([None, None, "unset"])
    assert ask(site, mode, "two", "/getenv?name=TO_REMOVE") == repr(["there"] * 3)
    assert ask(site, mode, "main", "/getenv?name=TO_REMOVE") == repr(["there"] * 3)


@pytest.mark.parametrize("group", ["main", "one"])
def test_what_is_assigned_and_removed_reaches_c(site, mode, group):
    name = "FOR_C_%s_%s" % (mode.upper(), group.upper())
    assert ask(site, mode, group, "/setenv?name=%s&value=here" % name) == repr(["here"] * 3)
    assert ask(site, mode, group, "/native?name=" + name) == repr(b"here")
    assert ask(site, mode, group, "/unsetenv?name=" + name) == repr([None, None, "unset"])
    assert ask(site, mode, group, "/native?name=" + name) == "None"


def test_time_zones(site, mode):
    """A process has one at a time: it is that of whichever interpreter called tzset() last."""
    for group, zone, expected in (("one", "Asia/Tokyo", "JST"), ("main", "Europe/Moscow", "MSK"), ("two", "Asia/Tokyo", "JST"),
                                  ("one", "UTC", "UTC")):
        assert ask(site, mode, group, "/zone?value=" + zone) == expected
        assert ask(site, mode, group, "/getenv?name=TZ") == repr([zone] * 3)


WAYS = ("call", "shell", "session", "popen", "system", "posix_spawn", "posix_spawnp", "spawn")


@pytest.mark.difference("the reference writes every interpreter's environment into the process's own")
def test_programs_see_the_environment_of_the_interpreter_that_starts_them(site, mode):
    name = "FOR_PROGRAMS_" + mode.upper()
    for group in ("main", "one", "two"):
        ask(site, mode, group, "/setenv?name=%s&value=of-%s" % (name, group))
    for group in ("main", "one", "two"):
        seen = eval(ask(site, mode, group, "/programs?name=" + name))
        assert seen == dict.fromkeys(seen, "of-" + group) and not set(WAYS) - set(seen)
    ask(site, mode, "one", "/unsetenv?name=" + name)
    for group, expected in (("main", "of-main"), ("one", "unset"), ("two", "of-two"), ("server", "unset")):
        seen = eval(ask(site, mode, group, "/programs?name=" + name))
        assert seen == dict.fromkeys(seen, expected), group


@pytest.mark.difference("the reference writes every interpreter's environment into the process's own")
def test_putenv_reaches_the_programs_of_its_interpreter(site, mode):
    name = "BY_PUTENV_" + mode.upper()
    for group in ("main", "one"):
        seen = eval(ask(site, mode, group, "/putenv?name=%s&value=of-%s" % (name, group)))
        # os.environ knows nothing of it, and what is given that (by subprocess too, where it uses posix_spawn) sees just that.
        told = {way: value for way, value in seen.items() if way not in ("shell", "posix_spawn", "posix_spawnp")}
        assert told == dict.fromkeys(told, "of-" + group)
    assert ask(site, mode, "two", "/getenv?name=" + name) == repr([None, None, "unset"])


def test_programs_that_take_the_place_of_a_fork_see_it_too(mode, make_httpd):
    group = "site" if mode == "daemon" else "%{GLOBAL}"
    server = make_httpd("WSGIDaemonProcess site python-path={lib}\nWSGIScriptAlias / {apps}/app.wsgi process-group=%s "
                        "application-group=%%{GLOBAL}" % group, apps="interpreters")
    assert server.get("/setenv?name=FOR_FORKS&value=here").status == 200
    seen = eval(server.get("/programs?name=FOR_FORKS&fork=yes").text)
    assert seen == dict.fromkeys(seen, "here") and {"spawnl", "execv", "execlp"} < set(seen)


# MARK: threads

@pytest.mark.parametrize("group", ["main", "one"])
def test_thread_local_values_last(site, mode, group):
    seen = {}
    for _ in range(60):
        ident, count = ask(site, mode, group, "/thread_local").split()
        seen.setdefault(ident, []).append(int(count))
    for counts in seen.values():
        assert counts == list(range(counts[0], counts[0] + len(counts)))


@pytest.mark.parametrize("group", ["main", "one"])
def test_threads_of_an_application(site, mode, group):
    assert ask(site, mode, group, "/nested") == "[0, 1, 4, 9, 16]"


@pytest.mark.parametrize("group", ["main", "one", "two"])
def test_extension_modules(site, mode, group):
    assert ask(site, mode, group, "/data") == repr([2, "2.10", [1], b"z", "e3b0c442", 29, True])


# MARK: the end

@pytest.mark.parametrize("mpm", ["event", "prefork"])
def test_atexit_runs_in_every_interpreter(make_httpd, mode, mpm):
    if mode == "daemon" and mpm == "prefork":
        pytest.skip("a daemon is the same under every MPM")
    conf = ["WSGISocketPrefix {root}/wsgi", "WSGIDaemonProcess site threads=4 python-path={lib}"] if mode == "daemon" else []
    for name, group in (("main", "%{GLOBAL}"), ("one", "one"), ("two", "two")):
        conf += ["WSGIScriptAlias /%s {apps}/app.wsgi process-group=%s application-group=%s"
                 % (name, "site" if mode == "daemon" else "%{GLOBAL}", group)]
    server = make_httpd("\n".join(conf), apps="interpreters", mpm=mpm)
    path = server.unused_path("atexit")
    pids = set()
    for name in ("main", "one", "two"):
        with server.client() as client:
            assert client.request("GET", "/%s/register_atexit?path=%s" % (name, path)).text == "registered"
            assert client.request("GET", "/%s/leave_threads" % name).text == "started"
            pids.add(eval(client.request("GET", "/%s/who" % name).text)["pid"])
    server.stop()
    with open(path) as left:
        lines = sorted(left.read().split("\n"))
    if len(pids) == 1:
        assert lines == ["", "", "one", "two"]  # one line end for each, and the main interpreter's empty name
    assert {"one", "two"} <= set(lines)


CALLS_BACK = """
import atexit, ctypes, threading
THREADS = threading.Barrier(4)
@ctypes.CFUNCTYPE(None)
def callback():
    import mod_wsgi
    with open(%r, 'a') as out:
        out.write(mod_wsgi.application_group)
atexit.register(callback)
def application(environ, start_response):
    THREADS.wait(30)
    start_response('200 OK', [])
    return [b'registered']
"""


@pytest.mark.skipif(PYTHON < (3, 12), reason="before Python 3.12 C calls back into the main interpreter")
def test_exit_functions_are_called_back_from_c_in_their_interpreter(make_httpd, mode):
    conf = ["WSGIDaemonProcess site threads=8"] if mode == "daemon" else []
    conf += ["WSGIScriptAlias /one {apps}/back.wsgi process-group=%s application-group=one"
             % ("site" if mode == "daemon" else "%{GLOBAL}")]
    paths = []

    def prepare(server):
        paths.append(os.path.join(server.make_directory("left", 0o777), "called"))
        server.write("back.wsgi", CALLS_BACK % paths[0])
    server = make_httpd("\n".join(conf), prepare=prepare)
    path, = paths
    assert run_together(4, lambda _: server.get("/one").text) == ["registered"] * 4
    server.stop()
    with open(path) as called:
        assert called.read() == "one"


def test_destroy_interpreter_off(make_httpd):
    server = make_httpd("WSGIDestroyInterpreter Off\nWSGIScriptAlias /one {apps}/app.wsgi application-group=one",
                        apps="interpreters")
    path = server.unused_path("atexit")
    assert server.get("/one/register_atexit?path=" + path).text == "registered"
    server.stop()
    assert not os.path.exists(path)


def test_restrictions(make_httpd):
    server = make_httpd("WSGIRestrictStdin On\nWSGIRestrictStdout On\nWSGIScriptAlias /main {apps}/app.wsgi "
                        "application-group=%{GLOBAL}\nWSGIScriptAlias /one {apps}/app.wsgi application-group=one",
                        apps="interpreters")
    for group in ("main", "one"):
        assert server.get("/%s/read_stdin" % group).text == "OSError: sys.stdin access restricted by mod_wsgi"
        assert server.get("/%s/write_stdout" % group).text == "OSError: sys.stdout access restricted by mod_wsgi"


# MARK: many at once

COUNTING = """
import os, sys, mod_wsgi
for name in ('loads',):
    descriptor = os.open(os.path.join(%r, name), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(descriptor, b'.')
    os.close(descriptor)
def application(environ, start_response):
    start_response('200 OK', [])
    return [str(id(sys.modules)).encode()]
"""


def test_a_thousand_first_requests_make_one_interpreter_and_load_the_script_once():
    conf = "ListenBacklog 2000\nWSGIScriptAlias / {apps}/counted.wsgi application-group=crowd"
    server = Httpd(conf, threads=64, name="crowd")
    directory = server.make_directory("counts", 0o777)
    with open(os.path.join(server.apps, "counted.wsgi"), "w") as script:
        script.write(COUNTING % directory)
    # Nothing may have asked for the application before the crowd does.
    server.answers = lambda: accepts(server)
    with server:
        mark = server.log.mark()
        answers = run_together(1000, lambda _: server.get("/"))
        failures = [answer for answer in answers if getattr(answer, "status", None) != 200]
        assert not failures, (len(failures), failures[:3])
        assert len({answer.body for answer in answers}) == 1
        with open(os.path.join(directory, "loads")) as loads:
            assert loads.read() == "."
        if not REFERENCE:
            assert len(server.log.lines(r"[Cc]reating.*interpreter 'crowd'", mark)) <= 1


def accepts(server):
    import socket
    try:
        socket.create_connection(("127.0.0.1", server.port), 5).close()
        return True
    except OSError:
        return False


def test_interpreters_come_and_go_together(make_httpd):
    """Many groups, asked for at once, then the end of the server with all of them there."""
    conf = "\n".join("WSGIScriptAlias /g%d {apps}/app.wsgi application-group=group-%d" % (index, index) for index in range(12))
    server = make_httpd(conf, apps="interpreters")
    answers = run_together(24, lambda index: server.get("/g%d/who" % (index % 12)))
    assert sorted({eval(answer.text)["group"] for answer in answers}) == sorted("group-%d" % index for index in range(12))
    server.stop()
