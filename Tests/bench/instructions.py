#!/usr/bin/env python3
"""Counts the machine instructions of one request, with valgrind's callgrind: what `make bench-instructions` runs.

A figure that neither the machine's load nor its speed touches, for later changes to be compared with.  Each server runs alone
under callgrind and is asked over one connection that is kept.  Counters are written between requests, so that the difference
between two numbers of requests, divided by their difference, has neither start-up nor warm-up in it.

Usage: instructions.py --module mod_wsgi.so [--module another.so:its-python-home] [--floor DIRECTORY] [--load hello]
                       [--mode embedded|daemon] [--requests 1000] [--top 30]
"""
import argparse
import collections
import contextlib
import http.client
import os
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from servers import Floor, ModWSGI  # noqa: E402
from workloads import WORKLOADS  # noqa: E402

WARM_UP = 200
# Requests of the shorter of the two rounds.
FEW = 100
# What callgrind writes its counters at: the application's `mark` calls it, and so does mod_status.
MARK = "getloadavg"


class Counted:
    """A server all of whose processes run under callgrind."""

    patience = 120
    counts = None

    def run(self, command, **environment):
        if self.counts is None:
            self.counts = os.path.join(self.root, "counts")
            os.mkdir(self.counts)
            for path in self.root, self.counts:
                os.chmod(path, 0o777)
        # Who changes its user could not write its counters beside those of its parent.
        user = ["setpriv", "--reuid=www-data", "--regid=www-data", "--clear-groups"] if os.getuid() == 0 else []
        super().run([*user, "valgrind", "--tool=callgrind", "--trace-children=yes", "--quiet", "--vgdb=no",
                     "--callgrind-out-file=%s/%%p" % self.counts, "--dump-before=" + MARK, *command],
                    **environment)

    def command(self, conf):
        # One process that serves, so that there is no other that gets some of the requests.
        return [*super().command(conf), "-X"]

    def modules(self):
        return [*super().modules(), "status"]

    def conf(self):
        return super().conf() + "\nExtendedStatus Off\n<Location /mark>\nSetHandler server-status\n</Location>"

    def rounds(self):
        """{pid: [file of each round]}, oldest first; what came before the first mark is left out."""
        found = {}
        for name in os.listdir(self.counts):
            pid, _, number = name.partition(".")
            if number.isdigit():
                found.setdefault(int(pid), {})[int(number)] = os.path.join(self.counts, name)
        return {pid: [files[number] for number in sorted(files)][1:] for pid, files in found.items()}


class CountedModule(Counted, ModWSGI):
    pass


class CountedFloor(Counted, Floor):
    pass


# Long enough for httpd, in seconds, to have put the connection aside before the next request: whether it finds that at once is
# chance, and costs a tenth.
PAUSE = 0.005


def ask(server, rounds, pause=0):
    """Asks for each round's path as often as it says, over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    for method, path, body, count in rounds:
        for _ in range(count):
            connection.request(method, path, body)
            answer = connection.getresponse()
            answer.read()
            time.sleep(pause)
            if answer.status != 200:
                raise SystemExit("%s answers %d to %s %s:\n%s" % (server.name, answer.status, method, path, server.story()))
    connection.close()


def address(server, workload):
    return re.sub("^.*?//[^/]*", "", server.url(workload.path))


def total(path):
    with open(path) as out:
        return int(re.search(r"^(?:totals|summary): (\d+)", out.read(), re.M).group(1))


def functions(path):
    """Instructions by function, without what it calls."""
    command = ["callgrind_annotate", "--threshold=100", "--show-percs=no", path]
    said = subprocess.run(command, capture_output=True, text=True).stdout
    found = collections.Counter()
    for line in said.split("\n"):
        match = re.match(r"\s*([\d,]+)\s+\S*?:(\S.*)$", line)
        if match:
            found[re.sub(r"\s+\[\S*/", "  [", match.group(2))] += int(match.group(1).replace(",", ""))
    return found


def demangle(name):
    symbol = name.split(" ")[0].split("'")[0]
    if not symbol.startswith("$s"):
        return name
    said = subprocess.run(["swift", "demangle", "--compact", "--simplified", symbol], capture_output=True, text=True)
    return said.stdout.strip() + name[len(symbol):] if said.returncode == 0 else name


def count(server, options):
    workload = WORKLOADS[options.load]
    body = b"x" * workload.body or None
    try:
        server.start()
        url = address(server, workload)
        marks = [("GET", url[:url.rindex("/")] + "/mark", None, 1)]
        if server.is_daemon:
            marks.append(("GET", "/mark", None, 1))
        rounds = []
        for number in WARM_UP, FEW, FEW + options.requests:
            rounds += [("POST" if body else "GET", url, body, number), *marks]
        ask(server, rounds, PAUSE)
        parts = {"httpd": 0, "worker": 0}
        tops = []
        for pid, (few, many) in server.rounds().items():
            part = "httpd" if pid == server.processes[-1].pid else "worker"
            parts[part] += (total(many) - total(few)) / options.requests
            if options.top:
                less, whole = functions(few), total(many)
                # What has not returned yet is listed with all that it has called.
                tops.append((part, sorted((((number - less[name]) / options.requests, name)
                                           for name, number in functions(many).items() if number < whole / 2),
                                          reverse=True)[:options.top]))
        print("| %s | %s | %s |" % (server.name, " | ".join("{:,.0f}".format(part) if part else "–" for part in parts.values()),
                                    "{:,.0f}".format(sum(parts.values()))), flush=True)
        for part, top in tops:
            print("\n%s, %s:" % (server.name, part))
            for number, name in top:
                print("%9.1f  %s" % (number, demangle(name)))
            print(flush=True)
    finally:
        server.stop()


def servers(options, module_class, floor_class):
    modes = [options.mode] if options.mode else ["embedded", "daemon"]
    for index, module in enumerate(options.module):
        module, _, home = module.partition(":")
        for mode in modes:
            name = "%s %s" % ("ours" if index == 0 else os.path.basename(module).split(".")[0], mode)
            yield module_class(name, options, os.path.abspath(module), mode == "daemon", home or None)
    for mode in modes if options.floor else []:
        yield floor_class("C floor " + mode, options, mode == "daemon")


def counting_options(description, requests):
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--module", action="append", required=True)
    options.add_argument("--floor")
    options.add_argument("--load", default="hello")
    options.add_argument("--mode", choices=["embedded", "daemon"])
    options.add_argument("--requests", type=int, default=requests)
    return options


@contextlib.contextmanager
def workplace(options):
    """A directory with the file that the file wrapper's workload sends; completes the options that servers need."""
    options.processes = 1
    with tempfile.TemporaryDirectory(prefix="bench-file-") as directory:
        os.chmod(directory, 0o755)
        options.file = os.path.join(directory, "file")
        with open(options.file, "wb") as out:
            out.write(os.urandom(10 << 20))
        yield directory


def main():
    options = counting_options(__doc__, 1000)
    options.add_argument("--top", type=int, nargs="?", const=30, default=0)
    options = options.parse_args()
    with workplace(options):
        print("Instructions of one request, '%s'\n\n| server | httpd | worker | sum |\n| --- | ---: | ---: | ---: |"
              % options.load, flush=True)
        for server in servers(options, CountedModule, CountedFloor):
            count(server, options)


if __name__ == "__main__":
    main()
