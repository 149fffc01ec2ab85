#!/usr/bin/env python3
"""Counts the system calls of one request with strace: what `make bench-syscalls` runs.

Usage: syscalls.py --module mod_wsgi.so [--module another.so:its-python-home] [--floor DIRECTORY] [--load hello]
                   [--mode embedded|daemon] [--requests 500] [--trace FILE]
"""
import collections
import os
import re
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from instructions import address, ask, counting_options, servers, workplace  # noqa: E402
from servers import Floor, ModWSGI  # noqa: E402
from workloads import WORKLOADS  # noqa: E402

WARM_UP = 100


def attached(server, path):
    """strace on all processes of the server."""
    pids = sorted(server.pids())
    tracer = subprocess.Popen(["strace", "-f", "-tt", "-T", "-o", path, *(word for pid in pids for word in ("-p", str(pid)))],
                              stderr=subprocess.PIPE, text=True)
    for _ in range(len(pids)):
        while "attached" not in (line := tracer.stderr.readline()):
            if not line:
                raise SystemExit("strace cannot attach to %s" % server.name)
    return tracer


def count(server, options, path):
    workload = WORKLOADS[options.load]
    try:
        server.start()
        request = ("POST" if workload.body else "GET", address(server, workload), b"x" * workload.body or None)
        ask(server, [(*request, WARM_UP)])
        tracer = attached(server, path)
        ask(server, [(*request, options.requests)])
        tracer.send_signal(signal.SIGINT)
        tracer.communicate()
        threads = {}
        for pid in server.pids():
            for thread in os.listdir("/proc/%d/task" % pid):
                threads[thread] = pid
        calls = {}
        with open(path) as trace:
            for line in trace:
                match = re.match(r"(\d+) +\S+ (\w+)\(", line)
                if match and match.group(1) in threads:
                    calls.setdefault(threads[match.group(1)], collections.Counter())[match.group(2)] += 1
        for pid, made in sorted(calls.items()):
            total = sum(made.values()) / options.requests
            if total < 0.5:
                continue
            with open("/proc/%d/comm" % pid) as name:
                part = name.read().strip()
            common = ["%s %.2g" % (name, number / options.requests) for name, number in made.most_common()
                      if number >= options.requests / 50]
            print("| %s | %s | %.1f | %s |" % (server.name, part, total, ", ".join(common)), flush=True)
    finally:
        server.stop()


def main():
    options = counting_options(__doc__, 500)
    options.add_argument("--trace", help="keep what strace wrote, of the last server")
    options = options.parse_args()
    with workplace(options) as directory:
        print("System calls of one request, '%s'\n\n| server | process | calls | which |\n| --- | --- | ---: | --- |"
              % options.load, flush=True)
        for server in servers(options, ModWSGI, Floor):
            count(server, options, options.trace or os.path.join(directory, "trace"))


if __name__ == "__main__":
    main()
