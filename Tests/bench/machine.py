"""What a figure was measured with: printed beside the tables."""
import os
import platform
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))
from httpd_env import httpd_program  # noqa: E402


def printed(*command):
    """What a program prints, in one line; empty where there is no such program."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    except OSError:
        return ""
    return " ".join(done.stdout.split())


def processor():
    with open("/proc/cpuinfo") as file:
        found = re.search(r"^model name\s*: (.*)$", file.read(), re.M)
    return found.group(1) if found else platform.machine()


def memory():
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)


def load_now():
    return "load %.1f at %s" % (os.getloadavg()[0], time.strftime("%Y-%m-%d %H:%M"))


def describe():
    """The machine, how busy it is, and the versions."""
    httpd = re.search(r"Apache/\S+", printed(httpd_program(), "-v"))
    revision = printed("git", "-C", HERE, "describe", "--always", "--dirty") or "unknown"
    print("%d × %s, %.0f GiB, Linux %s; %s\n%s, Python %s, mod_wsgi at %s\n" % (
        os.cpu_count(), processor(), memory(), platform.release(), load_now(), httpd.group(0) if httpd else httpd_program(),
        platform.python_version(), revision), flush=True)
