#!/usr/bin/env python3
"""Runs the unit tests and the integration tests, and closes with one line that counts both.

Usage: run.py [--only unit|integration|pythons|environment] [--matching WORD] [--stage DIR] [--swift swift] [pytest arguments]

With a word, what has it in its name: unit suites and their tests; folders, files and tests of Tests/integration; and where it is
`python-3` or longer, the runs of other Pythons that begin so. Capitals or not is the same.
"""
import argparse
import glob
import hashlib
import os
import re
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


def has_unit_tests(word):
    """Whether a unit suite, or a test in one, has the word in its name: if none has, nothing need be built."""
    for path in glob.glob(os.path.join(ROOT, "Tests", "*Tests", "*.swift")):
        with open(path, encoding="utf-8") as source:
            names = re.findall(r"@Suite\b[^{]*?\bstruct (\w+)|@Test\b[^{]*?\bfunc (\w+)", source.read())
        names = ["".join(name) for name in names]
        if names and any(word in name.lower() for name in [os.path.basename(os.path.dirname(path))] + names):
            return True
    return False


def run_unit(tally, swift, reports, word):
    if word and not has_unit_tests(word):
        print("No unit test has '%s' in its name" % word)
        return
    say("unit tests")
    report = os.path.join(reports, "unit.xml")
    anyhow = "".join("[%s%s]" % (letter, letter.upper()) if letter.isalpha() else re.escape(letter) for letter in word)
    chosen = ["--filter", anyhow] if word else []
    code = subprocess.call(swift.split() + ["test", "--parallel", "--xunit-output", report] + chosen, cwd=ROOT)
    before = tally.failed
    # Swift Testing writes a report of its own beside XCTest's.
    found = tally.add_junit(report.replace(".xml", "-swift-testing.xml"))
    tally.add_junit(report)
    if code and (tally.failed == before or not found):
        print("swift test ended with %d" % code)
        tally.failed += 1
    say("what must not compile")
    sys.path.insert(0, os.path.join(ROOT, "Tests", "must_not_compile"))
    import check
    for name, complaint in check.check(swift).items():
        if complaint:
            print("Tests/must_not_compile/%s %s" % (name, complaint))
            tally.failed += 1
        else:
            tally.passed += 1


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


def reference():
    """A mod_wsgi.so of 6.1.1 to compare with, as the benchmark does; none, with the reason printed, where none builds."""
    if "WSGI_TEST_REFERENCE_MODULE" in os.environ:
        return {}
    sys.path.insert(0, os.path.join(ROOT, "Tests", "bench"))
    import bench
    home = bench.environment("stock", ["mod_wsgi==6.1.1"])
    return {"WSGI_TEST_REFERENCE_MODULE": bench.find_stock(home)} if home else {}


def run_integration(tally, stage, reports, arguments, word):
    make_environment(sys.executable)
    compared = reference()
    say("integration tests")
    chosen = ["-k", word] if word else []
    pytest(tally, stage, os.path.join(reports, "integration.xml"), ["Tests/integration"] + chosen + arguments, compared)


def pytest(tally, stage, report, arguments, environment):
    workers = str(max(2, min(8, 2 * (os.cpu_count() or 1))))
    command = [os.path.join(VENV, "bin", "python"), "-m", "pytest", "-q", "-rsR", "--tb=short", "-p", "no:cacheprovider",
               "-n", workers, "--dist", "loadfile", "--junitxml", report]
    environment = dict(os.environ, WSGI_MODULE=os.environ.get("WSGI_MODULE", os.path.join(stage, "mod_wsgi.so")), **environment)
    before = tally.failed
    code = subprocess.call(command + arguments, cwd=ROOT, env=environment)
    if code == 5 and "-k" in arguments:  # none has that name
        return
    if not tally.add_junit(report) or (code and tally.failed == before):
        print("pytest ended with %d" % code)
        tally.failed += 1


# MARK: other Pythons

ASK = ("import sys, sysconfig; v = sysconfig.get_config_var; print('%d.%d' % sys.version_info[:2], v('Py_ENABLE_SHARED'), "
       "v('INCLUDEPY'), sys.prefix, v('LIBDIR'), sep='\\n')")


PYTHONS = "/usr/bin/python3.1?:/usr/local/bin/python3.1?:/opt/python*/bin/python3:~/.pyenv/versions/3.*/bin/python3"


