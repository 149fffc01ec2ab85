#!/usr/bin/env python3
"""Serves one WSGI script with the module that was built, until Ctrl-C: what `make run` runs.

Usage: serve.py --module mod_wsgi.so [--port 8000] [--venv DIR] SCRIPT
"""
import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from httpd_env import httpd_program, query_apxs  # noqa: E402

CONF = """
ServerRoot "{root}"
ServerName 127.0.0.1
Listen 127.0.0.1:{port}
PidFile httpd.pid
DefaultRuntimeDir "{root}"
ErrorLog "|/bin/cat"
LogLevel warn
ErrorLogFormat "%M"
DocumentRoot "{root}"
{modules}
LoadModule wsgi_module "{module}"
StartServers 1
ThreadsPerChild 16
MaxRequestWorkers 128
{user}
{home}
WSGIApplicationGroup %{{GLOBAL}}
WSGIScriptAlias / "{script}"
<Directory "{directory}">
    Require all granted
</Directory>
"""


def fail(words):
    sys.exit("make run: " + words)


def configuration(root, options, script):
    modules = []
    for name in ("mpm_event", "authz_core"):
        path = os.path.join(query_apxs("LIBEXECDIR"), "mod_%s.so" % name)
        if os.path.exists(path):
            modules.append('LoadModule %s_module "%s"' % (name, path))
    user = ""
    if os.getuid() == 0:
        # httpd serves no pages as root: its children become the owner of the script, or nobody where that is root.
        owner = os.stat(script).st_uid
        user = "User #%d\nGroup #%d" % ((owner, os.stat(script).st_gid) if owner else (65534, 65534))
    return CONF.format(root=root, port=options.port, module=os.path.join(root, "mod_wsgi.so"), script=script, user=user,
                       directory=os.path.dirname(script), modules="\n".join(modules),
                       home='WSGIPythonHome "%s"' % os.path.abspath(options.venv) if options.venv else "")


def readable_copy(script, root):
    """The script itself, or a copy where httpd's children, which are not root, could not reach it."""
    path = os.path.dirname(script)
    while path != "/":
        if os.getuid() == 0 and not os.stat(path).st_mode & 0o001:
            copy = os.path.join(root, os.path.basename(script))
            shutil.copy(script, copy)
            os.chmod(copy, 0o644)
            print("%s cannot be reached by httpd's user: serving a copy of the script" % path)
            return copy
        path = os.path.dirname(path)
    return script


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--module", required=True)
    options.add_argument("--port", type=int, default=8000)
    options.add_argument("--venv", default=os.environ.get("VENV"))
    options.add_argument("script")
    options = options.parse_args()
    script = os.path.abspath(options.script)
    if not os.path.isfile(script):
        fail("there is no %s; APP= names a Python file that defines `application`" % script)
    if not os.path.exists(httpd_program()):
        fail("there is no %s: apt-get install apache2-bin" % httpd_program())
    with tempfile.TemporaryDirectory(prefix="mod-wsgi-run-") as root:
        os.chmod(root, 0o755)
        images = os.path.dirname(os.path.abspath(options.module))
        for name in os.listdir(images):
            if name.endswith(".so") or name == "wsgi-worker":
                shutil.copy2(os.path.join(images, name), root)
        conf = os.path.join(root, "httpd.conf")
        with open(conf, "w") as out:
            out.write(configuration(root, options, readable_copy(script, root)))
        httpd = subprocess.Popen([httpd_program(), "-f", conf, "-D", "FOREGROUND"], stdin=subprocess.DEVNULL,
                                 start_new_session=True)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: httpd.terminate())
        pid_file = os.path.join(root, "httpd.pid")
        while httpd.poll() is None and not os.path.exists(pid_file):
            time.sleep(0.02)
        if httpd.poll() is None:
            print("Serving %s\n\n    http://127.0.0.1:%d/\n\nCtrl-C stops it." % (script, options.port), flush=True)
        code = httpd.wait()
        if code:
            fail("httpd ended with %d; if port %d is in use, choose another: make run PORT=8001" % (code, options.port))
        print("Stopped.")


if __name__ == "__main__":
    main()
