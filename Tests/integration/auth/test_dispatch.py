"""WSGIDispatchScript: what its functions see and answer, and where requests run then."""
import json
import os
import urllib.parse

import pytest

from httpd_env import MODES, REFERENCE, Httpd, run_together, stage_module

SCRIPTS = {"missing": "missing.py", "broken": "broken.py", "empty": "empty.py", "partly": "partly.py",
           "interpreter": "dispatch.py application-group=plain", "named": "dispatch.py application-group=%{SERVER}"}
FUNCTIONS = ["process_group", "application_group", "callable_object"]


def configuration(mode):
    conf = "SetEnv TARGET chosen-by-variable\nWSGIScriptAlias /app {apps}/app.wsgi\nWSGIScriptAlias /plain {apps}/app.wsgi\n"
    if mode == "daemon":
        conf += ("WSGIDaemonProcess site threads=4\nWSGIDaemonProcess second threads=2\nWSGIProcessGroup site\n"
                 "WSGISocketPrefix {root}/wsgi\nWSGIRestrictEmbedded On\n")
    conf += "<Location /app>\nWSGIDispatchScript {apps}/dispatch.py\nWSGIApplicationGroup %{GLOBAL}\nWSGIPassAuthorization On\n"
    conf += "</Location>\n"
    for name, script in SCRIPTS.items():
        conf += ("WSGIScriptAlias /%s {apps}/app.wsgi\n<Location /%s>\nWSGIDispatchScript {apps}/%s\n"
                 "WSGIApplicationGroup standard\n</Location>\n" % (name, name, script))
    conf += ("WSGIScriptAlias /options {apps}/app.wsgi application-group=by-alias callable-object=application%s\n"
             "<Location /options>\nWSGIDispatchScript {apps}/dispatch.py\n</Location>\n"
             % (" process-group=site" if mode == "daemon" else ""))
    conf += ("WSGIScriptAlias /restricted {apps}/app.wsgi\n<Location /restricted>\nWSGIDispatchScript {apps}/dispatch.py\n"
             "WSGIRestrictProcess %s\n</Location>\n" % ("site" if mode == "daemon" else "%{GLOBAL}"))
    conf += ("WSGIHandlerScript handled {apps}/app.wsgi\n<Location /handled>\nSetHandler handled\n"
             "WSGIDispatchScript {apps}/dispatch.py\n</Location>\n")
    return conf


@pytest.fixture(scope="module", params=MODES)
def server(request):
    server = Httpd(configuration(request.param), apps="dispatch", name="dispatch", threads=80)
    server.mode = request.param
    for name, source in (("broken.py", "raise ValueError('broken')\n"), ("empty.py", ""),
                         ("partly.py", "def callable_object(environ):\n  return 'other'\n")):
        with open(os.path.join(server.apps, name), "w") as script:
            script.write(source)
    with server:
        yield server


def ask(server, path="/app", **choices):
    return server.get(path + "?" + urllib.parse.urlencode(choices), [("Host", "localhost")])


def place(answer):
    assert answer.status == 200, answer
    shown = json.loads(answer.body)
    return shown["application"], shown["callable"]


# MARK: answers

CHOICES = [
    ({}, ("", "application")), ({"application_group": "'chosen'"}, ("chosen", "application")),
    ({"application_group": "b'chosen'"}, ("chosen", "application")),
    ({"application_group": "'caf\u00e9'"}, ("caf\u00e9", "application")),
    ({"application_group": "'%{SERVER}'"}, ("localhost", "application")),
    ({"application_group": "'%{GLOBAL}'"}, ("", "application")),
    ({"application_group": "'%{RESOURCE}'"}, ("localhost|/app", "application")),
    ({"application_group": "'%{ENV:TARGET}'"}, ("chosen-by-variable", "application")),
    ({"application_group": "''"}, ("", "application")), ({"callable_object": "'other'"}, ("", "other")),
    ({"callable_object": "b'other'"}, ("", "other")), ({"callable_object": "'%{GLOBAL}'"}, ("", "application")),
    ({"application_group": "'chosen'", "callable_object": "'other'"}, ("chosen", "other")),
]


@pytest.mark.parametrize("choices,expected", CHOICES)
def test_choices(server, choices, expected):
    assert place(ask(server, **choices)) == expected


def test_process_groups(server):
    embedded = server.mode == "embedded"
    assert json.loads(ask(server, process_group="None").body)["process"] == ("" if embedded else "site")
    if not embedded:
        for name in ("'second'", "b'second'"):
            assert json.loads(ask(server, process_group=name).body)["process"] == "second"
    mark = server.log.mark()
    assert ask(server, process_group="'nowhere'").status == 500
    server.log.wait_for("WSGI0150.*nowhere", mark)
    if not embedded:
        assert ask(server, process_group="'%{GLOBAL}'").status == 500
        server.log.wait_for("WSGI0143", mark)


def test_a_process_group_that_may_not_be_used(server):
    assert ask(server, "/restricted").status == 200
    mark = server.log.mark()
    assert ask(server, "/restricted", process_group="'second'").status == 500
    server.log.wait_for("WSGI0149", mark)


def test_options_of_an_alias_give_way(server):
    assert place(ask(server, "/options")) == ("by-alias", "application")
    assert place(ask(server, "/options", application_group="'chosen'", callable_object="'other'")) == ("chosen", "other")


