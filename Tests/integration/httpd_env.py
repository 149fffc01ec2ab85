"""A real httpd for a test: its own ServerRoot, port and configuration, started in the foreground and ended by pid."""
import atexit
import fcntl
import glob
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from http_client import Client
from processes import children, descendants, noted, remaining

HERE = os.path.dirname(os.path.abspath(__file__))
APPS = os.path.join(HERE, "apps")
ROOT = os.path.dirname(os.path.dirname(HERE))
MODULE = os.path.abspath(os.environ.get("WSGI_MODULE", os.path.join(ROOT, ".build-stage", "mod_wsgi.so")))
MODES = [mode for mode in os.environ.get("WSGI_TEST_MODES", "embedded,daemon").split(",") if mode]
# Against another implementation of the same directives, rows that name a deliberate difference are left out.
REFERENCE = bool(os.environ.get("WSGI_TEST_REFERENCE"))
# Bursts of the tests, which the default limit of a group need not allow.
QUEUE = "" if REFERENCE else "queue-limit=100"
# A virtual environment of another Python than the one that the module was built for: its engine runs the tests then.
PYTHON_HOME = os.environ.get("WSGI_TEST_PYTHON_HOME")
PROGRAM = os.path.join(PYTHON_HOME, "bin", "python3") if PYTHON_HOME else sys.executable
# The Python that applications run on, as (3, 11).
PYTHON = tuple(map(int, subprocess.check_output([PROGRAM, "-c", "import sys; print(*sys.version_info[:2])"], text=True).split()))
# Module, engine and worker have AddressSanitizer in them, and logs with a report of it are kept in this directory.
SANITIZED = os.environ.get("WSGI_TEST_SANITIZED")
CRASH = re.compile(r"exit signal|AH00052|Fatal Python error|Fatal error:|double free|stack smashing|AddressSanitizer:"
                   r"|free\(\)|malloc\(\)|corrupted|Segmentation|Illegal instruction")
DEADLINE = float(os.environ.get("WSGI_TEST_DEADLINE", "60"))


def wait_until(condition, what, deadline=DEADLINE):
    """Returns the condition's first true value; fails with what was awaited when the deadline passes first."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("not within %g s: %s" % (deadline, what() if callable(what) else what))
        time.sleep(0.01)


def query_apxs(name):
    if name not in _apxs:
        apxs = os.environ.get("APXS") or shutil.which("apxs") or shutil.which("apxs2") or "apxs"
        _apxs[name] = subprocess.check_output([apxs, "-q", name], text=True).strip()
    return _apxs[name]


_apxs = {}


def httpd_program():
    return os.environ.get("WSGI_TEST_HTTPD") or os.path.join(query_apxs("SBINDIR"), query_apxs("PROGNAME"))


def free_port():
    """A port that stays this process's until it ends: other runs of the tests pass over it, and as none that the kernel gives
    to outgoing connections, no connection takes it before a server listens there."""
    if _ports is None:
        _reserve_ports()
    for port in _ports:
        try:
            fcntl.lockf(_port_locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            continue  # another process's
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue  # some other server's
        return port
    raise AssertionError("no port is free")


def _reserve_ports():
    """Opens the file whose bytes are the locks of ports, and makes a list of those that there are."""
    global _ports, _port_locks
    path = os.path.join(tempfile.gettempdir(), "wsgi-test-ports-%d" % os.getuid())
    _port_locks = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
            low, high = map(int, file.read().split())
    except OSError:
        low, high = 32768, 60999
    ports = [port for port in range(10000, 65536) if not low <= port <= high]
    if len(ports) < 5000:  # outgoing connections may have nearly all
        ports = list(range(10000, 65536))
    random.shuffle(ports)
    _ports = iter(ports)


_ports = _port_locks = None


def stage_module(directory, module=MODULE):
    """Copies the images to where httpd's own user can read them: an installed tree can be moved."""
    for path in [module] + glob.glob(os.path.join(os.path.dirname(module), "wsgi-*")):
        shutil.copy2(path, directory)
    os.chmod(directory, 0o755)
    return os.path.join(directory, os.path.basename(module))


class Log:
    def __init__(self, path):
        self.path = path

    def mark_before(self, number):
        """Where to look for a message of a failure that is about to be asked for. That a script does not load is logged once,
        with the advice on it, and then counted (WSGI0614): an earlier request, or the start of its group, may have had it."""
        return 0 if number in ("WSGI0105", "WSGI0107", "WSGI0109", "WSGI0501", "WSGI0610", "WSGI0611") else self.mark()

    def mark(self):
        try:
            return os.path.getsize(self.path)
        except OSError:
            return 0

    def text(self, since=0):
        try:
            with open(self.path, "rb") as log:
                log.seek(since)
                return log.read().decode("utf-8", "backslashreplace")
        except OSError:
            return ""

    def lines(self, pattern, since=0):
        return [line for line in self.text(since).splitlines() if re.search(pattern, line)]

    def wait_for(self, pattern, since=0, count=1, deadline=DEADLINE):
        """The first `count` lines that match, as soon as there are so many."""
        return wait_until(lambda: (lambda found: found if len(found) >= count else None)(self.lines(pattern, since)),
                          lambda: "%d of /%s/ in %s:\n%s" % (count, pattern, self.path, self.text(since)[-4000:]), deadline)


