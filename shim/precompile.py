"""Compiles Python sources for the Python that runs this, as a C header for shim/python/code.c: precompile.py HEADER SOURCE..."""
import importlib.util
import marshal
import os
import sys

# What Bootstrap.swift names the sources in tracebacks.
FILE = "<mod_wsgi>"


def constant(path):
    name = os.path.basename(path)
    with open(path, encoding="utf-8") as source:
        code = marshal.dumps(compile(source.read(), FILE, "exec", dont_inherit=True, optimize=0))
    return '  { "%s", %d, (const unsigned char[]) { %s } },\n' % (name, len(code), ",".join(map(str, code)))


def main(header, *sources):
    magic = int.from_bytes(importlib.util.MAGIC_NUMBER, "little")
    text = "#define WSGI_CODE_MAGIC %dL\n#define WSGI_CODES \\\n%s" % (
        magic, "".join(constant(path).replace("\n", " \\\n") for path in sources))
    try:
        with open(header) as old:
            if old.read() == text:
                return
    except OSError:
        os.makedirs(os.path.dirname(header), exist_ok=True)
    with open(header, "w") as new:
        new.write(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