def test_handler_scripts(server):
    assert place(ask(server, "/handled", application_group="'chosen'")) == ("chosen", "handle_request")
    assert place(ask(server, "/handled", callable_object="'other'"))[1] == "other"


def test_a_callable_that_is_not_there(server):
    mark = server.log.mark()
    assert ask(server, callable_object="'nowhere'").status == 404
    server.log.wait_for("WSGI0089", mark)


# MARK: failures

FAILURES = {"raise": "ValueError", "exit": "SystemExit", "5": "TypeError.*int", "True": "TypeError.*bool",
            "[]": "TypeError.*list", "'\u65e5'": "TypeError|UnicodeEncodeError", "('a',)": "TypeError.*tuple"}


@pytest.mark.parametrize("value", FAILURES)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_failures(server, function, value):
    mark = server.log.mark()
    answer = ask(server, **{function: value})
    assert answer.status == 500 and answer.complete
    assert "dispatch.py" in server.log.wait_for(FAILURES[value], mark)[0]
    asked = [line.split("] ")[-1] for line in server.log.lines(" asked$", mark)]
    assert asked == ["%s asked" % name for name in FUNCTIONS[:FUNCTIONS.index(function) + 1]], "the rest is not asked"


@pytest.mark.difference("the reference cuts a name at its NUL")
def test_names_with_a_nul(server):
    assert ask(server, application_group="'a'+chr(0)+'b'").status == 500


@pytest.mark.parametrize("name,number", [("missing", "WSGI0105"), ("broken", "WSGI0109"), ("empty", None)])
def test_scripts_that_say_nothing(server, name, number):
    mark = server.log.mark()
    for _ in range(2):
        assert place(ask(server, "/" + name)) == ("standard", "application")
    if number:
        server.log.wait_for(number, mark)


def test_a_script_with_one_function(server):
    assert place(ask(server, "/partly")) == ("standard", "other")


@pytest.mark.skipif(REFERENCE, reason="there Python is part of the module")
def test_without_an_engine(make_httpd, tmp_path):
    if "daemon" not in MODES:
        pytest.skip("no daemon mode")
    os.chmod(tmp_path, 0o755)
    module = stage_module(str(tmp_path))
    for engine in tmp_path.glob("wsgi-engine-*"):
        engine.unlink()
    conf = "WSGIScriptAlias /app {apps}/app.wsgi\n<Location /app>\nWSGIDispatchScript {apps}/dispatch.py\n</Location>\n"
    server = make_httpd(conf, apps="dispatch", name="engineless-dispatch", module=module)
    mark = server.log.mark()
    assert server.get("/app").status == 500
    server.log.wait_for("WSGI0085", mark)


# MARK: what it sees

def test_environ(server):
    if server.mode == "daemon":
        pytest.skip("the script notes what it sees in this process")
    headers = [("X-Header", "value"), ("Proxy", "http://evil/"), ("Authorization", "Basic eDp5"), ("Host", "localhost")]
    shown = json.loads(server.get("/app/path/info?a=b", headers).body)
    mine, its = shown["seen"]["environ"], shown["environ"]
    for key in ("mod_wsgi.application_group", "mod_wsgi.process_group"):
        assert mine.pop(key) == "" and its.pop(key) == ""
    assert its.pop("mod_wsgi.callable_object") == "application"
    its.pop("wsgi.url_scheme")
    # httpd names a connection when it first logs something of it.
    its.pop("mod_wsgi.connection_id"), mine.pop("mod_wsgi.connection_id", None)
    assert mine == its
    assert mine["PATH_INFO"] == "/path/info" and mine["HTTP_AUTHORIZATION"] == "Basic eDp5" and mine["TARGET"]
    assert "HTTP_PROXY" not in mine
    # One environ for all three functions.
    assert shown["seen"]["others"] == ["test.calls", "wsgi.errors"] and shown["seen"]["calls"] == FUNCTIONS


@pytest.mark.parametrize("name,group", [("interpreter", "plain"), ("named", "localhost")])
def test_interpreters(server, name, group):
    """It runs in the interpreter of the directive, whatever the application's."""
    choice = {"application_group": "'seen by ' + repr(environ['mod_wsgi.application_group'])"}
    assert place(ask(server, "/" + name, **choice)) == ("seen by %r" % group, "application")
    assert place(ask(server, **choice)) == ("seen by ''", "application")


def test_a_changed_script(make_httpd):
    server = make_httpd("WSGIScriptAlias /app {apps}/app.wsgi\nWSGIDispatchScript {apps}/changing.py\n"
                        "<Location /app/fixed>\nWSGIScriptReloading Off\n</Location>\n", apps="dispatch", name="changing")
    script = os.path.join(server.apps, "changing.py")
    for turn in range(3):
        with open(script + ".new", "w") as out:
            out.write("def application_group(environ):\n  return 'version %d'\n" % turn)
        os.utime(script + ".new", (1500000000 - turn, 1500000000 - turn))
        os.replace(script + ".new", script)
        assert place(server.get("/app/fixed"))[0] == "version %d" % max(0, turn - 1)
        assert place(server.get("/app"))[0] == "version %d" % turn


def test_fifty_at_once(server):
    def work(index):
        with server.client() as client:
            query = urllib.parse.urlencode({"application_group": "'group %d'" % (index % 4), "callable_object": "'other'"})
            return [place(client.request("GET", "/app?" + query)) for _ in range(10)]
    assert run_together(50, work) == [[("group %d" % (index % 4), "other")] * 10 for index in range(50)]
