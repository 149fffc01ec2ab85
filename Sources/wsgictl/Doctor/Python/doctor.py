"""What `wsgictl doctor` asks a group's Python, as the group's user: nothing of an application is run, its files are read alone.

Usage: doctor.py INTERPRETER PYTHON-PATH SCRIPT...  A line for each finding: level, check, message and remedy, between tabs.
"""
import ast
import importlib.machinery
import os
import sys
import sysconfig

# Their modules refuse a second interpreter, or fail in one.
ONE_INTERPRETER = {"numpy", "scipy", "pandas", "cryptography", "pydantic_core", "pydantic", "orjson", "bcrypt", "tiktoken",
                   "torch"}
MOST_FILES = 300
RELEASE = ".".join(map(str, sys.version_info[:3]))


def say(level, check, message, remedy=""):
    print("\t".join(" ".join(str(part).split()) for part in (level, check, message, remedy)), flush=True)


def is_installed(path):
    """Of the standard library or of the environment's packages, whose files are not looked into."""
    places = [sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")]
    return any(path.startswith(place + os.sep) for place in places if place) or "site-packages" in path


def imports(tree):
    """Names that a file imports when it is loaded: not those in functions, nor those that may fail."""
    found, waiting = [], list(tree.body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.append((node.module, node.lineno))
        elif isinstance(node, ast.With):
            waiting += node.body
    return found


def find(name):
    """The place of a module, without importing its packages: None, "built-in", or its file."""
    path, spec = None, None
    for part in name.split("."):
        spec = importlib.machinery.PathFinder.find_spec(part, path)
        if spec is None:
            return "built-in" if path is None and part in sys.builtin_module_names else None
        path = spec.submodule_search_locations
        if path is None:
            break
    return spec.origin or "built-in"


def permission(path):
    """What lets the user read a file."""
    directory = ""
    for part in path.split("/")[1:]:
        if not os.access(directory or "/", os.X_OK):
            return "chmod o+x %s, or give it to the user's group" % (directory or "/")
        directory += "/" + part
    return "chmod o+r %s, or give it to the user's group" % path


def look_at(script, interpreter):
    waiting, seen, only = [script], set(), {}
    findings = 0
    while waiting and len(seen) < MOST_FILES:
        path = waiting.pop(0)
        if path in seen:
            continue
        seen.add(path)
        try:
            with open(path, "rb") as source:
                tree = ast.parse(source.read(), path)
        except SyntaxError as error:
            findings += 1
            say("fail", "script", "%s, line %s: %s" % (path, error.lineno, error.msg), "correct that line")
            continue
        except FileNotFoundError:
            findings += 1
            say("fail", "script", "%s does not exist" % path, "correct the path in the configuration, or put the script there")
            continue
        except (OSError, ValueError) as error:
            findings += 1
            say("fail", "script", "%s cannot be read by its user: %s" % (path, error.args[-1]), permission(path))
            continue
        for name, line in imports(tree):
            top = name.partition(".")[0]
            if top in ONE_INTERPRETER:
                only.setdefault(top, "%s, line %d" % (path, line))
            if top in sys.builtin_module_names or top == "mod_wsgi":
                continue
            place = find(top)
            if place is None:
                findings += 1
                say("fail", "module", "%s, line %d: Python %s of %s does not have the module '%s'" % (
                    path, line, RELEASE, sys.prefix, top),
                    "install it with '%s -m pip install …', choose another python-home=, or add its directory to python-path=" % (
                        sys.executable))
                continue
            origin = find(name) or place
            if origin.endswith(".py") and not is_installed(origin):
                waiting.append(origin)
    if interpreter == "other":
        for name, place in only.items():
            findings += 1
            say("warn", "interpreter", "%s imports %s, which supports the main interpreter alone" % (place, name),
                "set application-group=%{GLOBAL}, and give each such application its own process group")
    if not findings:
        say("ok", "script", "%s and what it imports are there (%d files)" % (script, len(seen)))


def main():
    interpreter, path, scripts = sys.argv[1], sys.argv[2], sys.argv[3:]
    sys.path[:] = [entry for entry in path.split(":") + sys.path if entry]
    say("ok", "python", "Python %s of %s, as uid %d" % (RELEASE, sys.prefix, os.geteuid()))
    if "ascii" in sys.getfilesystemencoding().lower():
        say("warn", "locale", "names of files are ASCII alone", "set locale=C.UTF-8")
    for script in scripts:
        # Scripts find each other only by python-path=.
        look_at(script, interpreter)


main()
