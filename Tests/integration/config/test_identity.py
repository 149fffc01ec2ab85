"""What the module is called, which version it gives, and that the order of a configuration means nothing."""
import os
import re
import subprocess

import pytest

from documents import chapter
from httpd_env import MODULE, ROOT, Httpd, httpd_program

STAGE = os.path.dirname(MODULE)
VERSION = "7.0"
BOTH = """
WSGIDaemonProcess d threads=1
WSGIScriptAlias /e {apps}/app.wsgi process-group=%{GLOBAL} application-group=%{GLOBAL}
WSGIScriptAlias /d {apps}/app.wsgi process-group=d application-group=%{GLOBAL}
"""
APP = """
import mod_wsgi
def application(environ, start_response):
    start_response('200 OK', [])
    return [repr((mod_wsgi.version, mod_wsgi.__version__, environ['mod_wsgi.version'])).encode()]
"""
staged = pytest.mark.skipif(not os.path.exists(os.path.join(STAGE, "wsgi-worker")), reason="the module is another's")


@pytest.fixture
def make():
    made = []

    def make(conf, app=APP, **more):
        server = Httpd(name="identity", **more)
        with open(os.path.join(server.apps, "app.wsgi"), "w") as script:
            script.write(app)
        server.configure(conf)
        made.append(server)
        return server
    yield make
    for server in made:
        server.remove()


