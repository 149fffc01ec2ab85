#!/usr/bin/env python3
"""What requests are lost to while daemon processes are replaced, and who waits while one group is overloaded: the same loads on
mod_wsgi of this tree and on 6.1.1, one after the other.  What `make bench-losses` runs.

A request has failed when its status is 500 or above, its connection was reset or closed within the answer or before the first
answer on it, or its body is not what the application sent.  A connection that httpd closes between two answers is none: the
request is asked again, as HTTP wants it.

Usage: compare_losses.py [--stock mod_wsgi.so] [--loads touch,graceful,kill,overload,shares] [--rate 200]

The environment's WSGI_MODULE names the module; without it, it is what `make all` has made.
"""
import argparse
import os
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))
from bench import environment, find_stock  # noqa: E402
from httpd_env import Httpd, wait_until  # noqa: E402
from swarm import Swarm  # noqa: E402

APPLICATION = """
import os, time

VERSION = %d

def application(environ, start_response):
    time.sleep(%g)
    body = b"%%d %%d" %% (os.getpid(), VERSION)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""
CONF = """
WSGISocketPrefix {root}/wsgi
WSGIDaemonProcess site %s
WSGIScriptAlias /site {apps}/app.wsgi process-group=site application-group=%%{GLOBAL}
WSGIDaemonProcess other threads=2
WSGIScriptAlias /other {apps}/other.wsgi process-group=other application-group=%%{GLOBAL}
"""


def write(server, version=0, seconds=0.0, name="app.wsgi"):
    path = os.path.join(server.apps, name)
    with open(path + ".new", "w") as script:
        script.write(APPLICATION % (version, seconds))
    os.replace(path + ".new", path)


def serve(module, options, seconds=0.0):
    server = Httpd(CONF % options, name="losses", module=module, threads=64, processes=1, log_level="error")
    write(server, seconds=seconds)
    write(server, name="other.wsgi")
    with open(os.path.join(server.docs, "static.txt"), "w") as file:
        file.write("static")
    server.expected_crashes = True
    return server


def is_answer(body):
    return len(body.split()) == 2


# MARK: what happens to the processes

def touch(server, load):
    for version in range(1, 21):
        write(server, version)
        wait_until(lambda: server.get("/site").text.endswith(" %d" % version), "version %d" % version)
        pause(load, 0.3)


def graceful(server, load):
    for _ in range(10):
        server.graceful()
        pause(load, 0.5)


def kill(server, load):
    for _ in range(6):
        pause(load, 2)
        answer = server.get("/site")
        if answer.status == 200:
            os.kill(int(answer.text.split()[0]), signal.SIGKILL)
    pause(load, 2)


def pause(load, seconds):
    """As long as it takes to answer so many seconds' worth of requests, and at least that long."""
    target, end = len(load.times) + load.rate * seconds * 0.5, time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= end and len(load.times) >= target, "more answers", 60)


LOADS = {"touch": ("20 touches", touch), "graceful": ("10 graceful restarts", graceful),
         "kill": ("kill -9 every 2 s, 6 times", kill)}


