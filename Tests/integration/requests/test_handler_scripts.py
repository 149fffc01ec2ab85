"""WSGIHandlerScript: a Python file that serves resources which are not scripts."""
import os

import pytest

from httpd_env import MODES, Httpd
from processes import about

NAMES = {"embedded": "%{GLOBAL}", "daemon": "site"}


def conf():
    lines = []
    if "daemon" in MODES:
        lines += ["WSGIDaemonProcess site python-path={lib} threads=4 processes=1", "WSGISocketPrefix {root}/wsgi"]
    for mode in MODES:
        lines += [
            "WSGIHandlerScript %s {apps}/handler.py process-group=%s application-group=%%{GLOBAL}" % (mode, NAMES[mode]),
            "WSGIHandlerScript %s-each {apps}/handler.py process-group=%s" % (mode, NAMES[mode]),
            "WSGIHandlerScript %s-auth {apps}/handler.py process-group=%s application-group=a pass-authorization=On"
            % (mode, NAMES[mode]),
            "WSGIHandlerScript %s-none {apps}/nosuch.py process-group=%s" % (mode, NAMES[mode]),
            "<Directory {docs}/%s>" % mode, "AddHandler %s .page" % mode, "AddHandler %s-each .each" % mode,
            "AddHandler %s-auth .auth" % mode, "AddHandler %s-none .none" % mode, "AddHandler %s .broken" % mode,
            "</Directory>", "<Location /%s/virtual>" % mode, "SetHandler %s" % mode, "</Location>",
            "<Directory {docs}/%s/inner>" % mode,
            "WSGIHandlerScript %s {apps}/second.py process-group=%s" % (mode, NAMES[mode]), "</Directory>"]
    lines += ["<Directory {docs}/file>", "AllowOverride All", "</Directory>", "<Directory {docs}/file/exec>",
              "Options +ExecCGI", "</Directory>", "<Directory {docs}/file/refused>", "AllowOverride AuthConfig", "</Directory>"]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def httpd():
    server = Httpd(conf(), apps="directives", name="handlers")
    with open(os.path.join(server.apps, "second.py"), "w") as script:
        script.write("def handle_request(environ, start_response):\n"
                     "    start_response('200 OK', [])\n    return [b'the inner script']\n")
    for mode in MODES:
        for name in ("a.page", "b.page", "a.each", "b.each", "a.auth", "a.none", "a.broken", "inner/a.page", "sub/index.page"):
            write(server, mode, name)
    for name in ("exec", "plain", "refused", "group", "server"):
        write(server, "file", name + "/a.own", "static")
        lines = {"group": "WSGIHandlerScript own %s/handler.py process-group=site\nAddHandler own .own",
                 "server": "AddHandler embedded .own"}.get(name, "WSGIHandlerScript own %s/handler.py\nAddHandler own .own")
        write(server, "file", name + "/.htaccess", lines.replace("%s", server.apps) + "\n")
    with server:
        yield server


