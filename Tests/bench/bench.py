#!/usr/bin/env python3
"""Measures mod_wsgi side by side with other servers: what `make bench` runs.

All servers of a comparison run at once, and are asked in turn, round after round, so that a ratio between two of them
survives a noisy machine; absolute figures do not.  Figures are medians over the rounds; a ratio is the median of the ratios
within a round.

Usage: bench.py --module mod_wsgi.so [--servers a,b] [--loads a,b] [--rounds 5] [--seconds 2] [--base "6.1.1 embedded"]
                [--density] [--starts 15] [--json FILE] [--list]
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
from density import density  # noqa: E402
from machine import describe, load_now  # noqa: E402
from servers import all_servers  # noqa: E402
from summary import show  # noqa: E402
from workloads import WORKLOADS  # noqa: E402

ENVIRONMENTS = os.path.join(ROOT, ".build-bench")
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}
# Static files have no application that could compute, wait or take an upload.
STATIC_LOADS = {"hello", "one connection", "256 connections", "no keep-alive", "page 30 KB", "file 10 MB"}

# What is measured of servers that are there for orientation only, so that a whole run takes a quarter of an hour.
PEER_LOADS = {"hello", "page 30 KB"}
PEERS = {"gunicorn behind httpd", "gunicorn", "granian"}


def environment(name, packages):
    """A virtual environment of its own for a competitor; None, with the reason, where it cannot be made."""
    home = os.path.join(ENVIRONMENTS, name)
    if not os.path.exists(os.path.join(home, ".made")):
        print("Installing %s" % ", ".join(packages), flush=True)
        subprocess.check_call([sys.executable, "-m", "venv", "--clear", home])
        done = subprocess.run([os.path.join(home, "bin", "pip"), "install", "-q", "--disable-pip-version-check", *packages],
                              capture_output=True, text=True)
        if done.returncode:
            print("%s cannot be measured: %s" % (name, done.stderr.strip().split("\n")[-1]))
            return None
        open(os.path.join(home, ".made"), "w").close()
    return home


def find_stock(home):
    said = subprocess.run([os.path.join(home, "bin", "mod_wsgi-express"), "module-config"], capture_output=True, text=True).stdout
    return re.search(r'LoadModule wsgi_module "([^"]+)"', said).group(1)


# MARK: measuring

def measure(server, workload, seconds):
    command = ["wrk", "-t1", "-c%d" % workload.connections, "-d%ds" % seconds, "--latency", "--timeout", "20s"]
    if not workload.keeps:
        command += ["-H", "Connection: close"]
    if workload.body:
        script = os.path.join(server.root, "body.lua")
        with open(script, "w") as lua:
            lua.write('wrk.method = "POST"\nwrk.body = string.rep("x", %d)\n' % workload.body)
        command += ["-s", script]
    before = server.cpu_seconds()
    said = subprocess.run(command + [server.url(workload.path)], capture_output=True, text=True).stdout
    spent = server.cpu_seconds() - before
    count = int(re.search(r"(\d+) requests in", said).group(1))
    return {
        "rate": float(re.search(r"Requests/sec:\s+([\d.]+)", said).group(1)),
        "p50": quantile(said, 50), "p99": quantile(said, 99), "cpu": 1e6 * spent / max(count, 1),
        "failures": sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", said)))
        + sum(map(int, re.findall(r"(?:connect|read|write|timeout) (\d+)", said))),
    }


def quantile(said, percent):
    """Milliseconds."""
    match = re.search(r"^\s+%d%%\s+([\d.]+)(us|ms|s|m)\s*$" % percent, said, re.M)
    return 1e3 * float(match.group(1)) * SECONDS[match.group(2)] if match else float("nan")


def compare(servers, name, options):
    workload = WORKLOADS[name]
    servers = [server for server in servers if (server.name != "static file" or name in STATIC_LOADS)
               and (server.name not in PEERS or name in PEER_LOADS or options.servers)]
    if not servers:
        return {}
    rounds = {server.name: [] for server in servers}
    for server in servers:
        measure(server, workload, 1)
    for _ in range(options.rounds):
        for server in servers:
            rounds[server.name].append(measure(server, workload, options.seconds))
    base = options.base if options.base in rounds else servers[0].name
    print("\n## %s (%d connections)\n" % (name, workload.connections))
    print("| server | requests/s | × %s | p50 ms | p99 ms | CPU µs | PSS MiB | failures |" % base)
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for server in servers:
        mine, theirs = rounds[server.name], rounds[base]

        def middle(key):
            return statistics.median(one[key] for one in mine)
        ratio = statistics.median(a["rate"] / b["rate"] for a, b in zip(mine, theirs) if b["rate"]) if theirs else 0
        print("| %s | %.0f | %.2f | %.2f | %.2f | %.0f | %.0f | %d |" % (
            server.name, middle("rate"), ratio, middle("p50"), middle("p99"), middle("cpu"), server.memory(),
            sum(one["failures"] for one in mine)), flush=True)
    return rounds


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--module", required=True)
    options.add_argument("--stock", help="another mod_wsgi.so in place of PyPI's mod_wsgi==6.1.1")
    options.add_argument("--stock-home")
    options.add_argument("--peers", help="a virtual environment with gunicorn and granian")
    options.add_argument("--floor", help="the directory of mod_floor.so and floor_worker")
    options.add_argument("--servers")
    options.add_argument("--loads")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=2)
    options.add_argument("--processes", type=int, default=1)
    options.add_argument("--base", default="6.1.1 embedded")
    options.add_argument("--density", action="store_true", help="only start-up time and memory")
    options.add_argument("--starts", type=int, default=15, help="of each kind, to measure the start-up time")
    options.add_argument("--json")
    options.add_argument("--list", action="store_true", help="name the servers and workloads")
    options = options.parse_args()
    options.module = os.path.abspath(options.module)
    if not options.stock:
        options.stock_home = environment("stock", ["mod_wsgi==6.1.1"])
        options.stock = find_stock(options.stock_home) if options.stock_home else None
    if not options.peers and not options.density:
        options.peers = environment("peers", ["gunicorn", "granian"])
    with tempfile.TemporaryDirectory(prefix="bench-file-") as directory:
        os.chmod(directory, 0o755)
        options.file = os.path.join(directory, "file")
        with open(options.file, "wb") as out:
            out.write(os.urandom(10 << 20))
        known = all_servers(options)
        if options.list:
            print("servers: %s\nworkloads: %s" % (", ".join(known), ", ".join(WORKLOADS)))
            return
        describe()
        if options.density:
            density(options)
            return
        wanted = options.servers.split(",") if options.servers else list(known)
        loads = options.loads.split(",") if options.loads else list(WORKLOADS)
        for name in wanted + loads:
            if name not in known and name not in WORKLOADS:
                raise SystemExit("there is no '%s'; --list names what there is" % name)
        results = {}
        for threads in sorted({WORKLOADS[load].threads for load in loads}):
            running = []
            try:
                for name in wanted:
                    server = known[name]()
                    server.threads = threads
                    running.append(server)
                    server.start()
                for load in loads:
                    if WORKLOADS[load].threads == threads:
                        results[load] = compare(running, load, options)
            finally:
                for server in running:
                    if server.processes:
                        server.stop()
        show(results)
        print("\nAt the end: " + load_now())
        if options.json:
            with open(options.json, "w") as out:
                json.dump(results, out, indent=1)


if __name__ == "__main__":
    main()
