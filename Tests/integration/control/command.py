"""wsgictl, as one user or another, against a server of a test."""
import json
import os
import shutil
import subprocess

from httpd_env import MODULE, wait_until

SCRIPT = """import os, time
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    path, version = environ['PATH_INFO'], 1
    if path.startswith('/wait/'):
        name = os.path.join(os.path.dirname(__file__), path[6:])
        open(name + '.began', 'w').close()
        while not os.path.exists(name):
            time.sleep(0.01)
    return [('%d %d' % (os.getpid(), version)).encode()]
"""


def program(server):
    """A copy that other users can execute."""
    path = os.path.join(server.root, "wsgictl")
    if not os.path.exists(path):
        shutil.copy2(os.path.join(os.path.dirname(MODULE), "wsgictl"), path)
        os.chmod(path, 0o755)
    return path


def socket_path(server):
    return os.path.join(server.root, "wsgictl.sock")


def start(server, *arguments, user=None):
    identity = {} if user is None else {"user": user, "group": user, "extra_groups": []}
    return subprocess.Popen([program(server), *arguments, "--socket", socket_path(server)], text=True, cwd="/",
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **identity)


def run(server, *arguments, user=None, timeout=60):
    """Exit status, output and error output."""
    process = start(server, *arguments, user=user)
    try:
        output, errors = process.communicate(timeout=timeout)
    except BaseException:
        process.kill()
        process.wait()
        raise
    return process.returncode, output, errors


def do(server, *arguments, user=None):
    code, output, errors = run(server, *arguments, user=user)
    assert code == 0, (arguments, code, output, errors, server.log.text()[-3000:])
    return output


def groups(server, *arguments, user=None):
    """The groups of `status --json`, by name."""
    found = json.loads(do(server, "status", *arguments, "--json", user=user))["groups"]
    return {group["name"]: group for group in found}


def group(server, name, user=None):
    return groups(server, name, user=user)[name]


def wait_for_state(server, name, *states):
    wait_until(lambda: group(server, name)["state"] in states,
               lambda: "%s to be %s: %s\n%s" % (name, states, group(server, name), server.log.text()[-3000:]))
    return group(server, name)


def pids(server, name):
    return {process["pid"] for process in group(server, name)["processes"] if process["state"] == "ready"}


def ready(server, name, count, old=()):
    """The processes of a group, once so many take requests and none of `old` does."""
    def found():
        now = pids(server, name)
        return now if len(now) == count and not now & set(old) else None
    return wait_until(found, lambda: "%d processes: %r" % (count, group(server, name)))


def write_script(server, name="app.wsgi", text=SCRIPT):
    path = os.path.join(server.apps, name)
    with open(path, "w") as script:
        script.write(text)
    os.chmod(server.apps, 0o777)
    return path


def answer(server, path):
    """The process that answers, and the version of its code."""
    reply = server.get(path)
    assert reply.status == 200, (reply.status, server.log.text()[-3000:])
    return tuple(int(word) for word in reply.text.split())