def write(server, mode, name, text="text"):
    path = os.path.join(server.docs, mode, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as out:
        out.write(text)


def ask(httpd, path, **more):
    answer = httpd.get(path, **more)
    assert answer.status == 200, answer
    return eval(answer.text)


def test_the_resource_is_described_and_the_script_runs(httpd, mode):
    seen = ask(httpd, "/%s/a.page/rest" % mode)
    assert (seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("/%s/a.page" % mode, "/rest")
    assert seen["SCRIPT_FILENAME"] == os.path.join(httpd.docs, mode, "a.page") and seen["exists"]
    assert seen["mod_wsgi.handler_script"] == os.path.join(httpd.apps, "handler.py")
    assert seen["mod_wsgi.request_handler"] == mode and seen["mod_wsgi.callable_object"] == "handle_request"
    assert seen["mod_wsgi.process_group"] == {"embedded": "", "daemon": "site"}[mode]
    assert seen["mod_wsgi.application_group"] == ""


def test_the_resource_need_not_exist(httpd, mode):
    seen = ask(httpd, "/%s/virtual/thing" % mode)
    assert not seen["exists"] and seen["mod_wsgi.request_handler"] == mode


def test_one_module_serves_all_resources_of_a_group(httpd, mode):
    assert ask(httpd, "/%s/a.page" % mode)["module"] == ask(httpd, "/%s/b.page" % mode)["module"]


def test_each_resource_is_an_application_group_where_none_is_named(httpd, mode):
    first, second = ask(httpd, "/%s/a.each" % mode), ask(httpd, "/%s/b.each" % mode)
    assert first["mod_wsgi.application_group"] == "localhost|/%s/a.each" % mode
    assert second["mod_wsgi.application_group"] == "localhost|/%s/b.each" % mode


def test_passing_authorization(httpd, mode):
    headers = [("Authorization", "Bearer token")]
    assert ask(httpd, "/%s/a.auth" % mode, headers=headers)["HTTP_AUTHORIZATION"] == "Bearer token"
    assert ask(httpd, "/%s/a.page" % mode, headers=headers)["HTTP_AUTHORIZATION"] is None


def test_an_inner_section_redefines_a_name(httpd, mode):
    assert httpd.get("/%s/inner/a.page" % mode).text == "the inner script"


def test_a_script_that_is_not_there(httpd, mode):
    mark = httpd.log.mark()
    assert httpd.get("/%s/a.none" % mode).status == 500
    httpd.log.wait_for("nosuch.py", mark)


def test_reload_required_brings_a_fresh_script(httpd, mode):
    before = ask(httpd, "/%s/a.page" % mode)
    assert ask(httpd, "/%s/a.page?change" % mode)["module"] == before["module"]
    # Another resource has not changed; this one has, by the script's own account.
    assert ask(httpd, "/%s/b.page" % mode)["module"] == before["module"]
    after = ask(httpd, "/%s/a.page" % mode)
    assert (after["module"], after["pid"]) != (before["module"], before["pid"])
    assert (after["pid"] != before["pid"]) == (mode == "daemon")


def test_reload_required_that_raises_is_logged_and_means_no(httpd, mode):
    before = ask(httpd, "/%s/a.broken" % mode)
    mark = httpd.log.mark()
    after = ask(httpd, "/%s/a.broken" % mode)
    assert (after["module"], after["pid"]) == (before["module"], before["pid"])
    httpd.log.wait_for("no idea whether a.broken has changed", mark)


# MARK: .htaccess

ADDED = pytest.mark.difference("the reference does not have WSGIHandlerScript in .htaccess")


@ADDED
def test_a_handler_of_an_access_file_runs_where_execcgi_is_on(httpd):
    seen = ask(httpd, "/file/exec/a.own")
    assert seen["mod_wsgi.request_handler"] == "own" and seen["mod_wsgi.process_group"] == ""
    assert seen["SCRIPT_FILENAME"] == os.path.join(httpd.docs, "file/exec/a.own")


@ADDED
def test_a_handler_of_an_access_file_runs_nowhere_else(httpd):
    mark = httpd.log.mark()
    assert httpd.get("/file/plain/a.own").status == 403
    httpd.log.wait_for("WSGI0134", mark)


@ADDED
@pytest.mark.parametrize("name, reason", [
    ("refused", "WSGIHandlerScript not allowed here"), ("group",
                                                        "cannot have process-group= or application-group= in .htaccess")])
def test_what_an_access_file_may_not_say(httpd, name, reason):
    mark = httpd.log.mark()
    assert httpd.get("/file/%s/a.own" % name).status == 500
    httpd.log.wait_for(reason, mark)


@pytest.mark.skipif("embedded" not in MODES, reason="no embedded mode")
def test_an_access_file_may_use_a_handler_of_the_server(httpd):
    assert ask(httpd, "/file/server/a.own")["mod_wsgi.request_handler"] == "embedded"


@ADDED
@pytest.mark.skipif("embedded" not in MODES, reason="no embedded mode")
def test_python_starts_on_demand_for_an_access_file(make_httpd):
    server = make_httpd("<Directory {docs}>\nAllowOverride FileInfo\nOptions +ExecCGI\n</Directory>", apps="directives")
    write(server, ".", ".htaccess", "WSGIHandlerScript own %s/handler.py\nAddHandler own .own\n" % server.apps)
    write(server, ".", "a.own")

    def libraries():
        return [pid for pid in server.children() if "libpython" in about(pid, "maps")]
    assert not libraries()
    assert server.get("/a.own").status == 200
    assert libraries()
