#!/usr/bin/env python3
"""Runs the unit tests under AddressSanitizer and ThreadSanitizer, and the integration tests with a module, an engine and a worker
that have AddressSanitizer in them; closes with one line that says what ran and how many reports there were.

The images of the integration tests share one runtime, which httpd, that has none itself, is started with.

Usage: sanitize.py [--parts "address thread integration"] [--stage DIR] [--swift swift] [--python-version 3.11]
                   [--engine-flags=FLAGS] [pytest arguments]
"""
import argparse
import glob
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

import run

sys.path.insert(0, os.path.join(run.ROOT, "Tests", "integration"))
import httpd_env  # noqa: E402

REPORT = re.compile(r"(ERROR: AddressSanitizer|WARNING: ThreadSanitizer):.*")
NAMES = {"address": "unit tests under AddressSanitizer", "thread": "unit tests under ThreadSanitizer",
         "integration": "integration tests with module, engine and worker under AddressSanitizer"}
# Each builds apart, so that going back and forth between them rebuilds nothing.
FOLDERS = {"address": ".build-asan", "thread": ".build-tsan", "integration": ".build-asan-images"}
IMAGES = {"mod_wsgi": ("libmod_wsgi.so", "mod_wsgi.so"), "wsgi-worker": ("wsgi-worker", "wsgi-worker"),
          "wsgi-engine": ("libwsgi-engine.so", "wsgi-engine-%s.so")}
# As Tests/Sanitizers/options.c says it to the worker, which may have no environment.
OPTIONS = ("detect_leaks=0:allocator_may_return_null=1:handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:"
           "handle_abort=0")


class Failure(Exception):
    pass


