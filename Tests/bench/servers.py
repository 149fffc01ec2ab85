"""The servers that are measured: each is started by `start`, asked at `url`, and ended by `stop`."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))
from httpd_env import free_port, httpd_program, query_apxs  # noqa: E402

THREADS = 16


def parents():
    """pid: pid of its parent, for all processes."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/stat" % name) as stat:
                    found[int(name)] = int(stat.read().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
    return found


def family(pids):
    """The processes and all that descend from them."""
    known, found = parents(), set(pids)
    while True:
        more = {pid for pid, parent in known.items() if parent in found} - found
        if not more:
            return found
        found |= more


class Server:
    # How long it may take to start, in seconds.
    patience = 20

    def __init__(self, name, options):
        self.name, self.options = name, options
        self.port = free_port()
        self.prefix = ""
        self.processes = []

    # MARK: what a kind of server says

    def launch(self):
        raise NotImplementedError

    # MARK: life

    def start(self):
        self.root = tempfile.mkdtemp(prefix="bench-")
        os.chmod(self.root, 0o755)
        self.output = open(os.path.join(self.root, "output"), "wb")
        begun = time.monotonic()
        self.launch()
        end = begun + self.patience
        while True:
            try:
                with urllib.request.urlopen(self.url("hello"), timeout=self.patience) as answer:
                    answer.read()
                break
            except OSError as failure:
                if time.monotonic() > end or any(process.poll() is not None for process in self.processes):
                    raise SystemExit("%s does not answer (%s):\n%s" % (self.name, failure, self.story()))
                time.sleep(0.01)
        self.seconds_to_start = time.monotonic() - begun
        return self

    def run(self, command, **environment):
        process = subprocess.Popen(
            command, cwd=HERE, stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output, close_fds=False,
            env=dict(os.environ, BENCH_FILE=self.options.file, **environment), start_new_session=True)
        self.processes.append(process)

    def story(self):
        text = ""
        for name in ("output", "error_log"):
            path = os.path.join(self.root, name)
            if os.path.exists(path):
                with open(path, errors="replace") as log:
                    text += log.read()[-2000:]
        return text

    def stop(self):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.root, ignore_errors=True)

    def url(self, path):
        return "http://127.0.0.1:%d%s/%s" % (self.port, self.prefix, path)

    # MARK: what it uses

    def pids(self):
        return family(process.pid for process in self.processes)

    def cpu_seconds(self):
        total = 0
        for pid in self.pids():
            try:
                with open("/proc/%d/stat" % pid) as stat:
                    fields = stat.read().rsplit(")", 1)[1].split()
                total += int(fields[11]) + int(fields[12])
            except OSError:
                continue
        return total / os.sysconf("SC_CLK_TCK")

    def memory(self):
        """Proportional set size in MiB."""
        total = 0
        for pid in self.pids():
            try:
                with open("/proc/%d/smaps_rollup" % pid) as maps:
                    total += int(re.search(r"^Pss:\s+(\d+)", maps.read(), re.M).group(1))
            except (OSError, AttributeError):
                continue
        return total / 1024


class Apache(Server):
    """httpd with one child and `conf`."""

    mpm = "event"
    threads = 25

    def conf(self):
        raise NotImplementedError

    def modules(self):
        return []

    def launch(self):
        self.prefix = "/app"
        lines = []
        for name in ["mpm_" + self.mpm, "authz_core"] + self.modules():
            path = os.path.join(query_apxs("LIBEXECDIR"), "mod_%s.so" % name)
            if os.path.exists(path):
                lines.append("LoadModule %s_module %s" % (name, path))
        lines += [
            'ServerRoot "%s"' % self.root, "ServerName localhost", "Listen 127.0.0.1:%d" % self.port, "PidFile httpd.pid",
            "DefaultRuntimeDir " + self.root, "ErrorLog error_log", "KeepAlive On", "MaxKeepAliveRequests 0",
            "EnableSendfile On", "StartServers 1"]
        if self.mpm == "prefork":
            lines += ["MaxRequestWorkers 1", "MinSpareServers 1", "MaxSpareServers 1"]
        else:
            lines += ["ServerLimit 1", "ThreadLimit 1000", "ThreadsPerChild %d" % self.threads,
                      "MaxRequestWorkers %d" % self.threads, "MinSpareThreads 1", "MaxSpareThreads %d" % self.threads,
                      # Connections that wait for their next request are kept, however busy the threads are.
                      "AsyncRequestWorkerFactor 64"]
        if os.getuid() == 0:
            lines += ["User www-data", "Group www-data"]
        lines += ["<Directory />", "Require all granted", "</Directory>", self.conf()]
        path = os.path.join(self.root, "httpd.conf")
        with open(path, "w") as out:
            out.write("\n".join(lines) + "\n")
        self.run(self.command(path))

    def command(self, conf):
        return [httpd_program(), "-f", conf, "-D", "FOREGROUND"]


