"""Which Python this is, and whether what it starts is the same; as an application, and written to a file by a script that is
loaded beforehand or runs as a service."""
import json
import multiprocessing
import os
import subprocess
import sys

import mod_wsgi


def facts():
    return {"prefix": sys.prefix, "exec_prefix": sys.exec_prefix, "base_prefix": sys.base_prefix,
            "base_exec_prefix": sys.base_exec_prefix, "executable": sys.executable, "path": sys.path,
            "flags": {name: getattr(sys.flags, name) for name in dir(sys.flags)
                      if not name.startswith(("_", "n_")) and not callable(getattr(sys.flags, name))},
            "group": mod_wsgi.process_group, "name": mod_wsgi.application_group, "cwd": os.getcwd()}


def started():
    """What an interpreter of its own says, and one that multiprocessing spawns."""
    said = subprocess.run([sys.executable, "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True)
    pool = multiprocessing.get_context("spawn").Pool(1)
    spawned = pool.apply_async(os.path.basename, ("/spawned/here",)).get(60)
    pool.close()  # not terminated: what a thread of httpd starts has signals blocked
    pool.join()
    return {"subprocess": said.stdout.strip() or said.stderr, "spawned": spawned}


def application(environ, start_response):
    body = json.dumps(started() if environ["PATH_INFO"] == "/started" else facts()).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


OUT = os.path.join(os.path.dirname(os.path.dirname(__file__)), "out")
if mod_wsgi.application_group == "early" or mod_wsgi.process_group == "service":
    name = os.path.join(OUT, "%s-%s" % (mod_wsgi.process_group or "embedded", mod_wsgi.application_group or "main"))
    with open(name + ".new", "w") as journal:
        json.dump(facts(), journal)
    os.rename(name + ".new", name)
