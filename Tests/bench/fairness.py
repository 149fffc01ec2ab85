#!/usr/bin/env python3
"""What clients cost each other: those who compute, those who ask for little beside them, be it of another application group
of the process, and those who send and read slowly.  The same loads on mod_wsgi of this tree and on 6.1.1, in turn, round after
round.  What `make bench-fairness` runs.

Figures are medians over the rounds.

Usage: fairness.py --module mod_wsgi.so [--stock mod_wsgi.so] [--loads computing,mixed,groups,slow] [--rounds 5] [--seconds 3]
"""
import argparse
import asyncio
import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from bench import environment, find_stock, measure, quantile  # noqa: E402
from machine import describe  # noqa: E402
from servers import ModWSGI  # noqa: E402
from workloads import WORKLOADS  # noqa: E402

SLOW = 50
# A slow client sends or reads so many bytes at a time, and as often as makes 2 KB a second.
PIECE, PAUSE = 205, 0.1
BODY = 40_000


class Rows:
    """A table with a row for each server, printed when all rounds are done."""

    def __init__(self, title, columns):
        self.title, self.columns, self.found = title, columns, {}

    def add(self, server, *figures):
        self.found.setdefault(server, []).append(figures)

    def show(self):
        print("\n## %s\n\n| server | %s |\n| --- |%s" % (self.title, " | ".join(self.columns), " ---: |" * len(self.columns)))
        for server, rounds in self.found.items():
            middle = [statistics.median(one[index] for one in rounds) for index in range(len(self.columns))]
            print("| %s | %s |" % (server, " | ".join("%.1f" % figure for figure in middle)), flush=True)


def wrk(server, path, connections, seconds):
    return subprocess.Popen(["wrk", "-t1", "-c%d" % connections, "-d%ds" % seconds, "--latency", "--timeout", "20s",
                             server.url(path)], stdout=subprocess.PIPE, text=True)


# MARK: slow clients

async def slow_sender(server, until):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(b"POST /app/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % BODY)
        for _ in range(0, BODY, PIECE):
            if time.monotonic() > until:
                return None
            writer.write(b"x" * PIECE)
            await writer.drain()
            await asyncio.sleep(PAUSE)
        return (await reader.readline()).startswith(b"HTTP/1.1 200")
    except OSError:
        return False
    finally:
        writer.close()


async def slow_reader(server, until):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=4096)
    try:
        writer.write(b"GET /app/large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        if not (await reader.readline()).startswith(b"HTTP/1.1 200"):
            return False
        while time.monotonic() < until:
            if not await reader.read(PIECE):
                return False
            await asyncio.sleep(PAUSE)
        return True
    except OSError:
        return False
    finally:
        writer.close()


def slow_clients(server, seconds, results):
    async def all_of_them():
        until = time.monotonic() + seconds
        tasks = [kind(server, until) for kind in (slow_sender, slow_reader) for _ in range(SLOW)]
        results.extend(await asyncio.gather(*tasks, return_exceptions=True))
    asyncio.run(all_of_them())


def normal_client(server, seconds):
    """Asks twenty times a second; the times of the answers in milliseconds, and how many failed."""
    times, failed, end = [], 0, time.monotonic() + seconds
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    while time.monotonic() < end:
        begun = time.monotonic()
        try:
            connection.request("GET", "/app/hello")
            answer = connection.getresponse()
            answer.read()
            failed += answer.status != 200
        except (OSError, http.client.HTTPException):
            failed += 1
            connection.close()
        times.append(1e3 * (time.monotonic() - begun))
        time.sleep(max(0, 0.05 - (time.monotonic() - begun)))
    connection.close()
    return sorted(times), failed


def p99(times):
    return times[min(len(times) - 1, int(len(times) * 0.99))]


# MARK: loads

def computing(servers, options):
    rows = Rows("16 clients that compute", ["requests/s", "p50 ms", "p99 ms"])
    for number in range(options.rounds + 1):
        for server in servers:
            found = measure(server, WORKLOADS["computing"], options.seconds if number else 1)
            if number:
                rows.add(server.name, found["rate"], found["p50"], found["p99"])
    rows.show()


def mixed(servers, options):
    rows = Rows("12 clients that ask for little, beside 4 that compute", ["little: p50 ms", "p99 ms", "computing: p99 ms"])
    for number in range(options.rounds + 1):
        for server in servers:
            busy = wrk(server, "compute", 4, options.seconds)
            quick = wrk(server, "hello", 12, options.seconds)
            said, others = quick.communicate()[0], busy.communicate()[0]
            if number:
                rows.add(server.name, quantile(said, 50), quantile(said, 99), quantile(others, 99))
    rows.show()


def groups(servers, options):
    rows = Rows("4 clients that ask one application group for little, beside one client of another in the same process, which "
                "computes for 200 ms at a time", ["little: p50 ms", "p99 ms"])
    for number in range(options.rounds + 1):
        for server in servers:
            busy = wrk(server, "report", 1, options.seconds + 1)
            server.prefix = "/group1"
            quick = wrk(server, "hello", 4, options.seconds)
            server.prefix = "/app"
            said = quick.communicate()[0]
            busy.communicate()
            if number:
                rows.add(server.name, quantile(said, 50), quantile(said, 99))
    rows.show()


def slow(servers, options):
    rows = Rows("One client beside 50 that send and 50 that read 2 KB a second",
                ["calm: p99 ms", "beside them: p99 ms", "failed of its requests", "failed of the slow"])
    for _ in range(options.rounds):
        for server in servers:
            calm, _ = normal_client(server, options.seconds)
            results = []
            others = threading.Thread(target=slow_clients, args=(server, 8 * options.seconds, results))
            others.start()
            times, failed = normal_client(server, 8 * options.seconds)
            others.join()
            lost = sum(one is not None and one is not True for one in results)
            rows.add(server.name, p99(calm), p99(times), failed, lost)
    rows.show()


LOADS = {"computing": (computing, 1, 25), "mixed": (mixed, 1, 25), "groups": (groups, 1, 25), "slow": (slow, 2, 400)}


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--module", required=True)
    options.add_argument("--stock", help="another mod_wsgi.so in place of PyPI's mod_wsgi==6.1.1")
    options.add_argument("--loads", default=",".join(LOADS))
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=3)
    options = options.parse_args()
    options.module = os.path.abspath(options.module)
    home = None
    if not options.stock:
        home = environment("stock", ["mod_wsgi==6.1.1"])
        options.stock = find_stock(home) if home else None
    describe()
    with tempfile.NamedTemporaryFile(prefix="bench-file-") as file:
        options.file = file.name
        for load in options.loads.split(","):
            run, processes, threads = LOADS[load]
            options.processes = processes
            servers = []
            try:
                for is_daemon in (True,) if load == "slow" else (False, True):
                    mode = "daemon" if is_daemon else "embedded"
                    servers.append(ModWSGI("ours " + mode, options, options.module, is_daemon, None, 2))
                    if options.stock:
                        servers.append(ModWSGI("6.1.1 " + mode, options, options.stock, is_daemon, home, 2))
                for server in servers:
                    server.threads = threads
                    server.prefix = "/app"
                    server.start()
                run(servers, options)
            finally:
                for server in servers:
                    if server.processes:
                        server.stop()


if __name__ == "__main__":
    main()
