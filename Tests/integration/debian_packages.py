"""Debian packages beside the system: fetched, and unpacked into a directory of their own. Nothing is installed or started."""
import fcntl
import glob
import hashlib
import os
import shutil
import subprocess

import pytest

from httpd_env import ROOT, Log

CACHE = os.path.join(ROOT, ".build-packages")


def unpacked(*names):
    """A directory that holds the files of these packages; skips the test where they cannot be fetched."""
    os.makedirs(CACHE, exist_ok=True)
    root = os.path.join(CACHE, hashlib.sha256(" ".join(sorted(names)).encode()).hexdigest()[:16])
    # Tests run in several processes.
    with open(os.path.join(CACHE, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(root):
            packages = fetch(names)
            shutil.rmtree(root + ".new", ignore_errors=True)
            for package in packages:
                subprocess.run(["dpkg", "-x", package, root + ".new"], check=True, timeout=300)
            os.rename(root + ".new", root)
    return root


def fetch(names):
    """The packages' files, downloaded where they are not in the cache."""
    missing = [name for name in names if not found(name)]
    if missing:
        answer = download(missing)
        if answer.returncode:
            # The lists of packages are missing, or older than what the mirror has: lists of our own.
            lists = os.path.join(CACHE, "lists")
            os.makedirs(os.path.join(lists, "partial"), exist_ok=True)
            update = apt("update", "-o", "Dir::State::Lists=" + lists)
            answer = download(missing, "-o", "Dir::State::Lists=" + lists) if update.returncode == 0 else update
        if answer.returncode:
            pytest.skip("Debian's %s cannot be fetched: %s" % (", ".join(missing), (answer.stderr.splitlines() or ["?"])[-1]))
    return [found(name) for name in names]


def found(name):
    return next(iter(glob.glob(os.path.join(CACHE, name + "_*.deb"))), None)


def download(names, *options):
    return apt("download", *options, *names)


def apt(*arguments):
    try:
        return subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", *arguments], cwd=CACHE, capture_output=True,
                              text=True, timeout=300)
    except (FileNotFoundError, subprocess.TimeoutExpired) as failure:
        return subprocess.CompletedProcess(arguments, 1, "", str(failure))


def complaints(pattern):
    """Lines above level notice in httpd's logs; but that a script takes long to load (WSGI0612) is the machine's affair."""
    return [line for path in glob.glob(pattern) for line in Log(path).lines(
        r"\[\w*:(warn|error|crit|alert|emerg)\]|WSGI\d{4}|Traceback") if "WSGI0612" not in line]
