"""What a daemon process is: its user, its limits, its descriptors, its Python, and nothing of httpd's memory."""
import glob
import grp
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import sysconfig
import urllib.parse

import pytest

from httpd_env import MODES, Httpd, query_apxs

pytestmark = pytest.mark.skipif("daemon" not in MODES, reason="daemon mode is not tested here")
root_only = pytest.mark.skipif(os.getuid() != 0, reason="only root starts processes as another user")

MARKER = "marker-%s-of-the-server-alone" % os.urandom(8).hex()
GROUPS = {
    "plain": "",
    "full": "user=games group=users supplementary-groups=mail,news umask=0027 home=/tmp display-name=%{GROUP} lang=C.UTF-8 "
            "locale=C.UTF-8 cpu-priority=5 cpu-time-limit=100 memory-limit=1073741824 processes=1 threads=3",
    "helped": "user=www-data new-privileges=On",
    "homeless": "user=nobody",
    "badlocale": "locale=xx_XX.nothing",
}


def conf():
    lines = ["<Location /private>", "SetEnv PRIVATE %s" % MARKER, "</Location>"]
    for name, options in GROUPS.items():
        if os.getuid() != 0:
            options = re.sub(r"(user|group|supplementary-groups)=\S+", "", options)
        lines += ["WSGIDaemonProcess %s python-path={lib} %s" % (name, options),
                  "WSGIScriptAlias /%s {apps}/app.wsgi process-group=%s application-group=%%{GLOBAL}" % (name, name)]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def server():
    with Httpd(conf(), apps="daemon", name="identity") as running:
        yield running


def state(server, group):
    return json.loads(server.get("/%s/state" % group).text)


def status(pid):
    with open("/proc/%d/status" % pid) as lines:
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@root_only
def test_user_groups_and_capabilities(server):
    for group, user, gid, more in (("plain", "www-data", grp.getgrnam("www-data").gr_gid, []),
                                   ("full", "games", grp.getgrnam("users").gr_gid, ["mail", "news"])):
        facts = status(state(server, group)["pid"])
        uid = str(pwd.getpwnam(user).pw_uid)
        assert facts["Uid"].split() == [uid] * 4 and facts["Gid"].split() == [str(gid)] * 4
        expected = {gid} | {grp.getgrnam(name).gr_gid for name in more}
        assert {int(number) for number in facts["Groups"].split()} == expected
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(facts[name], 16) == 0, (name, facts[name])
        assert facts["NoNewPrivs"] == "1"


@root_only
def test_programs_gain_privileges_where_that_is_asked_for(server):
    """What Postfix's sendmail needs, whose helper is set-group-ID."""
    helper = os.path.join(server.root, "helper")
    shutil.copy2(shutil.which("id"), helper)
    os.chown(helper, 0, grp.getgrnam("mail").gr_gid)
    os.chmod(helper, 0o2755)
    expected = {"plain": "www-data", "helped": "mail"}
    for group, name in expected.items():
        facts = status(state(server, group)["pid"])
        assert facts["NoNewPrivs"] == ("1" if group == "plain" else "0") and int(facts["CapEff"], 16) == 0
        answer = server.get("/%s/run?%s" % (group, urllib.parse.urlencode({"program": helper, "argument": "-gn"})))
        assert answer.text.strip() == name, answer.text


@pytest.mark.unsanitized("memory-limit is left out")
def test_settings(server):
    it = state(server, "full")
    assert (it["cwd"], it["umask"], it["nice"], it["LANG"], it["LC_ALL"]) == ("/tmp", 0o027, 5, "C.UTF-8", "C.UTF-8")
    assert it["data"] == [1073741824] * 2 and it["cpu"][0] == 100 and "/tmp" in it["path"]
    assert it["multiprocess"] is True and state(server, "plain")["multiprocess"] is False
    with open("/proc/%d/cmdline" % it["pid"]) as command:
        assert command.read().split("\0")[0] == "(wsgi:full)"


@root_only
def test_a_user_without_a_home_starts_in_the_root_directory(server):
    assert not os.path.exists(pwd.getpwnam("nobody").pw_dir)
    assert state(server, "homeless")["cwd"] == "/"
    # Which is in order: it is what Debian says of users who are to have none.
    assert pwd.getpwnam("nobody").pw_dir == "/nonexistent" and not server.log.lines("WSGI0450")


def test_a_locale_that_does_not_exist_is_a_warning(server):
    assert state(server, "badlocale")["pid"]
    line, = server.log.wait_for("WSGI0079")
    assert "xx_XX.nothing" in line


def test_descriptors(server):
    """The standard ones, the queue, the control socket, what Python and the process's own signals need; no listener, no log."""
    pid = state(server, "plain")["pid"]
    found = {}
    for path in glob.glob("/proc/%d/fd/*" % pid):
        try:
            found[int(path.rsplit("/", 1)[1])] = os.readlink(path)
        except OSError:
            continue
    listeners = set()
    with open("/proc/net/tcp") as table:
        listeners = {"socket:[%s]" % line.split()[9] for line in table.readlines()[1:]}
    assert not listeners & set(found.values()), found
    files = {target for target in found.values() if target.startswith("/") and not target.startswith("/dev/")}
    assert not files, found
    assert len(found) <= 12, found


