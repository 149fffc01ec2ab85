"""Start-up and memory: what `bench.py --density` measures, and `make bench` at its end."""
import argparse
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from servers import ManyGroups, ModWSGI, family, httpd_program  # noqa: E402

REQUEST = b"GET /app/hello HTTP/1.0\r\nHost: localhost\r\n\r\n"
PLAIN = """def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]
"""


def few(options, processes):
    return argparse.Namespace(**dict(vars(options), processes=processes))


def cpu_milliseconds(pid):
    """What all threads of a process have had of the processors, by the scheduler's own account."""
    total = 0
    for thread in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/schedstat" % (pid, thread)) as file:
            total += int(file.read().split()[0])
    return total / 1e6


class Started(ModWSGI):
    """One that is started as `apachectl start` does, and asked from then on, again and again, until it answers."""

    plain = False

    def command(self, conf):
        return [httpd_program(), "-f", conf, "-k", "start"]

    def run(self, command, **environment):
        if self.plain:
            with open(os.path.join(self.root, "workloads.wsgi"), "w") as script:
                script.write(PLAIN)
        self.begun = time.monotonic()
        super().run(command, **environment)

    def start(self):
        self.root = tempfile.mkdtemp(prefix="bench-")
        os.chmod(self.root, 0o755)
        self.output = open(os.path.join(self.root, "output"), "wb")
        self.launch()
        while not self.answers():
            if time.monotonic() > self.begun + self.patience:
                raise SystemExit("%s does not answer:\n%s" % (self.name, self.story()))
            time.sleep(0.0003)
        self.seconds_to_start = time.monotonic() - self.begun
        self.processes.pop().wait()
        return self

    def answers(self):
        with socket.socket() as client:
            try:
                client.connect(("127.0.0.1", self.port))
                client.sendall(REQUEST)
                return client.recv(4096).startswith(b"HTTP/1.1 200")
            except OSError:
                return False

    def parent(self):
        with open(os.path.join(self.root, "httpd.pid")) as file:
            return int(file.read())

    def pids(self):
        return family([self.parent()])

    def python_pid(self):
        """The process that runs the application: of those that are not httpd's parent the one that has computed most."""
        return max((pid for pid in self.pids() if pid != self.parent()), key=cpu_milliseconds)

    def stop(self):
        pids = self.pids()
        os.kill(self.parent(), signal.SIGTERM)
        end = time.monotonic() + 15
        while any(os.path.exists("/proc/%d" % pid) for pid in pids) and time.monotonic() < end:
            time.sleep(0.002)
        super().stop()


def starts(modules, options):
    """The servers in turn, round after round."""
    print("\n## Start: from `apachectl start` to the first response\n")
    print("| module | mode | ms | least ms | CPU ms of the process with Python | and where the application imports nothing |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    found = {}
    for _ in range(options.starts):
        for name, module, home in modules:
            for is_daemon in (False, True):
                for plain in (False, True):
                    server = Started(name, few(options, 1), module, is_daemon, home)
                    server.plain = plain
                    server.start()
                    try:
                        figures = (1e3 * server.seconds_to_start, cpu_milliseconds(server.python_pid()))
                        found.setdefault((name, is_daemon, plain), []).append(figures)
                    finally:
                        server.stop()
    for name, _, _ in modules:
        for is_daemon in (False, True):
            rounds = found[name, is_daemon, False]
            print("| %s | %s | %.1f | %.1f | %.1f | %.1f |" % (
                name, "daemon" if is_daemon else "embedded", statistics.median(one[0] for one in rounds),
                min(one[0] for one in rounds), statistics.median(one[1] for one in rounds),
                statistics.median(one[1] for one in found[name, is_daemon, True])), flush=True)
    python_alone(options)


def python_alone(options):
    """What no process with a Python does without: the interpreter, `site` and `threading`."""
    spent = []
    for _ in range(options.starts):
        process = subprocess.Popen(["/usr/bin/python3", "-c", "import threading"], cwd="/")
        usage = os.wait4(process.pid, 0)[2]
        process.returncode = 0
        spent.append(1e3 * (usage.ru_utime + usage.ru_stime))
    print("\n`python3 -c 'import threading'` takes %.1f ms of CPU time, its end included." % statistics.median(spent), flush=True)


def density(options):
    """Time to the first response, and memory of one more worker and one more sub-interpreter."""
    modules = [("ours", options.module, None)]
    if options.stock:
        modules.append(("6.1.1", options.stock, options.stock_home))
    starts(modules, options)
    print("\n## Memory\n\n| module | mode | MiB per further worker | MiB per sub-interpreter |\n| --- | --- | ---: | ---: |")
    for name, module, home in modules:
        for is_daemon in (False, True):
            sizes = {}
            for processes, groups in ((1, 1), (5, 1), (1, 9)) if is_daemon else ((1, 1), (1, 9)):
                for _ in range(3):
                    server = ModWSGI("%s %s" % (name, is_daemon), few(options, processes), module, is_daemon, home, groups)
                    server.start()
                    try:
                        for index in range(1, groups):
                            url = "http://127.0.0.1:%d/group%d/hello" % (server.port, index)
                            urllib.request.urlopen(url, timeout=10).read()
                        # Every worker has answered before it is measured.
                        ask(server)
                        sizes.setdefault((processes, groups), []).append(server.memory())
                    finally:
                        server.stop()
            size = {key: statistics.median(values) for key, values in sizes.items()}
            worker = "%.1f" % ((size[5, 1] - size[1, 1]) / 4) if is_daemon else "–"
            print("| %s | %s | %s | %.1f |" % (
                name, "daemon" if is_daemon else "embedded", worker, (size[1, 9] - size[1, 1]) / 8), flush=True)
    many_groups(modules, options)


def ask(server):
    subprocess.run(["wrk", "-t1", "-c16", "-d1s", server.url("hello")], stdout=subprocess.DEVNULL, check=True)


def many_groups(modules, options, count=50):
    """Process groups that have nothing to do, each after one request."""
    print("\n## %d idle process groups of one process and five threads\n" % count)
    print("| module | until all have answered s | until all have ended s | PSS MiB per group |")
    print("| --- | ---: | ---: | ---: |")
    for name, module, home in modules:
        begun, ended, sizes = [], [], []
        for _ in range(3):
            size = {}
            for groups in (0, count):
                server = ManyGroups("%s groups" % name, few(options, 1), module, home, groups)
                before = time.monotonic()
                server.start()
                try:
                    server.ask_all()
                    taken = time.monotonic() - before
                    size[groups] = server.memory()
                    family = server.pids()
                finally:
                    before = time.monotonic()
                    server.stop()
                while any(os.path.exists("/proc/%d" % pid) for pid in family) and time.monotonic() < before + 30:
                    time.sleep(0.005)
                if groups:
                    begun.append(taken)
                    ended.append(time.monotonic() - before)
            sizes.append((size[count] - size[0]) / count)
        print("| %s | %.1f | %.1f | %.1f |" % (
            name, statistics.median(begun), statistics.median(ended), statistics.median(sizes)), flush=True)
