#!/usr/bin/env python3
"""Checks what the compiler does not: the arrows between rooms, the circles inside them, names, the built images, the list of
messages, line lengths and formatting.

Usage: lint.py [--swift swift] [--stage DIR]
"""
import argparse
import glob
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Room: what it may import beside the standard library. An arrow that is not here is a mistake in the plan of the house or
# in the code; conf/manual/architecture.md has the picture.
LIBRARIES = {"Glibc", "Synchronization"}
ROOMS = {
    "WSGICore": {"CEngine", "Glibc"},
    "Platform": LIBRARIES,
    "WSGIConfig": {"WSGICore"},
    "RequestCounting": {"WSGICore", "Platform"} | LIBRARIES,
    "WSGIStatus": {"RequestCounting", "WSGICore"} | LIBRARIES,
    "DaemonTransport": {"RequestCounting", "WSGICore", "Platform", "CPosix"} | LIBRARIES,
    "ProcessSupervision": {"WSGICore", "Platform", "CPosix"} | LIBRARIES,
    "PythonRuntime": {"Platform", "CPython"} | LIBRARIES,
    "WSGIMeasurement": {"WSGICore", "Platform"} | LIBRARIES,
    "WSGIAdapter": {"PythonRuntime", "WSGIMeasurement", "WSGICore", "Platform"} | LIBRARIES,
    "WSGIEngine": {"WSGIAdapter", "PythonRuntime", "WSGICore", "CEngine", "CEngineTable"} | LIBRARIES,
    "WSGIWorker": {"DaemonTransport", "ProcessSupervision", "WSGICore", "Platform", "CEngine", "CPosix"} | LIBRARIES,
    "WSGIModule": {"WSGIConfig", "WSGIStatus", "RequestCounting", "DaemonTransport", "ProcessSupervision", "WSGICore",
                   "Platform", "CHTTPD", "CEngine", "CPosix"} | LIBRARIES,
    "wsgictl": {"ArgumentParser", "ProcessSupervision", "WSGICore", "Platform", "CInstallation", "CPosix"} | LIBRARIES,
}
# C rooms: the headers of the world that each may include. Everything else belongs to another room.
SHIMS = {
    "httpd": (r"Python\.h|pyconfig\.h|structmember\.h", "Python"),
    "python": (r"httpd\.h|http_\w+\.h|ap_\w+\.h|apr\w*\.h|util_\w+\.h", "httpd"),
    "installation": (r".*\.h(?<!CInstallation\.h)", "any other header"),
    "posix": (r"Python\.h|httpd\.h|http_\w+\.h|ap_\w+\.h|apr\w*\.h", "httpd or Python"),
}
IMPORT = re.compile(r"^(?:@\w+(?:\([^)]*\))?\s+)*(?:public |internal |package |fileprivate |private )?import\s+"
                    r"(?:(?:struct|class|enum|protocol|func|var|let|typealias)\s+)?(\w+)", re.M)
LONGEST_LINE = 130

problems = []


def complain(where, what):
    problems.append("%s: %s" % (os.path.relpath(where, ROOT), what))


def read(path):
    with open(path, encoding="utf-8") as source:
        return source.read()


def check_rooms():
    for room in sorted(os.listdir(os.path.join(ROOT, "Sources"))):
        allowed = ROOMS.get(room)
        if allowed is None:
            complain(os.path.join(ROOT, "Sources", room), "a room that the plan does not have (Tests/lint.py, ROOMS)")
            continue
        for path in glob.glob(os.path.join(ROOT, "Sources", room, "**", "*.swift"), recursive=True):
            for match in IMPORT.finditer(read(path)):
                if match.group(1) not in allowed:
                    line = read(path).count("\n", 0, match.start(1)) + 1
                    complain("%s:%d" % (path, line), "%s may not import %s" % (room, match.group(1)))
    for shim, (pattern, world) in SHIMS.items():
        for path in glob.glob(os.path.join(ROOT, "shim", shim, "**", "*.[ch]"), recursive=True):
            for match in re.finditer(r'^\s*#\s*include\s*[<"](?:%s)[>"]' % pattern, read(path), re.M):
                complain(path, "shim/%s may not know %s (%s)" % (shim, world, match.group(0).strip()))