def memory_has(pid, *needles):
    """Whether a process has one of the byte strings in any memory that it can write."""
    with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb", 0) as memory:
        for line in maps:
            bounds, mode = line.split()[:2]
            if "r" not in mode or "[v" in line:
                continue
            start, end = (int(bound, 16) for bound in bounds.split("-"))
            try:
                memory.seek(start)
                block = memory.read(end - start)
            except (OSError, ValueError, OverflowError):
                continue
            if any(needle in block for needle in needles):
                return True
    return False


def can_look_into(pid):
    try:
        with open("/proc/%d/mem" % pid, "rb", 0):
            return True
    except OSError:
        return False


@root_only
@pytest.mark.unsanitized("a process has terabytes of address space, too much to read")
def test_nothing_of_the_configuration_is_in_the_process(server):
    pid = state(server, "plain")["pid"]
    if not can_look_into(pid):
        pytest.skip("this system does not let root look into other processes")
    assert memory_has(server.pid, MARKER.encode())
    assert not memory_has(pid, MARKER.encode())


@root_only
@pytest.mark.unsanitized("a process has terabytes of address space, too much to read")
def test_no_key_of_the_server_is_in_the_process(make_httpd):
    if not os.path.exists(os.path.join(query_apxs("LIBEXECDIR"), "mod_ssl.so")) or not shutil.which("openssl"):
        pytest.skip("no mod_ssl or no openssl")
    from httpd_env import free_port
    port = free_port()
    server = Httpd("", apps="daemon", modules=["socache_shmcb", "ssl"], name="key")
    key, certificate = os.path.join(server.root, "key.pem"), os.path.join(server.root, "certificate.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-days", "2",
                    "-subj", "/CN=localhost"], check=True, capture_output=True)
    os.chmod(key, 0o600)
    text = subprocess.run(["openssl", "rsa", "-in", key, "-noout", "-text"], check=True, capture_output=True, text=True).stdout
    primes = []
    for name in ("prime1", "prime2", "privateExponent"):
        digits = re.search(r"%s:\n((?:\s+[0-9a-f:]+\n)+)" % name, text).group(1)
        number = bytes.fromhex(re.sub(r"[\s:]", "", digits)).lstrip(b"\0")
        primes += [number, number[::-1]]
    server.configure("\n".join([
        "WSGIDaemonProcess plain python-path={lib}",
        "WSGIScriptAlias /plain {apps}/app.wsgi process-group=plain application-group=%{GLOBAL}",
        "Listen 127.0.0.1:%d" % port, "<VirtualHost *:%d>" % port, "SSLEngine on", "SSLCertificateFile %s" % certificate,
        "SSLCertificateKeyFile %s" % key, "</VirtualHost>"]))
    with server:
        pid = state(server, "plain")["pid"]
        if not can_look_into(pid):
            pytest.skip("this system does not let root look into other processes")
        assert memory_has(server.pid, *primes), "the search finds nothing where the key is"
        assert not memory_has(pid, *primes)
        # Nor can the worker's user read it where it lies.
        assert not os.access(key, os.R_OK) or os.getuid() == 0


@pytest.mark.skipif("WSGI_TEST_OTHER_PYTHON" not in os.environ,
                    reason="WSGI_TEST_OTHER_PYTHON names no second Python; Tests/run.py does where there is one")
def test_two_groups_have_two_pythons():
    home = os.environ["WSGI_TEST_OTHER_PYTHON"]
    version = subprocess.check_output([os.path.join(home, "bin", "python"), "-c",
                                       "import sys; print('%d.%d' % sys.version_info[:2])"], text=True).strip()
    server = Httpd("", apps="daemon", name="pythons")
    lines = []
    for name, options in (("own", ""), ("other", "python-home=" + home), ("third", "python=%s/bin/python" % home)):
        lines += ["WSGIDaemonProcess %s python-path={lib} %s" % (name, options),
                  "WSGIScriptAlias /%s {apps}/app.wsgi process-group=%s application-group=%%{GLOBAL}" % (name, name)]
    server.configure("\n".join(lines))
    with server:
        assert state(server, "own")["version"] == "%d.%d" % sys.version_info[:2]
        for group in ("other", "third"):
            it = state(server, group)
            assert (it["version"], it["prefix"]) == (version, home)


def test_an_environment_of_another_installation_is_named():
    """Its standard library's extension modules need a libpython of their own release."""
    stdlib = sysconfig.get_path("stdlib")
    server = Httpd("", apps="daemon", name="mismatch")
    other, home = os.path.join(server.root, "other"), os.path.join(server.root, "venv")
    for directory in (os.path.join(other, "bin"), os.path.join(other, "lib"), os.path.join(home, "bin")):
        os.makedirs(directory)
    os.symlink(stdlib, os.path.join(other, "lib", os.path.basename(stdlib)))
    with open(os.path.join(home, "pyvenv.cfg"), "w") as made:
        made.write("home = %s/bin\nversion = %d.%d.99\n" % (other, *sys.version_info[:2]))
    good = os.path.join(server.root, "good")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", good], check=True)
    server.configure("\n".join(
        "WSGIDaemonProcess %s python-path={lib} python-home=%s\nWSGIScriptAlias /%s {apps}/app.wsgi process-group=%s"
        % (name, path, name, name) for name, path in (("bad", home), ("good", good))))
    with server:
        for name in ("bad", "good"):
            assert state(server, name)["version"] == "%d.%d" % sys.version_info[:2]
        lines = [line for line in server.log.text().split("\n") if "WSGI0506" in line]
        assert len(lines) == 1 and home in lines[0] and "%d.%d.99" % sys.version_info[:2] in lines[0] and other in lines[0]
