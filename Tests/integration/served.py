"""`wsgictl serve` for a test: a project, the command beside images that its user can read, and its end."""
import glob
import os
import re
import shutil
import signal
import subprocess
import tempfile

import pytest

from http_client import Client
from httpd_env import DEADLINE, MODULE, Log, free_port, virtual_environment, wait_until
from processes import descendants, noted, remaining

STAGE = os.path.dirname(MODULE)
SITE_PACKAGES = "lib/python3.%d/site-packages"


def command(directory):
    """wsgictl with its module, copied to where any user can read them."""
    program = os.path.join(STAGE, "wsgictl")
    if not os.path.exists(program):
        pytest.skip("there is no wsgictl beside the module: make command")
    for path in [program, MODULE] + glob.glob(os.path.join(STAGE, "wsgi-*")):
        shutil.copy2(path, directory)
    os.chmod(directory, 0o755)
    return os.path.join(directory, "wsgictl")


class Project:
    """A directory of files, with a virtual environment in which the tests' packages are found."""

    def __init__(self, **files):
        self.root = tempfile.mkdtemp(prefix="wsgi-project-")
        os.chmod(self.root, 0o755)
        self.program = command(self.make("bin"))
        self.directory = self.make("shop")
        for name, text in files.items():
            self.write(name.replace("__", "/").replace("_py", ".py"), text)

    def make(self, name):
        path = os.path.join(self.root, name)
        os.makedirs(path, exist_ok=True)
        return path

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        # A whole file at once: a server may be watching.
        with open(path + ".new", "w") as out:
            out.write(text)
        os.replace(path + ".new", path)
        return path

    def environment(self, name=".venv"):
        home = virtual_environment()
        python = os.path.join(home, "bin", "python3")
        subprocess.run([python, "-m", "venv", "--without-pip", self.path(name)], check=True)
        for packages in glob.glob(self.path(name + "/lib/python3.*/site-packages")):
            with open(os.path.join(packages, "tests.pth"), "w") as out:
                out.writelines(path + "\n" for path in glob.glob(home + "/lib/python3.*/site-packages"))
        return self.path(name)

    def run(self, *arguments, **more):
        """A verb that ends by itself: exit status and output."""
        environment = dict(os.environ, **more.pop("environment", {}))
        environment.pop("VIRTUAL_ENV", None)
        done = subprocess.run([self.program, *arguments], cwd=self.directory, capture_output=True, text=True, timeout=60,
                              env=environment, **more)
        return done.returncode, done.stdout + done.stderr

    def remove(self):
        shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.remove()


class Served:
    """`wsgictl serve` that runs."""

    def __init__(self, project, *arguments, user=None, port=None, verb="serve", environment=()):
        self.project = project
        self.log = Log(os.path.join(project.root, "output-%d" % free_port()))
        variables = dict({name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}, **dict(environment))
        given = [] if port is None and "--port" in arguments else ["--port", str(port or free_port())]
        more = dict(user=user, group=user, extra_groups=[]) if user else {}
        with open(self.log.path, "wb") as output:
            self.process = subprocess.Popen([project.program, verb, *given, *arguments], cwd=project.directory, env=variables,
                                            stdin=subprocess.DEVNULL, stdout=output, stderr=output, **more)

    def __enter__(self):
        try:
            wait_until(lambda: "Ctrl-C stops it." in self.text() or self.process.poll() is not None, self.text)
            assert self.process.poll() is None, self.text()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        self.port = int(re.search(r"URL +http://[^/]*:(\d+)/", self.text()).group(1))
        return self

    def text(self):
        return self.log.text()

    def get(self, path="/", timeout=DEADLINE, **more):
        with Client(self.port, timeout=timeout) as client:
            return client.request("GET", path, **more)

    def end(self, number=signal.SIGINT):
        """Its exit status; nothing of it is left."""
        family = noted(descendants(self.process.pid))
        self.process.send_signal(number)
        code = self.process.wait(40)
        wait_until(lambda: not remaining(family), lambda: "the end of %s" % remaining(family))
        return code

    def __exit__(self, *failure):
        if self.process.poll() is None:
            code = self.end()
            assert code == 0 or failure[0], self.text()