class Httpd:
    """One server. `apps` names a case of apps/, copied to `self.apps` so that a test may change it."""

    BASE_MODULES = ["authz_core", "alias", "mime", "env", "setenvif"]

    def __init__(self, conf="", apps=None, mpm="event", modules=(), environment=None, threads=80, module=None, name="httpd",
                 log_level="warn wsgi:info", processes=1):
        self.root = tempfile.mkdtemp(prefix="wsgi-%s-" % name)
        os.chmod(self.root, 0o755)
        self.apps = os.path.join(self.root, "apps")
        if apps:
            shutil.copytree(os.path.join(APPS, apps), self.apps)
        else:
            os.mkdir(self.apps)
        shutil.copytree(os.path.join(APPS, "lib"), os.path.join(self.root, "lib"))
        self.docs = os.path.join(self.root, "htdocs")
        os.mkdir(self.docs)
        self.port = free_port()
        self.log = Log(os.path.join(self.root, "error_log"))
        self.access_log = Log(os.path.join(self.root, "access_log"))
        self.environment = environment or {}
        self.wrapper = []  # a program, with its arguments, that executes httpd
        self.process = None
        self.directory = "/"  # where httpd is started
        self.probes = 0  # requests of our own, to see whether it answers
        self.mpm, self.threads, self.processes, self.log_level = mpm, threads, processes, log_level
        self.modules = self.BASE_MODULES + list(modules)
        self.expected_crashes = False
        self.reports = SANITIZED
        self.module = module or stage_module(self.make_directory("modules"))
        self.configure(conf)

    def make_directory(self, name, mode=0o755):
        path = os.path.join(self.root, name)
        os.makedirs(path)
        os.chmod(path, mode)
        return path

    def write(self, name, text):
        """Writes a file of `apps`, and makes the directories that it is in."""
        path = os.path.join(self.apps, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as out:
            out.write(text)
        return path

    def unused_path(self, name):
        """A path where nothing is yet, however often a test runs on this server; applications may write there."""
        directory = tempfile.mkdtemp(prefix="own-", dir=self.root)
        os.chmod(directory, 0o777)
        return os.path.join(directory, name)

    # MARK: configuration

    def configure(self, conf):
        """Writes httpd.conf anew. `{root}`, `{apps}`, `{docs}`, `{lib}` and `{port}` in it are replaced."""
        for name, value in (("root", self.root), ("apps", self.apps), ("docs", self.docs), ("port", str(self.port)),
                            ("lib", os.path.join(self.root, "lib"))):
            conf = conf.replace("{%s}" % name, value)
        if SANITIZED:  # which takes terabytes of address space for itself
            conf = re.sub(r" memory-limit=\d+[KMG]?", "", conf)
        self.conf = os.path.join(self.root, "httpd.conf")
        with open(self.conf, "w") as out:
            out.write("\n".join(self.base_lines()) + "\n" + conf + "\n")

    def base_lines(self):
        lines = []
        for name in ["mpm_" + self.mpm] + self.modules:
            path = os.path.join(query_apxs("LIBEXECDIR"), "mod_%s.so" % name)
            if os.path.exists(path):  # elsewhere it is built in
                lines.append("LoadModule %s_module %s" % (name, path))
        lines += [
            "LoadModule wsgi_module %s" % self.module, 'ServerRoot "%s"' % self.root, "ServerName localhost",
            "Listen 127.0.0.1:%d" % self.port, "PidFile httpd.pid", "DefaultRuntimeDir %s" % self.root,
            "ErrorLog error_log", "LogLevel " + self.log_level, 'DocumentRoot "%s"' % self.docs,
            'CustomLog access_log "%h %u \\"%r\\" %>s %B %X %L"', "KeepAlive On", "MaxKeepAliveRequests 0",
            "KeepAliveTimeout 60", "Timeout 20",
            "WSGIPythonPath %s" % os.path.join(self.root, "lib"), "TypesConfig /dev/null", "EnableSendfile On",
            *(["WSGIPythonHome " + PYTHON_HOME] if PYTHON_HOME else []), "<Directory />", "Require all granted", "</Directory>",
        ]
        if os.getuid() == 0:
            lines += ["User www-data", "Group www-data"]
        if self.mpm == "prefork":
            lines += ["StartServers %d" % self.processes, "MinSpareServers %d" % self.processes, "MaxSpareServers 10",
                      "MaxRequestWorkers 10"]
        else:
            # Room for the children of older generations: those that still serve must not keep new ones from starting.
            limit = self.processes + 4
            lines += ["ServerLimit %d" % limit, "StartServers %d" % self.processes, "ThreadsPerChild %d" % self.threads,
                      "ThreadLimit %d" % self.threads, "MaxRequestWorkers %d" % (self.threads * self.processes),
                      "MinSpareThreads 1", "MaxSpareThreads %d" % (self.threads * limit)]
        return lines

    def check(self):
        """`apachectl configtest`: exit status and output."""
        done = subprocess.run(self.wrapper + [httpd_program(), "-t", "-f", self.conf], capture_output=True, text=True, cwd="/",
                              env=dict(os.environ, **self.environment), timeout=60)
        return done.returncode, done.stdout + done.stderr

    # MARK: life

    def start(self):
        self.output = open(os.path.join(self.root, "output"), "ab")
        mark = self.log.mark()
        self.process = subprocess.Popen(
            self.wrapper + [httpd_program(), "-f", self.conf, "-D", "FOREGROUND"], env=dict(os.environ, **self.environment),
            cwd=self.directory,
            stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output, start_new_session=True)

        def ready():
            if self.process.poll() is not None:
                raise AssertionError("httpd ended with %d:\n%s" % (self.process.returncode, self.story()))
            return self.log.lines("resuming normal operations", mark)
        # The readiness message is a notice; it is below the default LogLevel of some tests.
        if "warn" in self.log_level.split()[0] or "error" in self.log_level.split()[0]:
            wait_until(lambda: self.process.poll() is not None or self.answers(), lambda: "httpd's start:\n" + self.story())
            if self.process.poll() is not None:
                raise AssertionError("httpd ended with %d:\n%s" % (self.process.returncode, self.story()))
        else:
            wait_until(ready, lambda: "httpd's start:\n" + self.story())
        return self

    def answers(self):
        """Whether a child of the running generation accepts connections and answers."""
        try:
            with Client(self.port, timeout=DEADLINE) as client:
                answered = client.request("GET", "/no-such-file").status in (200, 403, 404, 500)
                self.probes += answered
                return answered
        except OSError:
            return False

    def story(self):
        with open(os.path.join(self.root, "output"), errors="replace") as output:
            return output.read()[-3000:] + self.log.text()[-5000:]

    @property
    def pid(self):
        return self.process.pid

    def children(self):
        return children(self.pid)

    def signal(self, number):
        os.kill(self.pid, number)

    def generation(self):
        """The number of times that httpd has read its configuration and started children, by its own account."""
        return len(self.log.lines(r"resuming normal operations|AH0049[23]|AH00171|AH00297|AH00494"))

    def graceful(self, alone=False):
        """`alone`: waits for the end of the old processes, too, which may take a connection for a moment yet."""
        before = set(self.children())
        self._restart(signal.SIGUSR1)
        if alone:
            wait_until(lambda: not set(self.children()) & before, lambda: "the end of the old processes\n" + self.story())

    def restart(self):
        self.let_connections_end()
        self._restart(signal.SIGHUP)

    def _restart(self, number):
        before = set(self.children())
        self.signal(number)
        wait_until(lambda: self.process.poll() is None and set(self.children()) - before and self.answers(),
                   lambda: "new children after signal %d:\n%s" % (number, self.story()))

    def stop(self):
        """Stops httpd and checks that nothing of it is left; the log must tell of no crash."""
        if self.process is None:
            return
        alive = self.process.poll() is None
        family = noted(descendants(self.pid) if alive else [])
        if alive:
            self.let_connections_end()
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                for pid in [self.pid] + remaining(family):
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                self.process.wait()
                raise AssertionError("httpd did not stop:\n" + self.story())
        code, self.process = self.process.returncode, None
        self.output.close()
        if not alive or code:
            raise AssertionError("httpd ended with %s:\n%s" % (code, self.story()))
        wait_until(lambda: not remaining(family), lambda: "the end of %s" % remaining(family))
        if not self.expected_crashes:
            crashes = [line for line in self.story().splitlines() if CRASH.search(line)]
            assert not crashes, crashes

    def let_connections_end(self):
        """Waits a moment for connections that clients have closed. The event MPM's end may touch one that a thread of it is
        just about to forget, and crash (httpd 2.4.71, close_worker_sockets)."""
        def none_open():
            with open("/proc/net/tcp") as table:
                rows = [line.split() for line in table.readlines()[1:]]
            own = ":%04X" % self.port
            return not [row for row in rows if row[1].endswith(own) and row[3] != "0A" and row[9] != "0"]
        end = time.monotonic() + 1
        while not none_open() and time.monotonic() < end:
            time.sleep(0.005)

    def keep_reports(self):
        """Copies logs that hold a report of AddressSanitizer to where `make sanitize` counts them."""
        # No symbolic link is followed: a tenant's may lead anywhere.
        logs = [os.path.join(directory, name) for directory, _, names in os.walk(self.root) for name in names
                if name.endswith("log") or name == "output"]
        for path in logs:
            text = Log(path).text() if os.path.isfile(path) else ""
            found = text.find("ERROR: AddressSanitizer:")
            if found >= 0:
                handle, _ = tempfile.mkstemp(dir=self.reports, suffix=".report")
                with open(handle, "w") as report:
                    report.write("%s\n%s" % (os.environ.get("PYTEST_CURRENT_TEST", self.root), text[found:]))

    def remove(self):
        if self.reports:
            self.keep_reports()
        if not os.environ.get("WSGI_TEST_KEEP"):
            shutil.rmtree(self.root, ignore_errors=True)

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def __exit__(self, *failure):
        try:
            self.stop()
        except AssertionError:
            if failure[0] is None:
                raise
        finally:
            self.remove()

    # MARK: requests

    def client(self, timeout=DEADLINE):
        return Client(self.port, timeout=timeout)

    def request(self, method, path, headers=(), body=None, **more):
        with self.client() as client:
            return client.request(method, path, headers, body, **more)

    def get(self, path, headers=(), **more):
        return self.request("GET", path, headers, **more)

    def raw(self, payload, method="GET"):
        with self.client() as client:
            client.send(payload)
            return client.read_response(method)


class Site:
    """One script, mounted at /embedded and, where there is a daemon mode, at /daemon, of one server."""

    def __init__(self, case, script="app.wsgi", conf="", daemon_options="threads=8", group="%{GLOBAL}", **httpd):
        self.script = script
        lines = []
        for mode in MODES:
            lines += ["WSGIScriptAlias /%s {apps}/%s" % (mode, script), "<Location /%s>" % mode,
                      "WSGIApplicationGroup %s" % group, "WSGIProcessGroup %s" % ("site" if mode == "daemon" else "%{GLOBAL}"),
                      "</Location>"]
        if "daemon" in MODES:
            lines += ["WSGIDaemonProcess site python-path={lib} %s %s" % (QUEUE, daemon_options), "WSGISocketPrefix {root}/wsgi"]
        self.httpd = Httpd("\n".join(lines) + "\n" + conf, apps=case, name=case, **httpd)
        self.log = self.httpd.log
        self.serial = 0

    def __enter__(self):
        self.httpd.__enter__()
        return self

    def __exit__(self, *failure):
        self.httpd.__exit__(*failure)

    def path(self, script=None):
        return os.path.join(self.httpd.apps, script or self.script)

    def get(self, mode, path, headers=(), **more):
        return self.httpd.get("/%s%s" % (mode, path), headers, **more)

    def request(self, mode, method, path, headers=(), body=None, **more):
        return self.httpd.request(method, "/%s%s" % (mode, path), headers, body, **more)

    def flush_log(self, mode):
        """Returns when every record that earlier requests of this mode wrote has reached the log."""
        self.serial += 1
        token = "sentinel-%d-%s" % (self.serial, mode)
        mark = self.log.mark()
        assert self.get(mode, "/sentinel?" + token).status == 200
        self.log.wait_for(token, mark)


def run_together(count, work, deadline=120):
    """Runs work(index) in `count` threads that start together; returns the results in order, exceptions among them."""
    results, gate = [None] * count, threading.Barrier(count)

    def one(index):
        try:
            gate.wait()
            results[index] = work(index)
        except BaseException as failure:
            results[index] = failure
    threads = [threading.Thread(target=one, args=(index,), daemon=True) for index in range(count)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + deadline
    for thread in threads:
        thread.join(max(0, end - time.monotonic()))
        assert not thread.is_alive(), "not within %g s" % deadline
    return results


def readable_by_all(path):
    """Whether httpd's user can reach a directory."""
    path = os.path.realpath(path)
    while path != "/":
        if not os.stat(path).st_mode & 0o001:
            return False
        path = os.path.dirname(path)
    return True


def virtual_environment():
    """The environment that the tests run in, or a copy of it where httpd's user cannot reach it."""
    if readable_by_all(sys.prefix):
        return sys.prefix
    copy = os.path.join(tempfile.gettempdir(), "wsgi-venv-%d" % os.getpid())
    if not os.path.exists(copy):
        shutil.copytree(sys.prefix, copy, symlinks=True)
        atexit.register(shutil.rmtree, copy, ignore_errors=True)
    return copy