def told(server, *arguments):
    done = subprocess.run([httpd_program(), "-f", server.conf, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# MARK: names

@pytest.mark.parametrize("name", ["mod_wsgi.c", "wsgi_module"])
def test_a_block_for_the_module_applies(make, name):
    server = make("<IfModule %s>\n%s\n</IfModule>\n<IfModule !%s>\nNoSuchDirective\n</IfModule>" % (name, BOTH, name))
    with server:
        assert server.get("/e").status == 200 and server.get("/d").status == 200


@pytest.mark.parametrize("name", ["mod_wsgi.c", "wsgi_module", "wsgi"])
def test_the_modules_log_level_can_be_set(make, name):
    server = make(BOTH, log_level="warn %s:debug" % name)
    with server:
        assert server.get("/d").status == 200
        assert server.log.lines(r"\[wsgi:info\]")


def test_what_httpd_calls_it(make):
    server = make("WSGIRestrictEmbedded Off")
    assert " wsgi_module (shared)" in told(server, "-M")
    assert "WSGIScriptAlias (mod_wsgi.c)" in told(server, "-L")


def test_mod_info_shows_it(make):
    server = make(BOTH + "<Location /info>\nSetHandler server-info\n</Location>", modules=["info"])
    with server:
        page = server.get("/info").text
        assert re.search(r'<a name="mod_wsgi.c">', page)
        assert "WSGIDaemonProcess" in server.get("/info?mod_wsgi.c").text


@staged
@pytest.mark.unsanitized("the images are not those that are installed")
def test_no_image_names_a_directory_of_the_machine_that_built_it():
    """Swift's runtime, which is linked in, names one of those who built Swift. The command and its libraries name the system's
    directories for temporary files."""
    home = os.path.expanduser("~")
    private = [ROOT, os.getcwd()] + ([home] if home != "/" else [])
    pattern = re.compile(rb"[ -~]*(?:%s|/tmp/|/root/|/home/(?!build-user/swift)|/Users/|/builds?/)[ -~]*" % b"|".join(
        re.escape(path.rstrip("/").encode() + b"/") for path in private))
    for name in sorted(os.listdir(STAGE)):
        if not name.startswith("."):
            with open(os.path.join(STAGE, name), "rb") as image:
                found = set(found.group() for found in pattern.finditer(image.read()))
            if name.startswith("wsgi-engine-"):
                # An engine names the Python that it is for, wherever that is: those of other Pythons lie there after their tests.
                of_python = re.compile(rb"/(bin|lib|include)(/|$)")
                found = {text for text in found if ROOT.encode() in text or not of_python.search(text)}
            if name == "wsgictl":
                found = {text for text in found if not re.fullmatch(rb"(/var)?/tmp/(wsg|libdispatch)?[^/]*", text)}
            assert not sorted(found), name


# MARK: the version

def test_the_version_that_it_gives(make):
    server = make(BOTH + "ServerTokens Full", log_level="notice wsgi:info")
    with server:
        for path in ("/e", "/d"):
            answer = server.get(path)
            assert eval(answer.text) == ((6, 1, 1), VERSION, (6, 1, 1))
            assert "mod_wsgi/%s " % VERSION in answer.header("Server") + " "
        assert server.log.lines("mod_wsgi/%s .*resuming normal operations" % VERSION)
        assert server.log.lines(r"wsgi:info.*mod_wsgi %s with engines for Python 3\.\d+" % VERSION)


@staged
def test_the_worker_tells_its_version():
    done = subprocess.run([os.path.join(STAGE, "wsgi-worker"), "--version"], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout) == (0, "wsgi-worker %s\n" % VERSION)


def test_a_group_may_have_the_name_of_an_option(make):
    server = make("WSGIDaemonProcess --version threads=1\nWSGIScriptAlias / {apps}/app.wsgi process-group=--version")
    with server:
        assert server.get("/").status == 200


def test_the_manual_describes_that_version():
    assert "## %s (" % VERSION in chapter("changes")


# MARK: order

VHOST = "<VirtualHost 127.0.0.1:{port}>\n%s\n</VirtualHost>\n"
NAME = "ServerName shop"
GROUP = "WSGIDaemonProcess shop threads=1"
ALIAS = "WSGIScriptAlias / {apps}/app.wsgi process-group=shop application-group=%{GLOBAL}"
IMPORT = "WSGIImportScript {apps}/app.wsgi process-group=shop application-group=%{GLOBAL}"
ORDERS = {
    "name first": VHOST % "\n".join([NAME, GROUP, ALIAS, IMPORT]),
    "name between": VHOST % "\n".join([GROUP, NAME, ALIAS, IMPORT]),
    "name last": VHOST % "\n".join([GROUP, ALIAS, IMPORT, NAME]),
    "group last": VHOST % "\n".join([NAME, IMPORT, ALIAS, GROUP]),
    "all upside down": VHOST % "\n".join([IMPORT, ALIAS, GROUP, NAME]),
    "no name": VHOST % "\n".join([ALIAS, GROUP]),
    "group below the virtual host": VHOST % "\n".join([ALIAS, IMPORT, NAME]) + GROUP,
    "group above the virtual host": GROUP + "\n" + VHOST % "\n".join([ALIAS, IMPORT, NAME]),
    "group in a later host of the same name": VHOST % "\n".join([ALIAS, NAME]) + (
        "<VirtualHost 127.0.0.1:1>\n%s\n</VirtualHost>\n" % "\n".join([GROUP, NAME])),
    "sections in between": VHOST % "\n".join([
        "<Location />\nWSGIProcessGroup shop\nWSGIApplicationGroup %{GLOBAL}\n</Location>",
        "WSGIScriptAlias / {apps}/app.wsgi", GROUP, NAME]),
}
PRELOADED = "import mod_wsgi, sys\nsys.stderr.write('loaded in %r' % mod_wsgi.process_group)\n" + APP


@pytest.mark.difference("the order of the lines meant something")
@pytest.mark.parametrize("name", ORDERS)
def test_the_order_of_lines_means_nothing(make, name):
    server = make(ORDERS[name], app=PRELOADED)
    code, output = server.check()
    assert code == 0 and output.strip() == "Syntax OK", output
    with server:
        if name != "sections in between":
            server.log.wait_for("loaded in 'shop'")  # before any request
        assert server.get("/", [("Host", "shop")]).status == 200


UNKNOWN = "WSGI0620: WSGI process group not yet configured. No WSGIDaemonProcess defines 'shpo'"


def test_what_cannot_work_is_refused_when_all_has_been_read(make):
    server = make(VHOST % "\n".join([ALIAS.replace("shop", "shpo"), GROUP, NAME]))
    code, output = server.check()
    assert code == 1 and UNKNOWN in output and "Did you mean 'shop'?" in output and "httpd.conf:" in output, output
    other = VHOST % "\n".join([ALIAS, "ServerName other"])
    server = make(other + VHOST % "\n".join([GROUP, NAME]))
    code, output = server.check()
    assert code == 1 and "WSGI0620: WSGI process group not accessible. 'shop'" in output and "this is 'other'" in output, output
