#!/usr/bin/env python3
"""Runs the unit tests and the integration tests, and closes with one line that counts both.

Usage: run.py [--only unit|integration] [--stage DIR] [--swift swift] [pytest arguments]
"""
import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".build-venv")
REQUIREMENTS = os.path.join(ROOT, "Tests", "requirements.txt")


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def add_junit(self, path):
        """Adds a JUnit report's cases; False when there is no report."""
        try:
            suites = ElementTree.parse(path).getroot()
        except (OSError, ElementTree.ParseError):
            return False
        for case in suites.iter("testcase"):
            if case.find("failure") is not None or case.find("error") is not None:
                self.failed += 1
            elif case.find("skipped") is not None:
                self.skipped += 1
            else:
                self.passed += 1
        return True


def say(text):
    print("== %s ==" % text, flush=True)


def run_unit(tally, swift, reports):
    say("unit tests")
    report = os.path.join(reports, "unit.xml")
    code = subprocess.call(swift.split() + ["test", "--parallel", "--xunit-output", report], cwd=ROOT)
    before = tally.failed
    # Swift Testing writes a report of its own beside XCTest's.
    found = tally.add_junit(report.replace(".xml", "-swift-testing.xml"))
    tally.add_junit(report)
    if code and (tally.failed == before or not found):
        print("swift test ended with %d" % code)
        tally.failed += 1


def make_environment(python):
    """A virtual environment with what the tests need, made again when that changes."""
    with open(REQUIREMENTS, "rb") as requirements:
        mark = hashlib.sha256(requirements.read() + python.encode()).hexdigest()
    marker = os.path.join(VENV, ".made-from")
    if os.path.exists(marker) and open(marker).read() == mark:
        return
    say("Python packages for the tests, into %s" % os.path.relpath(VENV, ROOT))
    shutil.rmtree(VENV, ignore_errors=True)
    subprocess.check_call([python, "-m", "venv", VENV])
    subprocess.check_call([os.path.join(VENV, "bin", "pip"), "install", "-q", "--disable-pip-version-check",
                           "-r", REQUIREMENTS])
    with open(marker, "w") as made:
        made.write(mark)


def run_integration(tally, stage, reports, arguments):
    make_environment(sys.executable)
    say("integration tests")
    report = os.path.join(reports, "integration.xml")
    workers = str(max(2, min(8, 2 * (os.cpu_count() or 1))))
    command = [os.path.join(VENV, "bin", "python"), "-m", "pytest", "-q", "-rs", "--tb=short", "-p", "no:cacheprovider",
               "-n", workers, "--dist", "loadfile", "--junitxml", report, "Tests/integration"]
    environment = dict(os.environ, WSGI_MODULE=os.environ.get("WSGI_MODULE", os.path.join(stage, "mod_wsgi.so")))
    code = subprocess.call(command + arguments, cwd=ROOT, env=environment)
    before = tally.failed
    if not tally.add_junit(report) or (code and tally.failed == before):
        print("pytest ended with %d" % code)
        tally.failed += 1


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only", choices=["unit", "integration"])
    options.add_argument("--stage", default=os.path.join(ROOT, ".build-stage"))
    options.add_argument("--swift", default="swift")
    options, rest = options.parse_known_args()
    tally, started = Tally(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wsgi-reports-") as reports:
        if options.only != "integration":
            run_unit(tally, options.swift, reports)
        if options.only != "unit":
            run_integration(tally, os.path.abspath(options.stage), reports, rest)
    print("\n%.0f seconds" % (time.monotonic() - started))
    print("%d passed, %d failed, %d skipped" % (tally.passed, tally.failed, tally.skipped))
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