# A type that a file declares at its top level. Extensions declare none: their file uses the type's, and not the other way round.
DECLARED = re.compile(r"^(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|internal|package|open|final|indirect|nonisolated)\s+)*"
                      r"(?:struct|class|enum|protocol|actor|typealias)\s+(\w+)", re.M)
NOT_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|"""[\s\S]*?"""|"(?:\\.|[^"\\\n])*"', re.S)
INTERPOLATED = re.compile(r"\\\(([^)]*)")
LARGEST_CIRCLE = 4


def circles(arrows):
    """The strongly connected parts of a graph (Tarjan); arrows: node to nodes."""
    number, lowest, path, found = {}, {}, [], []

    def visit(node):
        number[node] = lowest[node] = len(number)
        path.append(node)
        for other in arrows[node]:
            if other not in number:
                visit(other)
            if other in path:
                lowest[node] = min(lowest[node], lowest[other])
        if lowest[node] == number[node]:
            place = path.index(node)
            found.append(path[place:])
            del path[place:]

    for node in arrows:
        if node not in number:
            visit(node)
    return found


def check_circles():
    """Files of a room that can only be understood together are few."""
    for room in sorted(ROOMS):
        texts = {os.path.basename(path): NOT_CODE.sub(lambda match: " ".join(INTERPOLATED.findall(match.group())), read(path))
                 for path in glob.glob(os.path.join(ROOT, "Sources", room, "**", "*.swift"), recursive=True)}
        home = {name: path for path, text in texts.items() for name in DECLARED.findall(text)}
        arrows = {path: {home[name] for name in re.findall(r"\b[A-Z]\w*", text) if home.get(name, path) != path}
                  for path, text in texts.items()}
        for circle in circles(arrows):
            if len(circle) > LARGEST_CIRCLE:
                uses = ["  %s uses %s" % (path, ", ".join(sorted(arrows[path] & set(circle)))) for path in sorted(circle)]
                complain(os.path.join(ROOT, "Sources", room),
                         "%d files use each other's types in a circle, %d may at most:\n%s" % (
                             len(circle), LARGEST_CIRCLE, "\n".join(uses)))


# Any declaration of a type, with what stands before it on its line.
TYPE = re.compile(r"^([ \t]*)(?:@\w+(?:\([^)]*\))?\s+)*"
                  r"(?:(?:public|internal|package|private|fileprivate|open|final|indirect|nonisolated)\s+)*"
                  r"(?:struct|class|enum|protocol|actor|typealias)\s+(\w+)", re.M)


def check_names():
    """A name means one thing: a top-level type has its name alone, and a file, but for `Type+Part.swift`, its own. Nested types
    may share a name with other nested ones, since the owner's name stands before it."""
    top, nested, files = {}, {}, {}
    for path in sorted(glob.glob(os.path.join(ROOT, "Sources", "**", "*.swift"), recursive=True)):
        if "+" not in os.path.basename(path):
            files.setdefault(os.path.basename(path), []).append(path)
        for indent, name in TYPE.findall(NOT_CODE.sub("", read(path))):
            (nested if indent else top).setdefault(name, []).append(path)
    for name, paths in sorted(top.items()):
        for other in paths[1:] + nested.get(name, []):
            complain(other, "%s is a type of %s already" % (name, os.path.relpath(paths[0], ROOT)))
    for paths in files.values():
        for other in paths[1:]:
            complain(other, "a file of that name is %s already" % os.path.relpath(paths[0], ROOT))


