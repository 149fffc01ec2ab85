#!/usr/bin/env python3
"""The cost of declared process groups before they are used, and how long a sleeping one takes to answer: what
`make bench-hosting` runs.

One httpd is started with many groups, of which none has a process (`processes=0-1`), and one with a single group.  6.1.1 has no
groups without processes: it is started with fewer groups, of one process each.

Then it measures a Django project in ten processes, without and with `preload=On`: their memory, the preloader's included, and how
long a further process takes to answer, from the end of the one before.  At last the tenants of a template come.

Usage: hosting.py [--groups 1000] [--stock-groups 50] [--stock mod_wsgi.so] [--rounds 20] [--tenants 1000]

Memory is the sum of the proportional set sizes (PSS) of httpd's parent and children, and of the supervisor or the daemon
processes; descriptors are those of the process that has most.  The environment's WSGI_MODULE names the module; without it, it is
what `make all` has made.
"""
import argparse
import os
import signal
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))
from bench import environment, find_stock  # noqa: E402
from httpd_env import Httpd, wait_until  # noqa: E402
from processes import descendants, has_ended, named  # noqa: E402
from hosting_tenants import measure_tenants  # noqa: E402

GROUP = """WSGIDaemonProcess g%d %s threads=5
WSGIScriptAlias /g%d {root}/hello.py process-group=g%d application-group=%%{GLOBAL}
"""
APPLICATION = """def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]
"""

PROCESSES = 10
# What `django-admin startproject` makes, as far as it matters, with the admin's pages; the database is never asked.
PROJECT = """import os
import django
APPLICATIONS = "admin auth contenttypes sessions messages staticfiles".split()
from django.conf import settings
settings.configure(
    DEBUG=False, SECRET_KEY="measured", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, STATIC_URL="static/",
    INSTALLED_APPS=["django.contrib." + name for name in APPLICATIONS],
    MIDDLEWARE=["django.middleware.security.SecurityMiddleware", "django.contrib.sessions.middleware.SessionMiddleware",
                "django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware",
                "django.contrib.auth.middleware.AuthenticationMiddleware",
                "django.contrib.messages.middleware.MessageMiddleware"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True, "OPTIONS": {
        "context_processors": ["django.template.context_processors.request", "django.contrib.auth.context_processors.auth",
                               "django.contrib.messages.context_processors.messages"]}}],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})
django.setup()
from django.contrib import admin
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("admin/", admin.site.urls), path("pid", lambda request: HttpResponse(str(os.getpid())))]
application = get_wsgi_application()
"""


def memory(server):
    """The bytes of httpd's family."""
    return memory_of([server.pid] + descendants(server.pid))


def memory_of(pids):
    total = 0
    for pid in pids:
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


def measure_preloading(home, preload, rounds):
    """The memory of ten processes of a Django project, and the milliseconds until a further one has answered."""
    packages = os.path.join(home, "lib", "python%d.%d" % sys.version_info[:2], "site-packages")
    server = Httpd("WSGIDaemonProcess project processes=%d threads=1 preload=%s python-path=%s\n"
                   "WSGIScriptAlias / {root}/project.py process-group=project application-group=%%{GLOBAL}"
                   % (PROCESSES, preload, packages), name="hosting", processes=1, log_level="error")
    with open(os.path.join(server.root, "project.py"), "w") as script:
        script.write(PROJECT)
    with server:
        wait_until(lambda: len(named(server.pid, "wsgi-worker")) == PROCESSES, "all processes", deadline=120)
        totals = []
        for page in "/pid", "/admin/login/":
            ask_each(server, page)
            totals.append(memory_of(named(server.pid, "wsgi-worker") + named(server.pid, "wsgi-preloader")))
    server = Httpd("WSGIDaemonProcess project processes=1 threads=1 preload=%s python-path=%s\n"
                   "WSGIScriptAlias / {root}/project.py process-group=project application-group=%%{GLOBAL}"
                   % (preload, packages), name="hosting", processes=1, log_level="error")
    with open(os.path.join(server.root, "project.py"), "w") as script:
        script.write(PROJECT)
    times = []
    with server:
        for _ in range(rounds):
            pid = int(server.get("/pid").text)
            # One that has answered is replaced at once.
            os.kill(pid, signal.SIGKILL)
            while not has_ended(pid):
                pass
            began = time.monotonic()
            assert server.get("/pid").text != str(pid)
            times.append(time.monotonic() - began)
    print("preload=%-3s  %6.1f MB  %6.1f MB  %9.0f ms" % (
        preload, *(total / 1e6 for total in totals), 1e3 * statistics.median(times)), flush=True)
    return totals


def ask_each(server, page):
    """Asks for a page until each process will have given it five times: as many requests as say which process has them."""
    seen = {}
    while len(seen) < PROCESSES or min(seen.values()) < 5:
        assert server.get(page).status == 200
        pid = server.get("/pid").text
        seen[pid] = seen.get(pid, 0) + 1


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--stock", help="another mod_wsgi.so in place of PyPI's mod_wsgi==6.1.1")
    options.add_argument("--groups", type=int, default=1000)
    options.add_argument("--stock-groups", type=int, default=50)
    options.add_argument("--rounds", type=int, default=20)
    options.add_argument("--tenants", type=int, default=1000)
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
    home = environment("django", ["Django~=5.2.0"])
    if home:
        print("%d processes of Django  after a small page  after the admin's  a further process answers after" % PROCESSES)
        cold = measure_preloading(home, "Off", options.rounds)
        forked = measure_preloading(home, "On", options.rounds)
        print("             %6.0f %%   %6.0f %%   of the memory" % tuple(100 * a / b for a, b in zip(forked, cold)))
    measure_tenants(options.tenants)


if __name__ == "__main__":
    main()