def losses(modules, names, rate):
    print("16 keep-alive connections, %d requests/s, two processes of eight threads\n" % rate)
    print("| what happens | module | requests | failed | asked again | longest answer ms |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for name in names:
        title, happen = LOADS[name]
        for label, module in modules:
            with serve(module, "processes=2 threads=8") as server:
                assert server.get("/site").status == 200
                with Swarm(server.port, 16, "/site", rate=rate, expect=is_answer) as load:
                    happen(server, load)
            answered = len(load.times) + len(load.failures)
            print("| %s | %s | %d | %d%s | %d | %.0f |" % (
                title, label, answered, load.lost, kinds(load), len(load.retried), 1e3 * max(load.times)), flush=True)


def kinds(load):
    """Of what sort the failures were."""
    found = ["%d × %d" % (count, status) for status, count in sorted(load.statuses.items()) if status >= 500]
    if load.failures:
        found.append("%d reset" % len(load.failures))
    if load.wrong:
        found.append("%d wrong" % len(load.wrong))
    return " (%s)" % ", ".join(found) if found else ""


# MARK: overload

def overload(modules):
    print("\n200 keep-alive connections that ask one process of two threads, whose requests take 5 ms each, for 10 s; httpd has"
          "\n64 threads.  Beside them 20 requests/s each for a static file and another group\n")
    print("| module | answered/s | refused | failed | static file p50, p99 ms | another group p50, p99 ms | of these failed |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for label, module in modules:
        with serve(module, "processes=1 threads=2", seconds=0.005) as server:
            assert server.get("/site").status == 200 and server.get("/other").status == 200
            with Swarm(server.port, 200, "/site", expect=is_answer) as crowd:
                wait_until(lambda: len(crowd.times) > 200, "load")
                with Swarm(server.port, 4, "/static.txt", rate=20, expect=lambda body: body == b"static") as files, \
                        Swarm(server.port, 4, "/other", rate=20, expect=is_answer) as others:
                    before, start = crowd.statuses[200], time.monotonic()
                    wait_until(lambda: time.monotonic() - start > 10, "10 s", 20)
                    rate = (crowd.statuses[200] - before) / (time.monotonic() - start)
        print("| %s | %.0f | %d | %d | %s | %s | %d |" % (
            label, rate, crowd.statuses[503], crowd.lost - crowd.statuses[503], quantiles(files), quantiles(others),
            files.lost + others.lost), flush=True)


# MARK: shares

SHARES = """
WSGISocketPrefix {root}/wsgi
WSGIDaemonProcess one threads=2
WSGIScriptAlias /one {apps}/slow.wsgi process-group=one application-group=%{GLOBAL}
WSGIDaemonProcess two threads=2
WSGIScriptAlias /two {apps}/slow.wsgi process-group=two application-group=%{GLOBAL}
WSGIDaemonProcess third threads=2
WSGIScriptAlias /third {apps}/app.wsgi process-group=third application-group=%{GLOBAL}
"""


def neighbours(server, seconds):
    """A static file and a third group, each asked by connections of their own."""
    with Swarm(server.port, 4, "/static.txt", rate=40, expect=lambda body: body == b"static") as files, \
            Swarm(server.port, 4, "/third", rate=40, expect=is_answer) as others:
        end = time.monotonic() + seconds
        wait_until(lambda: time.monotonic() > end, "%d s" % seconds, seconds + 10)
    return files, others


def shares(modules):
    print("\n100 keep-alive connections each ask two groups of two threads, whose requests take 1 s, for 15 s; httpd has 4"
          "\nchildren of 25 threads.  Beside them 40 requests/s each for a static file and a third group, as before that load\n")
    print("| module | static file, calm p50, p99 ms | loaded | third group, calm p50, p99 ms | loaded | of these failed |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for label, module in modules:
        server = Httpd(SHARES, name="shares", module=module, threads=25, processes=4, log_level="crit")
        write(server)
        write(server, seconds=1, name="slow.wsgi")
        with open(os.path.join(server.docs, "static.txt"), "w") as file:
            file.write("static")
        server.expected_crashes = True
        with server:
            assert all(server.get("/" + group).status == 200 for group in ("one", "two", "third"))
            calm = neighbours(server, 5)
            with Swarm(server.port, 100, "/one") as one, Swarm(server.port, 100, "/two") as two:
                start = time.monotonic()
                wait_until(lambda: time.monotonic() > start + 3, "load", 10)
                loaded = neighbours(server, 15)
                one.stop(120), two.stop(120)
        print("| %s | %s | %s | %s | %s | %d |" % (
            label, quantiles(calm[0]), quantiles(loaded[0]), quantiles(calm[1]), quantiles(loaded[1]),
            loaded[0].lost + loaded[1].lost), flush=True)


def quantiles(swarm):
    return "%.1f, %.0f" % (1e3 * swarm.quantile(0.5), 1e3 * swarm.quantile(0.99))


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--stock", help="another mod_wsgi.so in place of PyPI's mod_wsgi==6.1.1")
    options.add_argument("--loads", default="touch,graceful,kill,overload,shares")
    options.add_argument("--rate", type=int, default=200)
    options = options.parse_args()
    stock = options.stock
    if not stock:
        home = environment("stock", ["mod_wsgi==6.1.1"])
        stock = find_stock(home) if home else None
    # Ours is staged by the server itself, to where httpd's user can read it.
    modules = [("this", None)] + ([("6.1.1", stock)] if stock else [])
    names = options.loads.split(",")
    if any(name in LOADS for name in names):
        losses(modules, [name for name in names if name in LOADS], options.rate)
    if "overload" in names:
        overload(modules)
    if "shares" in names:
        shares(modules)


if __name__ == "__main__":
    main()