# Openings of doc comments, and a phrase, that hide what is meant.
HIDDEN = re.compile(r"/// (?:What|Whoever)\b")
PHRASES = re.compile(r"\bto be had\b")


def check_comments():
    """Comments are plain English: a doc comment opens with the noun or the verb that it is about."""
    for room in sorted(ROOMS):
        for path in sorted(glob.glob(os.path.join(ROOT, "Sources", room, "**", "*.swift"), recursive=True)):
            before = ""
            for number, line in enumerate(read(path).splitlines(), 1):
                text = line.lstrip()
                opens = not before.startswith("//") and HIDDEN.match(text)
                if text.startswith("//") and (opens or PHRASES.search(text)):
                    complain("%s:%d" % (path, number), "say it plainly: %s" % text)
                before = text


# What a call made is gone when its `object` has been read: `f(make().object)` gives f a dead pointer.
DANGLING = re.compile(r"\)\.object\b")


def check_references():
    for room in "PythonRuntime", "WSGIAdapter", "WSGIEngine":
        for path in glob.glob(os.path.join(ROOT, "Sources", room, "**", "*.swift"), recursive=True):
            for number, line in enumerate(read(path).splitlines(), 1):
                if DANGLING.search(line.split("//")[0]):
                    complain("%s:%d" % (path, number), "a temporary reference ends before its object is used; lend it as a whole")


# How often a call is made again, which clock is meant, and how a thread starts is decided in one place. C has its own loops.
SYSTEM_CALLS = re.compile(r"\b(clock_gettime|pthread_create|EINTR)\b")
# A thread that waits for requests is called away by a signal.
INTERRUPTIBLE = {"QueueReader.swift", "SessionReader.swift"}


def check_system_calls():
    for path in glob.glob(os.path.join(ROOT, "Sources", "**", "*.swift"), recursive=True):
        if os.sep + "Platform" + os.sep in path:
            continue
        for number, line in enumerate(read(path).splitlines(), 1):
            for name in SYSTEM_CALLS.findall(line.split("//")[0]):
                if name != "EINTR" or os.path.basename(path) not in INTERRUPTIBLE:
                    complain("%s:%d" % (path, number), "%s belongs to the room Platform, which has a function for it" % name)


def check_lines():
    for pattern in ("Sources/**/*.swift", "Sources/**/*.py", "Tests/**/*.swift", "Tests/**/*.py", "shim/**/*.[ch]",
                    "Package.swift"):
        for path in glob.glob(os.path.join(ROOT, pattern), recursive=True):
            for number, line in enumerate(read(path).splitlines(), 1):
                if len(line) > LONGEST_LINE:
                    complain("%s:%d" % (path, number), "%d columns; %d are the most" % (len(line), LONGEST_LINE))
                if re.search(r"\b(TO[D]O|FIX[M]E|X[X]X)\b", line):
                    complain("%s:%d" % (path, number), "unfinished: %s" % line.strip())


NUMBER = re.compile(r"WSGI(\d{4})\b")
# Diagnostics of the configuration give their number by itself.
WARNED = re.compile(r"\bwarn\(\s*(\d{3}),")
LIST = "conf/manual/messages.md"


def logged_numbers():
    """Number to file: those in code, not in comments."""
    found = {}
    for pattern, comment in (("Sources/**/*.swift", r"(?m)^\s*//.*$"), ("Sources/**/*.py", r"(?m)^\s*#.*$"),
                             ("shim/**/*.[ch]", r"(?s)/\*.*?\*/")):
        for path in glob.glob(os.path.join(ROOT, pattern), recursive=True):
            text = re.sub(comment, "", read(path))
            for number in NUMBER.findall(text) + ["0" + number for number in WARNED.findall(text)]:
                found.setdefault(number, path)
    return found