class ModWSGI(Apache):
    """Ours, or another implementation of the same directives, embedded or with a daemon group."""

    def __init__(self, name, options, module, is_daemon, home=None, application_groups=1):
        super().__init__(name, options)
        self.module, self.is_daemon, self.home, self.application_groups = module, is_daemon, home, application_groups

    def conf(self):
        script = os.path.join(self.root, "workloads.wsgi")
        shutil.copy(os.path.join(HERE, "workloads.py"), script)
        module = os.path.join(self.root, "modules")
        os.mkdir(module)
        for name in os.listdir(os.path.dirname(self.module)):
            if name == os.path.basename(self.module) or name.startswith("wsgi-"):
                shutil.copy2(os.path.join(os.path.dirname(self.module), name), module)
        lines = ["LoadModule wsgi_module " + os.path.join(module, os.path.basename(self.module)), "WSGIEnableSendfile On"]
        if self.home:
            lines.append("WSGIPythonHome " + self.home)
        group = "%{GLOBAL}"
        if self.is_daemon:
            group = "bench"
            lines += ["WSGISocketPrefix %s/wsgi" % self.root,
                      "WSGIDaemonProcess bench processes=%d threads=%d%s" % (
                          self.options.processes, THREADS, self.daemon_options)]
        lines.append("WSGIScriptAlias /app %s process-group=%s application-group=%%{GLOBAL}" % (script, group))
        for index in range(1, self.application_groups):
            lines.append("WSGIScriptAlias /group%d %s process-group=%s application-group=group%d"
                         % (index, script, group, index))
        return "\n".join(lines)

    @property
    def daemon_options(self):
        # Requests of one group only are measured here, none of which others have to be protected from.
        return " queue-limit=300" if self.name.startswith("ours") else ""


class ManyGroups(ModWSGI):
    """So many process groups of one process and five threads each, that all run the hello application."""

    def __init__(self, name, options, module, home, count):
        super().__init__(name, options, module, True, home)
        self.count = count

    def conf(self):
        lines = super().conf().split("\n")
        script = os.path.join(self.root, "workloads.wsgi")
        for index in range(self.count):
            lines += ["WSGIDaemonProcess idle%d processes=1 threads=5" % index,
                      "WSGIScriptAlias /idle%d %s process-group=idle%d application-group=%%{GLOBAL}" % (index, script, index)]
        return "\n".join(lines)

    def ask_all(self):
        """Every group answers one request."""
        for index in range(self.count):
            urllib.request.urlopen("http://127.0.0.1:%d/idle%d/hello" % (self.port, index), timeout=60).read()


class Static(Apache):
    """httpd's own files: what a response costs without any application."""

    def conf(self):
        documents = os.path.join(self.root, "documents")
        os.mkdir(documents)
        os.link(self.options.file, os.path.join(documents, "file"))
        for name, content in (("hello", b"Hello World!"), ("page", b"x" * 30000)):
            with open(os.path.join(documents, name), "wb") as out:
                out.write(content)
        return "Alias /app %s" % documents

    def modules(self):
        return ["alias"]


