#!/usr/bin/env python3
"""The cost of declared process groups before they are used, and how long a sleeping one takes to answer: what
`make bench-hosting` runs.

One httpd is started with many groups, of which none has a process (`processes=0-1`), and one with a single group.  6.1.1 has no
groups without processes: it is started with fewer groups, of one process each.

Usage: hosting.py [--groups 1000] [--stock-groups 50] [--stock mod_wsgi.so] [--rounds 20]

Memory is the sum of the proportional set sizes (PSS) of httpd's parent and children, and of the supervisor or the daemon
processes; descriptors are those of the process that has most.  The environment's WSGI_MODULE names the module; without it, it is
what `make all` has made.
"""
import argparse
import os
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))
from bench import environment, find_stock  # noqa: E402
from httpd_env import Httpd, wait_until  # noqa: E402
from processes import descendants  # noqa: E402

GROUP = """WSGIDaemonProcess g%d %s threads=5
WSGIScriptAlias /g%d {root}/hello.py process-group=g%d application-group=%%{GLOBAL}
"""
APPLICATION = """def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]
"""


def memory(server):
    """The bytes of httpd's family."""
    total = 0
    for pid in [server.pid] + descendants(server.pid):
        try:
            with open("/proc/%d/smaps_rollup" % pid) as file:
                total += sum(int(line.split()[1]) << 10 for line in file if line.startswith("Pss:"))
        except OSError:
            continue
    return total


def descriptors(server):
    """The most that a process of the family has."""
    return max(len(os.listdir("/proc/%d/fd" % pid)) for pid in [server.pid] + descendants(server.pid))


def answer(server, number):
    began = time.monotonic()
    response = server.get("/g%d" % number)
    assert response.status == 200, response
    return time.monotonic() - began


def measure(name, module, groups, options, rounds):
    conf = "WSGISocketPrefix {root}/wsgi\n" + "".join(GROUP % (one, options, one, one) for one in range(groups))
    server = Httpd(conf, name="hosting", module=module, processes=1, log_level="error")
    with open(os.path.join(server.root, "hello.py"), "w") as script:
        script.write(APPLICATION)
    sleeps = options.startswith("processes=0-")
    began = time.monotonic()
    with server:
        if sleeps:
            # The first request brings a process, which is not part of what sleeps.
            idle, files = memory(server), descriptors(server)
        first = answer(server, 0)
        started = time.monotonic() - began
        if not sleeps:
            wait_until(lambda: len(descendants(server.pid)) > groups, "all processes", deadline=300)
            idle, files = memory(server), descriptors(server)
        # Each of another group, none of which has been asked before.
        sleeping = [answer(server, number) for number in range(1, min(rounds, groups - 1) + 1)] or [first]
        print("%-8s %6d  %-13s %10.2f s  %9.1f MB  %11d  %9.0f ms" % (
            name, groups, options, started, idle / 1e6, files, 1e3 * statistics.median(sleeping)), flush=True)
    return idle


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--stock", help="another mod_wsgi.so in place of PyPI's mod_wsgi==6.1.1")
    options.add_argument("--groups", type=int, default=1000)
    options.add_argument("--stock-groups", type=int, default=50)
    options.add_argument("--rounds", type=int, default=20)
    options = options.parse_args()
    stock = options.stock
    if not stock:
        home = environment("stock", ["mod_wsgi==6.1.1"])
        stock = find_stock(home) if home else None
    print("server   groups  option         first answer  memory, idle  descriptors  first answer of another group")
    one = measure("this", None, 1, "processes=0-1", options.rounds)
    many = measure("this", None, options.groups, "processes=0-1", options.rounds)
    print("         %d sleeping groups take %.1f MB more than one" % (options.groups, (many - one) / 1e6))
    measure("this", None, options.stock_groups, "processes=1", options.rounds)
    if stock:
        measure("6.1.1", stock, options.stock_groups, "processes=1", options.rounds)


if __name__ == "__main__":
    main()
