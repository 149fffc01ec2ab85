"""The control groups of this machine, as far as tests may make some."""
import os

import pytest


def mounted(controller):
    """Where control groups with the controller (None: with version 2) can be made, and the version; skips if nowhere."""
    with open("/proc/self/mounts") as mounts:
        for _, place, kind, options, *_ in (line.split() for line in mounts):
            if kind == "cgroup" and controller in options.split(","):
                version = 1
            elif kind == "cgroup2" and (controller is None or controller in controllers(place)):
                version = 2
            else:
                continue
            probe = os.path.join(place, "wsgi-test-%d" % os.getpid())
            try:
                os.mkdir(probe)
                os.rmdir(probe)
            except OSError:
                continue
            return place, version
    pytest.skip("no cgroup file system with the controller %s that can be written to" % controller)


def controllers(place):
    with open(os.path.join(place, "cgroup.subtree_control")) as file:
        return file.read().split()


def members(directory):
    with open(os.path.join(directory, "cgroup.procs")) as file:
        return {int(line) for line in file}


def content(*path):
    with open(os.path.join(*path)) as file:
        return file.read().strip()


def place_for(server_name, place):
    return os.path.join(place, "wsgi-%s-%d" % (server_name, os.getpid()))
