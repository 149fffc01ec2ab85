#!/usr/bin/env python3
"""What WSGIPerInterpreterGIL is worth: two application groups of one process that compute at the same time, with it and without.

What `make bench-own-gil PYTHON=/path/to/python3.12` runs.  Both servers run at once and are asked in turn; the speed-up is the
median of the ratios within a round.

Usage: own_gil.py --module mod_wsgi.so --python /path/to/python3.12 [--rounds 5] [--seconds 2]
"""
import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.dirname(HERE))
from run import reachable_copy  # noqa: E402
from servers import ModWSGI  # noqa: E402

GROUPS = 2


class Shared(ModWSGI):
    """Two sub-interpreters, which share the GIL or do not."""

    def __init__(self, name, options, is_daemon, has_own):
        # The group that a server of these always has is that of the main interpreter.
        super().__init__(name, options, options.module, is_daemon, options.home, GROUPS + 1)
        self.has_own = has_own

    def conf(self):
        return "%s\nWSGIPerInterpreterGIL %s" % (super().conf(), "On" if self.has_own else "Off")

    def run(self, command, **environment):
        super().run(command, LD_LIBRARY_PATH=self.options.libraries, **environment)


def rate(server, groups, seconds):
    """Requests a second of all groups together."""
    clients = [subprocess.Popen(["wrk", "-t1", "-c2", "-d%ds" % seconds,
                                 "http://127.0.0.1:%d/group%d/compute" % (server.port, group)],
                                stdout=subprocess.PIPE, text=True) for group in groups]
    said = [client.communicate()[0] for client in clients]
    if any("Non-2xx" in one for one in said):
        raise SystemExit("%s: requests failed\n%s" % (server.name, server.story()))
    return sum(float(re.search(r"Requests/sec:\s+([\d.]+)", one).group(1)) for one in said)


def compare(options, is_daemon):
    mode = "daemon" if is_daemon else "embedded"
    servers = {has_own: Shared("%s, own GIL %s" % (mode, has_own), options, is_daemon, has_own) for has_own in (False, True)}
    found = {has_own: [] for has_own in servers}
    try:
        for server in servers.values():
            server.start()
            rate(server, range(1, GROUPS + 1), 1)
        for _ in range(options.rounds):
            for has_own, server in servers.items():
                found[has_own].append(rate(server, range(1, GROUPS + 1), options.seconds))
    finally:
        for server in servers.values():
            if server.processes:
                server.stop()
    print("| %s | %.0f | %.0f | %.2f × |" % (
        mode, statistics.median(found[False]), statistics.median(found[True]),
        statistics.median(own / shared for own, shared in zip(found[True], found[False]))), flush=True)


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--module", required=True)
    options.add_argument("--python", required=True)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=2)
    options = options.parse_args()
    options.module, options.processes, options.file = os.path.abspath(options.module), 1, ""
    version, prefix = subprocess.check_output(
        [options.python, "-c", "import sys; print('%d.%d' % sys.version_info[:2], sys.base_prefix)"], text=True).split()
    if tuple(map(int, version.split("."))) < (3, 12):
        raise SystemExit("%s is Python %s; a GIL for each interpreter needs 3.12 or newer" % (options.python, version))
    with tempfile.TemporaryDirectory(prefix="bench-python-") as directory:
        os.chmod(directory, 0o755)
        options.home = reachable_copy(prefix, directory)
        options.libraries = os.path.join(options.home, "lib")
        print("Python %s, %d processors, %d application groups that compute\n" % (version, os.cpu_count(), GROUPS))
        print("| mode | one GIL: requests/s | own GILs: requests/s | speed-up |\n| --- | ---: | ---: | ---: |", flush=True)
        for is_daemon in False, True:
            compare(options, is_daemon)


if __name__ == "__main__":
    main()