def listed_numbers(text):
    """The numbers in the first column of the list's tables, with how often each is there."""
    found = {}
    for row in re.findall(r"^\| (\d{4}[^|]*) \|", text, re.M):
        for first, last in re.findall(r"(\d{4})(?:–(\d{4}))?", row):
            for number in range(int(first), int(last or first) + 1):
                found["%04d" % number] = found.get("%04d" % number, 0) + 1
    return found


def check_messages():
    """The list of messages has every number that the code logs, once, and the documents no other."""
    logged, text = logged_numbers(), read(os.path.join(ROOT, LIST))
    listed = listed_numbers(text)
    for number in sorted(set(logged) - set(listed)):
        complain(logged[number], "WSGI%s has no row in %s" % (number, LIST))
    for number in sorted(listed):
        if number not in logged:
            complain(os.path.join(ROOT, LIST), "WSGI%s is logged nowhere" % number)
        elif listed[number] > 1:
            complain(os.path.join(ROOT, LIST), "WSGI%s has %d rows" % (number, listed[number]))
    for path in [os.path.join(ROOT, "README.md")] + glob.glob(os.path.join(ROOT, os.path.dirname(LIST), "*.md")):
        for number in sorted(set(NUMBER.findall(read(path))) - set(logged)):
            complain(path, "WSGI%s is logged nowhere" % number)


def check_format(swift):
    files = [os.path.join(ROOT, name) for name in ("Package.swift", "Sources", "Tests")]
    done = subprocess.run(swift.split() + ["format", "lint", "--strict", "--parallel", "--recursive"] + files,
                          cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        complain(ROOT, "swift format (make format mends most of it):\n" + done.stderr.rstrip())


def symbols(path, *flags):
    out = subprocess.run(["nm", "-D", *flags, path], capture_output=True, text=True).stdout
    return [line.split()[-1].split("@")[0] for line in out.splitlines() if line.split()]


def check_image(path, exported, never_needed, never_undefined):
    dynamic = subprocess.run(["readelf", "-dW", path], capture_output=True, text=True).stdout
    needed = re.findall(r"NEEDED.*\[(.*)\]", dynamic)
    for library in needed:
        if re.match(never_needed, library):
            complain(path, "must not need %s" % library)
    if exported:
        found = symbols(path, "--defined-only", "--extern-only")
        if found != [exported]:
            complain(path, "must export %s and nothing else; exports %s" % (exported, ", ".join(found) or "nothing"))
        if "NODELETE" not in dynamic:
            complain(path, "must be linked with -z nodelete: a Swift image cannot be unloaded")
    for name in symbols(path, "--undefined-only"):
        if re.match(never_undefined, name):
            complain(path, "must not use %s" % name)


def check_images(stage):
    module = os.path.join(stage, "mod_wsgi.so")
    if not os.path.exists(module):
        print("images: not checked, nothing is built (make all)")
        return
    swift = r"libswift|libFoundation|libdispatch|lib_Foundation|libBlocksRuntime"
    check_image(module, "wsgi_module", swift + "|libpython", r"Py_|PyObject|_Py")
    check_image(os.path.join(stage, "wsgi-worker"), None, swift + "|libpython|libapr", r"ap_|apr_|Py_|PyObject|_Py")
    check_image(os.path.join(stage, "wsgictl"), None, swift + "|libpython|libapr", r"ap_|apr_|Py_|PyObject|_Py")
    for engine in glob.glob(os.path.join(stage, "wsgi-engine-*.so")):
        check_image(engine, "wsgi_engine", swift + "|libapr", r"ap_|apr_")


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--swift", default="swift")
    options.add_argument("--stage", default=os.path.join(ROOT, ".build-stage"))
    options = options.parse_args()
    check_rooms()
    check_circles()
    check_names()
    check_comments()
    check_references()
    check_system_calls()
    check_lines()
    check_messages()
    check_format(options.swift)
    check_images(os.path.abspath(options.stage))
    for problem in problems:
        print(problem, file=sys.stderr)
    print("lint: %s" % ("%d problems" % len(problems) if problems else "clean"))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
