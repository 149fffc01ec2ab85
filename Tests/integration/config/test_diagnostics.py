"""What `apachectl configtest` and httpd's start warn of, on a real system; a configuration in good order is silent."""
import os
import pwd
import re
import sys

import pytest

from documents import chapter
from httpd_env import Httpd, query_apxs

ROOT_ONLY = pytest.mark.skipif(os.getuid() != 0, reason="only root can give processes another user")
GROUP = "WSGIDaemonProcess shop python-path={lib} home={apps} locale=C.UTF-8\n"
ALIAS = "WSGIScriptAlias /x {apps}/app.wsgi"
VHOST = "<VirtualHost 127.0.0.1:{port}>\nServerName %s\n%s\n</VirtualHost>\n"

GOOD = {
    "embedded": ALIAS,
    "daemon": GROUP + ALIAS + " process-group=shop application-group=%{GLOBAL}",
    "longer path first": ALIAS.replace("/x", "/x/y") + "\n" + ALIAS,
    "beside each other": ALIAS + "\n" + ALIAS.replace("/x", "/xy"),
    "by directives": GROUP + ALIAS + "\n<Location /x>\nWSGIProcessGroup shop\n</Location>",
    "by environment": GROUP + ALIAS + "\nWSGIProcessGroup %{ENV:GROUP}",
    "by import": GROUP + "WSGIImportScript {apps}/app.wsgi process-group=shop application-group=a",
    "by dispatch": GROUP + ALIAS + "\nWSGIDispatchScript {apps}/app.wsgi",
    "pattern": "WSGIScriptAliasMatch ^/x/(\\w+) {apps}/$1.wsgi",
    "directory": "WSGIScriptAlias /x/ {apps}/",
    "virtual hosts": VHOST % ("first", "DocumentRoot {docs}") + VHOST % ("second", ALIAS),
    "all hosts": VHOST % ("first", "ServerAlias *\n" + ALIAS) + VHOST % ("second", ALIAS),
    "environment": "WSGIPythonHome {root}/venv\n" + ALIAS,
    "environment of a group": GROUP.strip() + " python-home={root}/venv\n" + ALIAS + " process-group=shop",
    "slow requests": ALIAS + "\nWSGISlowRequests 5",
    "a line twice": ALIAS + "\n" + ALIAS,
    "any address": "<VirtualHost *:{port}>\nServerName one\n" + ALIAS + "\n</VirtualHost>",
    "own groups": GROUP + "WSGIProcessGroup nosuch\n" + ALIAS + " process-group=shop",
    "service": "WSGIDaemonProcess task threads=0\n"
               "WSGIImportScript {apps}/app.wsgi process-group=task application-group=%{GLOBAL}",
}

