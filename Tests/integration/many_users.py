"""Users that exist for one server alone, as many as a test wants: libnss-wrapper answers the server's lookups from files."""
import glob
import os
import pwd

import pytest

SCRIPT = """import os
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [('%d %s %d' % (os.getuid(), environ['mod_wsgi.process_group'], os.getpid())).encode()]
"""


def library():
    found = glob.glob("/usr/lib/*/libnss_wrapper.so")
    if not found:
        pytest.skip("the package libnss-wrapper is not installed")
    return found[0]


def add_users(server, count):
    """Gives a server that has not been started users of its own, with homes below its root. Returns their entries."""
    # The kernel counts processes by uid, whichever server they belong to.
    first = 1000 * server.port
    users = [pwd.struct_passwd(("tenant%d" % number, "x", first + number, first + number, "",
                                os.path.join(server.root, "home", "tenant%d" % number), "/bin/sh")) for number in range(count)]
    lines = {"passwd": [":".join(map(str, user)) for user in users],
             "group": ["%s:x:%d:" % (user.pw_name, user.pw_gid) for user in users]}
    for name, own in lines.items():
        with open("/etc/" + name) as system, open(os.path.join(server.root, name), "w") as file:
            file.write("\n".join(system.read().splitlines() + own) + "\n")
        server.environment["NSS_WRAPPER_" + name.upper()] = file.name
    server.environment["LD_PRELOAD"] = ":".join(filter(None, (os.environ.get("LD_PRELOAD"), library())))
    os.makedirs(os.path.join(server.root, "home"), exist_ok=True)
    for user in users:
        os.mkdir(user.pw_dir)
        os.chmod(user.pw_dir, 0o711)
        os.chown(user.pw_dir, user.pw_uid, user.pw_gid)
    return users


def write_script(user, text=SCRIPT, name="app.wsgi"):
    """A script of the user in the user's home."""
    path = os.path.join(user.pw_dir, name)
    with open(path + ".new", "w") as script:
        script.write(text)
    os.chmod(path + ".new", 0o600)
    os.chown(path + ".new", user.pw_uid, user.pw_gid)
    os.rename(path + ".new", path)
    return path