class Floor(Apache):
    """The two C programs that do the least that calling a WSGI application from httpd takes (--floor)."""

    def __init__(self, name, options, is_daemon):
        super().__init__(name, options)
        self.is_daemon = is_daemon

    def conf(self):
        return ("LoadModule floor_module %s/mod_floor.so\n<Location /app>\nSetHandler floor-%s\n</Location>"
                % (self.options.floor, "daemon" if self.is_daemon else "embedded"))

    def launch(self):
        self.variables = {"FLOOR_APP": os.path.join(HERE, "workloads.py")}
        if self.is_daemon:
            self.queue = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            for end in self.queue:
                end.set_inheritable(True)
            self.variables["FLOOR_QUEUE"] = str(self.queue[0].fileno())
            for _ in range(self.options.processes):
                self.run([os.path.join(self.options.floor, "floor_worker"), str(self.queue[1].fileno()),
                          self.variables["FLOOR_APP"], str(THREADS)])
        super().launch()

    def run(self, command, **environment):
        super().run(command, **{**self.variables, **environment})


class Gunicorn(Server):
    def launch(self):
        self.run([os.path.join(self.options.peers, "bin", "gunicorn"), "-k", "gthread", "-w", str(self.options.processes),
                  "--threads", str(THREADS), "--keep-alive", "60", "-b", "127.0.0.1:%d" % self.port, "workloads:application"])


class Granian(Server):
    def launch(self):
        self.run([os.path.join(self.options.peers, "bin", "granian"), "--interface", "wsgi", "--host", "127.0.0.1", "--port",
                  str(self.port), "--workers", str(self.options.processes), "--blocking-threads", str(THREADS), "--no-log",
                  "workloads:application"])


class Proxied(Apache):
    """A server behind httpd, reached through a socket file."""

    def backend(self, path):
        raise NotImplementedError

    def launch(self):
        path = os.path.join(self.root, "backend.sock")
        self.run(self.backend(path))
        end = time.monotonic() + 20
        while not os.path.exists(path):
            if time.monotonic() > end or self.processes[0].poll() is not None:
                raise SystemExit("%s does not start:\n%s" % (self.name, self.story()))
            time.sleep(0.01)
        os.chmod(path, 0o777)
        super().launch()


class UWSGIBehindApache(Proxied):
    def modules(self):
        return ["proxy", "proxy_uwsgi"]

    def conf(self):
        return 'ProxyPass "/app" "unix:%s/backend.sock|uwsgi://app"' % self.root

    def backend(self, path):
        return ["uwsgi_python3", "--master", "--socket", path, "--wsgi", "workloads", "-p", str(self.options.processes),
                "--threads", str(THREADS), "--disable-logging", "--die-on-term"]


class GunicornBehindApache(Proxied):
    def modules(self):
        return ["proxy", "proxy_http"]

    def conf(self):
        return 'ProxyPass "/app" "unix:%s/backend.sock|http://app/app"' % self.root

    def backend(self, path):
        return [os.path.join(self.options.peers, "bin", "gunicorn"), "-k", "gthread", "-w", str(self.options.processes),
                "--threads", str(THREADS), "--keep-alive", "60", "-b", "unix:" + path, "workloads:application"]


def all_servers(options):
    """Name: how to make it, for those that can be measured here, in the order of the tables."""
    servers = {}
    if options.stock:
        servers["6.1.1 embedded"] = lambda: ModWSGI("6.1.1 embedded", options, options.stock, False, options.stock_home)
        servers["6.1.1 daemon"] = lambda: ModWSGI("6.1.1 daemon", options, options.stock, True, options.stock_home)
    servers["ours embedded"] = lambda: ModWSGI("ours embedded", options, options.module, False)
    servers["ours daemon"] = lambda: ModWSGI("ours daemon", options, options.module, True)
    if options.floor:
        servers["C floor embedded"] = lambda: Floor("C floor embedded", options, False)
        servers["C floor daemon"] = lambda: Floor("C floor daemon", options, True)
    servers["static file"] = lambda: Static("static file", options)
    if shutil.which("uwsgi_python3"):
        servers["uWSGI behind httpd"] = lambda: UWSGIBehindApache("uWSGI behind httpd", options)
    if options.peers:
        servers["gunicorn behind httpd"] = lambda: GunicornBehindApache("gunicorn behind httpd", options)
        servers["gunicorn"] = lambda: Gunicorn("gunicorn", options)
        servers["granian"] = lambda: Granian("granian", options)
    return servers