# The lines, and for each expected warning its number and the words that must be in it.
ODD = {
    "unreachable": (ALIAS + "\n" + ALIAS.replace("/x", "/x/y"), [
        ("0300", "WSGIScriptAlias /x/y", "httpd.conf:", "longer path first")]),
    "no such group": (GROUP + ALIAS + " process-group=shpo", [
        ("0301", "process group 'shpo'", "Did you mean 'shop'?"), ("0305", "'shop'", "is not used by any directive")]),
    "no such group in a section": ("<Location /x>\nWSGIProcessGroup nosuch\n</Location>", [("0301", "WSGIProcessGroup nosuch")]),
    "embedded refused": ("WSGIRestrictEmbedded On\n" + ALIAS, [("0302", "WSGIRestrictEmbedded On forbids", "500")]),
    "group of another host": (VHOST % ("first", "WSGIDaemonProcess one\n" + ALIAS + " process-group=one")
                              + VHOST % ("second", ALIAS + " process-group=one"),
                              [("0303", "another virtual host"), ("0313", "first on 127.0.0.1:")]),
    "service": ("WSGIDaemonProcess task threads=0\n" + ALIAS + " process-group=task", [("0304", "threads=0",
                                                                                        "serves no requests")]),
    "locale": (GROUP.replace("C.UTF-8", "xx_YY.UTF-8") + ALIAS + " process-group=shop", [("0306", "locale=xx_YY.UTF-8",
                                                                                          "locale -a")]),
    "no script": (ALIAS.replace("app.wsgi", "nosuch.wsgi"), [("0307", "{apps}/nosuch.wsgi does not exist")]),
    "no imported script": ("WSGIImportScript {apps}/nosuch.wsgi process-group=%{GLOBAL} application-group=a",
                           [("0307", "WSGIImportScript", "{apps}/nosuch.wsgi does not exist")]),
    "no home": ("WSGIDaemonProcess shop home={root}/nosuch\n" + ALIAS + " process-group=shop",
                [("0308", "home={root}/nosuch", "does not exist")]),
    "no path": ("WSGIDaemonProcess shop python-path={lib}:{root}/nosuch\n" + ALIAS + " process-group=shop",
                [("0309", "python-path=", "{root}/nosuch does not exist")]),
    "no embedded path": ("WSGIPythonPath {root}/nosuch\n" + ALIAS, [("0309", "WSGIPythonPath", "{root}/nosuch does not exist")]),
    "no environment": ("WSGIPythonHome {docs}\n" + ALIAS, [("0310", "WSGIPythonHome", "neither pyvenv.cfg", "-m venv {docs}")]),
    "no directory": ("WSGIDaemonProcess shop python-home={root}/nosuch\n" + ALIAS + " process-group=shop",
                     [("0310", "python-home=", "{root}/nosuch does not exist")]),
    "no engine": ("WSGIDaemonProcess shop python-home={root}/other\n" + ALIAS + " process-group=shop",
                  [("0311", "an environment of Python 3.29", "make PYTHON={root}/other/bin/python engine install")]),
    "first host": (VHOST % ("first", ALIAS) + VHOST % ("second", "DocumentRoot {docs}"),
                   [("0313", "virtual host first (", "is the first on 127.0.0.1:", "WSGIScriptAlias /x")]),
}


def furnish(httpd):
    """Gives a server's directory what the configurations refer to."""
    for name in ("app", "x"):
        with open(os.path.join(httpd.apps, name + ".wsgi"), "w") as script:
            script.write("def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'served']\n")
    for name, version in (("venv", sys.version.split()[0]), ("other", "3.29.1")):
        with open(os.path.join(httpd.make_directory(name), "pyvenv.cfg"), "w") as about:
            about.write("home = %s\nversion = %s\n" % (os.path.dirname(sys.executable), version))


@pytest.fixture
def make(request):
    made = []

    def make(conf, **more):
        httpd = Httpd(name="diagnostics", **more)
        furnish(httpd)
        httpd.configure(conf)
        made.append(httpd)
        return httpd
    yield make
    for httpd in made:
        httpd.remove()


def warnings(output):
    return [line for line in output.splitlines() if "wsgi:" in line]


def filled(httpd, text):
    return text.replace("{root}", httpd.root).replace("{apps}", httpd.apps).replace("{docs}", httpd.docs)


@pytest.mark.parametrize("name", GOOD)
def test_a_configuration_in_good_order_is_silent(make, name):
    code, output = make(GOOD[name]).check()
    assert code == 0 and output.strip() == "Syntax OK", output


@pytest.mark.parametrize("name", ODD)
def test_what_is_odd_is_told_in_a_line(make, name):
    conf, expected = ODD[name]
    httpd = make(conf)
    code, output = httpd.check()
    assert code == 0 and output.rstrip().endswith("Syntax OK"), output
    found = warnings(output)
    numbers = [re.search(r"\[wsgi:(?:warn|info)\].* WSGI(\d{4}): ", line)[1] for line in found]
    assert numbers == [number for number, *_ in expected], output
    for line, (_, *pieces) in zip(found, expected):
        assert not [piece for piece in pieces if filled(httpd, piece) not in line], line