def build(swift, part, *what):
    """The linker warns of every function of a runtime that it does not export, so that what a build says is shown only where
    it fails."""
    run.say("sanitize: building the %s" % NAMES[part])
    command = swift.split() + ["build", "--sanitize=" + ("thread" if part == "thread" else "address"), "--scratch-path",
                               FOLDERS[part], *what]
    done = subprocess.run(command, cwd=run.ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        print("\n".join([line for line in done.stdout.splitlines() if "Cannot export local symbol" not in line][-40:]))
        raise Failure("the build failed")


def run_units(part, options, reports):
    build(options.swift, part, "--build-tests")
    run.say("sanitize: " + NAMES[part])
    command = options.swift.split() + ["test", "--skip-build", "--sanitize=" + part, "--scratch-path", FOLDERS[part]]
    tests = subprocess.Popen(command, cwd=run.ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             errors="backslashreplace")
    for line in tests.stdout:
        print(line, end="", flush=True)
        found = REPORT.search(line)
        if found:
            reports.append("%s: %s" % (NAMES[part], found[0]))
    if tests.wait():
        raise Failure("swift test ended with %d" % tests.returncode)


def find_runtime(swift):
    """AddressSanitizer's runtime as a shared library, which comes with Swift's clang."""
    clang = os.path.join(os.path.dirname(os.path.realpath(shutil.which(swift.split()[0]) or swift)), "clang")
    name = "libclang_rt.asan-%s.so" % os.uname().machine
    found = subprocess.run([clang, "-print-file-name=" + name], capture_output=True, text=True).stdout.strip()
    if not os.path.isabs(found):
        raise Failure("%s has no %s" % (clang, name))
    return os.path.realpath(found)


def stage(options, runtime):
    """The images, and a program `httpd` that starts httpd with the runtime; where they are."""
    directory = os.path.abspath(options.stage)
    os.makedirs(directory, exist_ok=True)
    for source, name in IMAGES.values():
        target = os.path.join(directory, name % options.python_version if "%" in name else name)
        shutil.copy2(os.path.join(run.ROOT, FOLDERS["integration"], "debug", source), target + ".new")
        os.replace(target + ".new", target)
    # Swift's own handler of crashes would take its time before a process ends by the signal that a test awaits.
    variables = dict(symbolizer(options.swift), ASAN_OPTIONS=OPTIONS, SWIFT_BACKTRACE="enable=no")
    starter = os.path.join(directory, "httpd")
    with open(starter, "w") as script:
        script.write("#!/bin/sh\nexport %s\nexport LD_PRELOAD=%s${LD_PRELOAD:+:$LD_PRELOAD}\nexec %s \"$@\"\n" % (
            " ".join("%s=%s" % (name, shlex.quote(value)) for name, value in variables.items()), shlex.quote(runtime),
            shlex.quote(httpd_env.httpd_program())))
    os.chmod(starter, 0o755)
    return directory


def run_integration(part, options, reports):
    runtime = find_runtime(options.swift)
    os.environ["WSGI_SANITIZER_RUNTIME"] = os.path.dirname(runtime)
    for product in IMAGES:
        build(options.swift, part, "--product", product, *(options.engine_flags.split() if product == "wsgi-engine" else []))
    del os.environ["WSGI_SANITIZER_RUNTIME"]
    directory = stage(options, runtime)
    run.make_environment(sys.executable)
    run.say("sanitize: " + NAMES[part])
    tally = run.Tally()
    with tempfile.TemporaryDirectory(prefix="wsgi-sanitized-") as found:
        environment = {"WSGI_TEST_SANITIZED": found, "WSGI_TEST_HTTPD": os.path.join(directory, "httpd"),
                       "WSGI_TEST_DEADLINE": os.environ.get("WSGI_TEST_DEADLINE", "60")}
        run.pytest(tally, directory, os.path.join(found, "integration.xml"),
                   ["-n", "2", *(options.rest or ["Tests/integration"])], environment)
        # A report counts wherever it was found: the test that caused it may have passed.
        for path in sorted(glob.glob(os.path.join(found, "*.report"))):
            with open(path) as report:
                text = report.read()
            print(text[:10_000])
            reports += ["%s: %s" % (text.split("\n", 1)[0], match[0]) for match in REPORT.finditer(text)]
    print("%d passed, %d failed, %d skipped" % (tally.passed, tally.failed, tally.skipped))
    if tally.failed:
        raise Failure("%d of the integration tests failed" % tally.failed)


def symbolizer(swift):
    """Reports name functions where a symbolizer is found, which comes with Swift."""
    program = os.path.join(os.path.dirname(os.path.realpath(shutil.which(swift.split()[0]) or "")), "llvm-symbolizer")
    return {"ASAN_SYMBOLIZER_PATH": program} if os.access(program, os.X_OK) else {}


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--parts", default="address thread integration")
    options.add_argument("--stage", default=os.path.join(run.ROOT, ".build-stage-asan"))
    options.add_argument("--swift", default="swift")
    options.add_argument("--python-version", default="%d.%d" % sys.version_info[:2])
    options.add_argument("--engine-flags", default="", help="for `swift build`, beside the sanitizer's")
    options, options.rest = options.parse_known_args()
    parts = options.parts.split()
    unknown = [part for part in parts if part not in NAMES]
    if unknown or not parts:
        sys.exit("sanitize: no such part: %s (%s)" % (" ".join(unknown), ", ".join(NAMES)))
    os.environ["WSGI_SANITIZE"] = "1"
    reports, failures = [], []
    for part in parts:
        try:
            (run_integration if part == "integration" else run_units)(part, options, reports)
        except Failure as failure:
            print("sanitize: %s: %s; the other parts go on" % (NAMES[part], failure), flush=True)
            failures.append(part)
    for report in reports:
        print(report)
    print("sanitize: %s: %d reports%s" % ("; ".join(NAMES[part] for part in parts), len(reports),
                                           "; failed: " + ", ".join(failures) if failures else ""))
    return 1 if reports or failures else 0


if __name__ == "__main__":
    sys.exit(main())
