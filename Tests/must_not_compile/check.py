"""Snippets that the compiler must refuse, each where and as a comment in it says: `// error: words of the message`.

One without such a comment must compile, so that the others fail for their own reasons.  They see what `swift build` made.
"""
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
EXPECTED = re.compile(r"//\s*error: (.*)$")
REPORTED = re.compile(r"^[^\s|][^:]*\.swift:(\d+):\d+: error: (.*)$", re.M)


def compiler(swift):
    """The arguments of swiftc for a file that uses the Python side's rooms."""
    program = shutil.which(swift.split()[0]) or swift.split()[0]
    products = subprocess.run(swift.split() + ["build", "--show-bin-path"], cwd=ROOT, capture_output=True, text=True,
                              check=True).stdout.strip()
    include = os.environ.get("WSGI_PYTHON_INCLUDE", "/usr/include/python3.11")
    # Ownership is checked behind the types, in SIL.
    return [os.path.join(os.path.dirname(program), "swiftc"), "-emit-sil", "-o", os.devnull, "-parse-as-library",
            "-swift-version", "6", "-enable-upcoming-feature", "MemberImportVisibility",
            "-module-cache-path", os.path.join(products, "ModuleCache"), "-I", os.path.join(products, "Modules"),
            "-Xcc", "-D_GNU_SOURCE", "-Xcc", "-I", "-Xcc", include,
            "-Xcc", "-fmodule-map-file=" + os.path.join(products, "CPython.build", "module.modulemap")]


def complaint(path, command):
    """What is wrong with a snippet; None where the compiler says what it should."""
    with open(path, encoding="utf-8") as source:
        expected = [(number, match.group(1).strip()) for number, match in (
            (number, EXPECTED.search(line)) for number, line in enumerate(source, 1)) if match]
    done = subprocess.run(command + [path], cwd=HERE, capture_output=True, text=True)
    reported = [(int(line), message) for line, message in REPORTED.findall(done.stdout + done.stderr)]
    if not expected and done.returncode:
        return "must compile:\n" + (done.stdout + done.stderr)[:2000]
    missing = [wanted for wanted in expected if not any(wanted[0] == line and wanted[1] in text for line, text in reported)]
    further = [given for given in set(reported) if not any(given[0] == line and text in given[1] for line, text in expected)]
    if missing or further or (expected and not done.returncode):
        return "must be refused with %s; the compiler said %s" % (expected, reported or done.stderr[:2000] or "nothing")
    return None


def check(swift):
    """Snippet to what is wrong with it, or None."""
    command = compiler(swift)
    paths = sorted(glob.glob(os.path.join(HERE, "*.swift")))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as workers:
        return dict(zip(map(os.path.basename, paths), workers.map(lambda path: complaint(path, command), paths)))