@ROOT_ONLY
@pytest.mark.parametrize("permissions", [0o750, 0o700, 0o754])
def test_a_directory_in_the_way_is_named_with_the_missing_bit(make, permissions):
    httpd = make("WSGIScriptAlias /x {root}/closed/inner/app.wsgi\n"
                 "WSGIDaemonProcess own user=daemon group=daemon\n"
                 "WSGIScriptAlias /y {root}/closed/inner/app.wsgi process-group=own")
    os.makedirs(os.path.join(httpd.root, "closed", "inner"))
    open(os.path.join(httpd.root, "closed", "inner", "app.wsgi"), "w").close()
    os.chmod(os.path.join(httpd.root, "closed"), permissions)
    os.chown(os.path.join(httpd.root, "closed"), 0, 0)
    code, output = httpd.check()
    found = warnings(output)
    assert code == 0 and len(found) == 2
    for line, user in zip(found, ("www-data", "daemon")):
        assert "WSGI0307" in line and "the user '%s' cannot enter the directory %s/closed" % (user, httpd.root) in line
        assert "its mode %04o lacks 'x' for others" % permissions in line


@ROOT_ONLY
def test_a_file_that_cannot_be_read_is_named_with_the_missing_bit(make):
    httpd = make("WSGIScriptAlias /x {apps}/app.wsgi")
    path = os.path.join(httpd.apps, "app.wsgi")
    os.chown(path, pwd.getpwnam("daemon").pw_uid, -1)
    os.chmod(path, 0o600)
    (line,) = warnings(httpd.check()[1])
    assert "WSGI0307" in line and "the user 'www-data' cannot read %s: its mode 0600 lacks 'r'" % path in line


@pytest.mark.skipif(not os.path.exists(os.path.join(query_apxs("LIBEXECDIR"), "mod_mpm_prefork.so")),
                    reason="httpd has no mod_mpm_prefork.so here")
def test_prefork_with_its_default_limits(make):
    httpd = make(ALIAS, mpm="prefork")
    with open(httpd.conf) as conf:
        text = conf.read()
    assert httpd.check()[1].strip() == "Syntax OK"
    with open(httpd.conf, "w") as conf:
        conf.write(text.replace("MaxRequestWorkers 10", ""))
    (line,) = warnings(httpd.check()[1])
    assert "WSGI0312" in line and "up to 256 processes will each load the application" in line


def test_a_start_warns_once_and_serves(make):
    httpd = make(ALIAS + "\n" + ALIAS.replace("/x", "/x/y"))
    with httpd:
        assert httpd.get("/x").text == "served"
        assert len(httpd.log.lines("WSGI0300")) == 1
        mark = httpd.log.mark()
        httpd.graceful()
        assert len(httpd.log.lines("WSGI0300", mark)) == 1


def test_the_first_host_of_an_address_does_answer_for_unknown_names(make):
    httpd = make(ODD["first host"][0])
    with httpd:
        assert httpd.get("/x", [("Host", "unknown")]).text == "served" and httpd.get("/x", [("Host", "second")]).status == 404


def test_a_virtual_host_is_warned_in_its_own_log(make):
    httpd = make(VHOST % ("first", "ErrorLog {root}/first_log\nWSGIScriptAlias /x {apps}/nosuch.wsgi"))
    with httpd:
        with open(os.path.join(httpd.root, "first_log")) as log:
            assert "WSGI0307" in log.read()
        assert not httpd.log.lines("WSGI0307")


def test_what_has_no_effect_is_said_at_level_info(make):
    httpd = make("LogLevel info\nWSGISocketPrefix {root}/wsgi\nWSGIAcceptMutex default\n" + ALIAS)
    output = httpd.check()[1]
    assert [re.search(r"WSGI\w+ has no effect", line)[0] for line in warnings(output)] == [
        "WSGISocketPrefix has no effect", "WSGIAcceptMutex has no effect"]



def test_every_number_of_the_manual_is_tried():
    listed = set(re.findall(r"^\| `WSGI(03\d\d)` \|", chapter("reference"), re.M))
    tried = {number for _, expected in ODD.values() for number, *_ in expected} | {"0312"}
    assert tried == listed