def other_pythons():
    """The CPythons of this machine, beside the one that runs this, that an engine can be built for: version, program,
    prefix and the directory of libpython."""
    found = {}
    own = "%d.%d" % sys.version_info[:2]
    for pattern in os.environ.get("WSGI_TEST_PYTHONS", PYTHONS).split(":"):
        for program in sorted(glob.glob(os.path.expanduser(pattern)), reverse=True):
            answer = subprocess.run([program, "-c", ASK], capture_output=True, text=True)
            if answer.returncode:
                continue
            version, shared, include, prefix, libraries = answer.stdout.split("\n")[:5]
            if version in found or version == own or int(version.split(".")[1]) < 10:
                continue
            if shared != "1" or not os.path.exists(os.path.join(include, "Python.h")):
                print("Python %s at %s: no engine, it has no shared library or no headers" % (version, program))
                continue
            found[version] = (program, prefix, libraries)
    return found


def reachable_copy(prefix, directory):
    """A Python where httpd's user cannot reach it is tested from a copy, made of hard links."""
    sys.path.insert(0, os.path.join(ROOT, "Tests", "integration"))
    from httpd_env import readable_by_all
    if os.getuid() != 0 or readable_by_all(prefix):
        return prefix
    target = os.path.join(directory, os.path.basename(prefix))

    def link(source, copy):
        try:
            os.link(source, copy)
        except OSError:
            shutil.copy2(source, copy)
    shutil.copytree(prefix, target, symlinks=True, copy_function=link, ignore=shutil.ignore_patterns("test", "__pycache__"))
    return target


def run_other_pythons(tally, stage, reports, word):
    """The tests of the engine once more with each other Python, and two Pythons side by side in one server."""
    for version, (program, prefix, libraries) in sorted(other_pythons().items()):
        if word and not ("python-" + version).startswith(word):
            continue
        say("engine for Python %s, %s" % (version, program))
        if subprocess.call(["make", "--no-print-directory", "engine", "PYTHON=" + program, "STAGE=" + stage], cwd=ROOT):
            tally.failed += 1
            continue
        with tempfile.TemporaryDirectory(prefix="wsgi-python-") as directory:
            os.chmod(directory, 0o755)
            prefix = reachable_copy(prefix, directory)
            home = os.path.join(directory, "venv")
            subprocess.check_call([os.path.join(prefix, "bin", "python3"), "-m", "venv", "--without-pip", home])
            libraries = {"LD_LIBRARY_PATH": os.path.join(prefix, "lib")}
            pytest(tally, stage, os.path.join(reports, "python-%s.xml" % version), OTHER_PYTHONS,
                   dict(libraries, WSGI_TEST_PYTHON_HOME=home))
            pytest(tally, stage, os.path.join(reports, "pythons-%s.xml" % version), BESIDE_ANOTHER_PYTHON,
                   dict(libraries, WSGI_TEST_OTHER_PYTHON=home))


OTHER_PYTHONS = ["Tests/integration/%s.py" % name for name in (
    "requests/test_environ", "requests/test_start_response", "requests/test_input", "requests/test_response",
    "requests/test_file_wrapper", "requests/test_logging", "requests/test_robustness", "reload/test_loading",
    "reload/test_failed_embedded_imports", "reload/test_interpreters", "reload/test_extensions",
    "interpreters/test_application_groups", "interpreters/test_interpreter_directives", "interpreters/test_own_gil",
    "interpreters/test_shared_gil", "daemons/test_forks",
    "daemons/test_preload", "status/test_module", "status/test_events", "status/test_metrics", "status/test_telemetry")]
BESIDE_ANOTHER_PYTHON = [
    "Tests/integration/daemons/test_process_identity.py::test_two_groups_have_two_pythons",
    "Tests/integration/manual/test_pythons.py",
    "Tests/integration/interpreters/test_which_python.py::test_another_python_than_the_module_was_built_for"]


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only", choices=["unit", "integration", "pythons", "environment"])
    options.add_argument("--matching", metavar="WORD", default="", type=str.lower)
    options.add_argument("--stage", default=os.path.join(ROOT, ".build-stage"))
    options.add_argument("--swift", default="swift")
    options, rest = options.parse_known_args()
    word = options.matching
    if re.search(r"[^\w.-]", word) or word in ("and", "or", "not"):
        sys.exit("T=%s: one word, of letters, digits, _, . and -" % word)
    if options.only == "environment":
        return make_environment(sys.executable)
    tally, started = Tally(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wsgi-reports-") as reports:
        if options.only in (None, "unit"):
            run_unit(tally, options.swift, reports, word)
        if options.only in (None, "integration"):
            run_integration(tally, os.path.abspath(options.stage), reports, rest, word)
        if options.only in (None, "pythons") and (not word or word.startswith("python-3")):
            make_environment(sys.executable)
            run_other_pythons(tally, os.path.abspath(options.stage), reports, word)
    print("\n%.0f seconds" % (time.monotonic() - started))
    print("%d passed, %d failed, %d skipped" % (tally.passed, tally.failed, tally.skipped))
    if word and not tally.passed + tally.failed + tally.skipped:
        print("Nothing has '%s' in its name" % word)
        return 1
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
