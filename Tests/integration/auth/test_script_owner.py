"""script-user and script-group: what a process loads is what was checked."""
import os
import pwd
import threading

import pytest

from httpd_env import MODES, Httpd

pytestmark = [
    pytest.mark.skipif("daemon" not in MODES, reason="daemon mode is not tested here"),
    pytest.mark.skipif(os.getuid() != 0, reason="only root can give scripts to other users"),
]
OWNER = pwd.getpwnam("daemon")
OTHER = pwd.getpwnam("bin")
SCRIPT = """
import os
open(%r, 'w').close()
def application(environ, start_response):
    start_response('200 OK', [])
    return [%r]
"""


@pytest.fixture
def make():
    made = []

    def make(conf, option="script-user=daemon"):
        server = Httpd(name="owner")
        marks = server.make_directory("marks", 0o777)
        server.ran = lambda: sorted(os.listdir(marks))

        def put(directory, name, owner, mode=0o644):
            path = os.path.join(server.root, directory, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as script:
                script.write(SCRIPT % (os.path.join(marks, name), name.encode()))
            os.chown(path, owner.pw_uid, owner.pw_gid)
            os.chmod(path, mode)
            os.chown(os.path.dirname(path), owner.pw_uid, owner.pw_gid)
            return path
        server.put = put
        put("own", "own.wsgi", OWNER)
        put("other", "other.wsgi", OTHER)
        server.configure("WSGIDaemonProcess site threads=4 %s\n" % option + conf)
        made.append(server)
        return server
    yield make
    for server in made:
        server.__exit__(None, None, None)


@pytest.mark.difference("whatever is imported at start is not checked there")
@pytest.mark.parametrize("option", ["script-user=daemon", "script-group=daemon"])
@pytest.mark.parametrize("line", [
    "WSGIScriptAlias /%s {root}/%s/%s.wsgi process-group=site application-group=%%{GLOBAL}\n",
    "WSGIImportScript {root}/%s/%s.wsgi process-group=site application-group=%%{GLOBAL}\n"])
def test_what_is_loaded_at_start_is_checked(make, option, line):
    count = line.count("%s")
    server = make("".join(line % ((name,) * count) for name in ("own", "other")), option)
    server.__enter__()
    number = "WSGI0163" if "user" in option else "WSGI0154"
    server.log.wait_for("%s: The WSGI script belongs to another" % number)
    server.log.wait_for("takes requests")
    assert server.ran() == ["own.wsgi"]
    if "Alias" in line:
        assert server.get("/own").text == "own.wsgi" and server.get("/other").status == 403
        assert server.ran() == ["own.wsgi"]


ALIAS = "WSGIScriptAlias / {root}/link/app.wsgi process-group=site application-group=site\n"


@pytest.mark.difference("what is loaded is what the path leads to by then")
def test_a_path_that_changes_between_check_and_load(make):
    """Links that lead now to a script of the owner, now to another's: however it happens to turn out, his alone are loaded."""
    server = make(ALIAS)
    own, other = [os.path.join(server.root, name) for name in ("own", "other")]
    for directory in (own, other):
        name = os.path.basename(directory)
        os.symlink(os.path.join(directory, name + ".wsgi"), os.path.join(directory, "app.wsgi"))
    link = os.path.join(server.root, "link")
    os.symlink(own, link)
    server.__enter__()
    stop = threading.Event()

    def turn():
        targets = [own, other]
        while not stop.is_set():
            targets.reverse()
            os.symlink(targets[0], link + ".new")
            os.replace(link + ".new", link)
    turning = threading.Thread(target=turn)
    turning.start()
    try:
        answers = [server.get("/") for _ in range(150)]
    finally:
        stop.set()
        turning.join()
    assert {answer.status for answer in answers} <= {200, 403, 404, 503}, {answer.status for answer in answers}
    assert {answer.text for answer in answers if answer.status == 200} <= {"own.wsgi"}
    assert "other.wsgi" not in server.ran()


@pytest.mark.parametrize("bits, number", [(0o664, "WSGI0164"), (0o646, "WSGI0165")])
def test_a_script_that_others_may_write_is_not_loaded(make, bits, number):
    server = make("WSGIScriptAlias / {root}/own/own.wsgi process-group=site application-group=%{GLOBAL}\n")
    server.put("own", "own.wsgi", OWNER, bits)
    server.__enter__()
    server.log.wait_for(number)
    assert server.get("/").status == 403 and server.ran() == []


def test_the_directory_counts(make):
    server = make("WSGIScriptAlias / {root}/own/own.wsgi process-group=site application-group=%{GLOBAL}\n")
    os.chown(os.path.join(server.root, "own"), OTHER.pw_uid, OTHER.pw_gid)
    server.__enter__()
    server.log.wait_for("WSGI0169: The WSGI script's directory belongs to another user")
    assert server.get("/").status == 403 and server.ran() == []
    os.chown(os.path.join(server.root, "own"), OWNER.pw_uid, OWNER.pw_gid)
    assert server.get("/").text == "own.wsgi"
