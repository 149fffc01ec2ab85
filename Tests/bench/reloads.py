#!/usr/bin/env python3
"""What reloading one of three applications in a process costs, again and again, while all three are asked: lost requests,
memory, and what the other two notice.  What `make bench-reloads` runs.

Each reload is a change of the script, and over when an answer came from the new code.  Memory is the resident size of the
process; its slope is that of a line through what was seen after the first fifty reloads (least squares).

Usage: reloads.py [--python /path/to/python3.X] [--reloads 1000] [--pause 0] [--rate 100] [--modes embedded,daemon] [--own-gil]

They follow each other at once, or after so many seconds' pause.

The environment's WSGI_MODULE names the module, with an engine for that Python beside it; without it, it is what `make all` has
made.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "integration"), os.path.dirname(HERE)]
from httpd_env import PYTHON, Httpd, wait_until  # noqa: E402
from run import reachable_copy  # noqa: E402
from swarm import Swarm  # noqa: E402

# Modules of Python, and extensions that are initialised in several phases.
APPLICATION = """
import html, json, logging, os, string, time, urllib.parse, _json, _struct
import parts.values
VERSION, STARTED = %d, time.time_ns()
DATA = [parts.values.Value(number) for number in range(20000)]
def application(environ, start_response):
    body = b'%%d %%d %%d' %% (VERSION, os.getpid(), STARTED)
    start_response('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', str(len(body)))])
    return [body]
"""
VALUES = """
class Value:
    def __init__(self, number):
        self.number, self.own = number, self
"""
CONF = {"daemon": "WSGIDaemonProcess site processes=1 threads=10 reload=interpreter python-path={apps}\nWSGIProcessGroup site\n",
        "embedded": "WSGIReloadMechanism Interpreter\nWSGIPythonPath {apps}\n"}
NAMES = ("one", "two", "three")
WARM_UP = 50


def write(server, name, version):
    path = os.path.join(server.apps, name + ".wsgi")
    with open(path + ".new", "w") as script:
        script.write(APPLICATION % version)
    os.replace(path + ".new", path)


def resident(pid):
    """Bytes."""
    with open("/proc/%d/statm" % pid) as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def slope(points):
    """Of the line through points that fits best."""
    mean = [sum(values) / len(points) for values in zip(*points)]
    above = sum((x - mean[0]) * (y - mean[1]) for x, y in points)
    return above / sum((x - mean[0]) ** 2 for x, _ in points)


class Load:
    """Each application is asked a third of the requests."""

    def __init__(self, server, rate):
        self.swarms = {name: Swarm(server.port, 4, "/" + name, rate=rate / len(NAMES)) for name in NAMES}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for swarm in self.swarms.values():
            swarm.stop()

    @property
    def count(self):
        return sum(len(swarm.times) for swarm in self.swarms.values())

    @property
    def lost(self):
        return sum(swarm.lost for swarm in self.swarms.values())

    def neighbours(self):
        """Their p99, in milliseconds."""
        times = sorted(time for name in NAMES[1:] for time in self.swarms[name].times)
        return 1e3 * times[int(len(times) * 0.99)]


def measure(mode, reloads, pause, rate, own_gil):
    alias = "WSGIScriptAlias /%s {apps}/%s.wsgi application-group=%s\n"
    conf = CONF[mode] + "WSGIPerInterpreterGIL %s\n" % ("On" if own_gil else "Off")
    conf += "".join(alias % (name, name, name) for name in NAMES)
    server = Httpd(conf, name="reloads", threads=25, log_level="warn")
    os.mkdir(os.path.join(server.apps, "parts"))
    with open(os.path.join(server.apps, "parts", "values.py"), "w") as module:
        module.write(VALUES)
    for name in NAMES:
        write(server, name, 0)
    with server:
        before = {name: server.get("/" + name).text for name in NAMES}
        pid = int(before["one"].split()[1])
        with Load(server, rate) as calm:
            wait_until(lambda: calm.count >= 20 * rate, "answers", 600)
        memory = []
        with Load(server, rate) as load:
            began = time.monotonic()
            for version in range(1, reloads + 1):
                write(server, "one", version)
                wait_until(lambda: server.get("/one").text.startswith("%d " % version), server.story, 60)
                memory.append((version, resident(pid)))
                time.sleep(pause)
            seconds = time.monotonic() - began
            wait_until(lambda: load.count >= 20 * rate, "answers", 600)
        after = {name: server.get("/" + name).text for name in NAMES}
        assert all(after[name] == before[name] for name in NAMES[1:]), "another application has been loaded anew"
        story = server.log.lines(r"wsgi:(warn|error|crit|alert|emerg)\]")
    settled = memory[min(WARM_UP, len(memory) // 2):]
    each = 1e3 * (seconds / reloads - pause)
    print("| %d.%d | %s | %d | %.0f | %d of %d | %.1f | %.1f | %.1f | %.1f, %.1f |" % (
        *PYTHON, mode, reloads, each, calm.lost + load.lost, calm.count + load.count, settled[0][1] / 2**20,
        memory[-1][1] / 2**20, slope(settled) / 2**10, calm.neighbours(), load.neighbours()), flush=True)
    for line in story[:5]:
        print(line)


def with_python(program, arguments):
    """Runs this program again, for another Python."""
    version, prefix = subprocess.check_output(
        [program, "-c", "import sys; print('%d.%d' % sys.version_info[:2], sys.base_prefix)"], text=True).split()
    if version == "%d.%d" % PYTHON:
        return None
    with tempfile.TemporaryDirectory(prefix="bench-python-") as directory:
        os.chmod(directory, 0o755)
        home = reachable_copy(prefix, directory)
        environment = dict(os.environ, WSGI_TEST_PYTHON_HOME=home, LD_LIBRARY_PATH=os.path.join(home, "lib"))
        return subprocess.call([sys.executable, os.path.abspath(__file__)] + arguments, env=environment)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--python", default=sys.executable)
    options.add_argument("--reloads", type=int, default=1000)
    options.add_argument("--pause", type=float, default=0)
    options.add_argument("--rate", type=int, default=100)
    options.add_argument("--modes", default="embedded,daemon")
    options.add_argument("--own-gil", action="store_true", help="each application has a GIL of its own")
    options = options.parse_args()
    code = with_python(options.python, sys.argv[1:]) if "WSGI_TEST_PYTHON_HOME" not in os.environ else None
    if code is not None:
        return code
    print("Three applications of a process, %s, %d requests/s, %d processors\n" % (
        "each with its own GIL" if options.own_gil else "one GIL", options.rate, os.cpu_count()))
    print("| Python | mode | reloads | ms each | lost requests | MB after %d | MB at the end | KB a reload | neighbours' p99 "
          "before and during, ms |" % WARM_UP)
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |", flush=True)
    for mode in options.modes.split(","):
        measure(mode, options.reloads, options.pause, options.rate, options.own_gil)


if __name__ == "__main__":
    sys.exit(main())
