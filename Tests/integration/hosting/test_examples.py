"""The examples of README and manual, and those of conf/wsgi.conf, executed as they stand: real paths, real users, a real httpd.

Each runs in a mount namespace of its own, where /srv and /home are directories of the test and the user `shop` exists."""
import grp
import os
import pwd
import re
import shutil
import subprocess
import sys

import pytest

from documents import DOCUMENTS, blocks
from httpd_env import MODES, ROOT, Httpd

SCRIPT = """
import os, mod_wsgi, sys
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [repr((mod_wsgi.process_group, mod_wsgi.application_group, os.getuid(), sys.prefix)).encode()]
"""
# What of httpd's configuration a line of an example may begin with.
DIRECTIVE = re.compile(r"(<?WSGI[A-Z]|</?(Directory|Location|Files|VirtualHost|IfModule)|SetHandler|LoadModule|ErrorLogFormat)")


ALL = list(dict.fromkeys(block for text in DOCUMENTS.values() for block in blocks(text)))


def examples():
    found = [block for block in ALL if DIRECTIVE.match(block)]
    with open(os.path.join(ROOT, "conf", "wsgi.conf"), encoding="utf-8") as conf:
        active = re.sub(r"^( *)#(?=\S|    )", r"\1", conf.read(), flags=re.M)
    return found + [active]


EXAMPLES = examples()


@pytest.fixture
def run():
    """Starts an example; gives the server and the directory that stands for /srv."""
    if os.getuid():
        pytest.skip("only root can mount another /srv and start processes of other users")
    if not shutil.which("unshare") or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("no mount namespace can be made here")
    if "daemon" not in MODES:
        pytest.skip("the examples are about process groups")
    made = []

    def run(conf):
        server = Httpd(name="example", log_level="warn", processes=2, threads=8,
                       modules=["authz_host", "dir", "rewrite", "vhost_alias"])
        made.append(server)
        srv, home = server.make_directory("srv"), server.make_directory("home")
        users, groups = [os.path.join(server.root, name) for name in ("passwd", "group")]
        for source, copy, lines in (("/etc/passwd", users, "%s:x:%d:%d::/home/%s:/bin/sh\n"),
                                    ("/etc/group", groups, "%s:x:%d:\n")):
            shutil.copy(source, copy)
            with open(copy, "a") as out:
                for number, name in enumerate(("shop", "app")):
                    out.write(lines % ((name, 50000 + number, 50000 + number, name)[:4 if copy == users else 2]))
        for number, name in enumerate(("shop", "app")):
            os.makedirs(os.path.join(srv, name))
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", os.path.join(srv, name, "venv")], check=True)
            path = os.path.join(srv, name, "app.wsgi")
            with open(path, "w") as script:
                script.write(SCRIPT)
            site = os.path.join(home, name, "public_html")
            os.makedirs(site)
            shutil.copy(path, site)
            with open(os.path.join(site, ".htaccess"), "w") as access:
                access.write(next(example for example in ALL if example.startswith("RewriteEngine")))
            os.symlink("/srv/%s/venv" % name, os.path.join(home, name, "venv"))
            for owned in (path, os.path.dirname(path), site, os.path.dirname(site), os.path.join(site, "app.wsgi")):
                os.chown(owned, 50000 + number, 50000 + number)
            # No more than httpd must be able to do.
            os.chmod(os.path.dirname(site), 0o711)
            os.chmod(site, 0o711)
            os.chmod(os.path.join(site, "app.wsgi"), 0o600)
        # The pages that the base configuration of the tests opens to everybody are closed here, as on a real server.
        conf = conf.replace("<VirtualHost *:80>", "<VirtualHost *:%d>" % server.port)
        server.configure("<Directory />\nRequire all denied\n</Directory>\n" + conf)
        server.wrapper = ["unshare", "-m", "sh", "-ec", "mount --bind %s /srv; mount --bind %s /etc/passwd; "
                          "mount --bind %s /etc/group; mount --bind %s /home; exec \"$@\"" % (srv, users, groups, home), "sh"]
        return server
    yield run
    for server in made:
        server.remove()


def test_there_are_examples():
    assert len(EXAMPLES) >= 3 and any("/wsgi-status" in example for example in EXAMPLES), EXAMPLES


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_works_as_it_stands(run, number):
    example = EXAMPLES[number]
    server = run(example)
    code, output = server.check()
    assert code == 0 and output.strip() == "Syntax OK", output
    with server:
        for url, group in re.findall(r"^\s*WSGIScriptAlias (\S+) \S+ process-group=(\S+)", example, re.M):
            answer = server.get(url)
            assert answer.status == 200, (answer, server.log.text())
            name, application, uid, prefix = eval(answer.text)
            assert (name, application, prefix) == (group, "", "/srv/%s/venv" % group)
            assert uid == 50000 + ("shop", "app").index(group)
        if "VirtualDocumentRoot" in example:
            for name in ("shop", "app"):
                for url in ("/", "/app.wsgi", "/some/page?x=1"):
                    answer = server.get(url, [("Host", name + ".example.org")])
                    assert answer.status == 200, (url, answer, server.log.text())
                    assert eval(answer.text)[0::2] == ("customers/" + name, 50000 + ("shop", "app").index(name))
                    assert eval(answer.text)[3].endswith("/%s/venv" % name)
        if "/wsgi-status" in example:
            answer = server.get("/wsgi-status?json")
            assert answer.status == 200 and answer.text.startswith("{")
    noticed = server.log.lines(r"\[\w*:(warn|error|crit|alert|emerg)\]")
    assert not [line for line in noticed if "/no-such-file" not in line and "AH01630" not in line], noticed


def test_the_users_of_the_examples_are_none_of_this_system():
    for name in ("shop", "app"):
        with pytest.raises(KeyError):
            pwd.getpwnam(name)
        with pytest.raises(KeyError):
            grp.getgrnam(name)


def test_what_the_documents_make_can_be_made():
    """The targets of their `make` lines exist; what they do, the other tests and the build show."""
    lines = [re.sub(r"\s{2,}#.*| &&.*", "", line) for block in ALL for line in block.splitlines() if line.startswith("make ")]
    assert len(lines) >= 10
    for line in sorted(set(lines)):
        done = subprocess.run(["sh", "-c", line.replace("make ", "make -n ", 1)], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, (line, done.stderr)
