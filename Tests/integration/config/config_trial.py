"""Tries pieces of configuration on a module: with `apache2 -t`, and as `.htaccess` files of a running server.

Usage: config_trial.py MODULE    records the verdicts of that module, mod_wsgi 6.1.1, in configtest/reference.tsv
"""
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import config_cases  # noqa: E402
import httpd_env  # noqa: E402

RECORDED = os.path.join(HERE, "configtest", "reference.tsv")
ACCEPTED = "accepted"


class Verdicts(dict):
    """`(where, text)` to `accepted` or the words of the refusal; `where` is `configtest`, or the AllowOverride of a file."""

    def save(self, path):
        with open(path, "w", encoding="utf-8") as out:
            for (where, text), verdict in self.items():
                out.write("%s\t%s\t%s\n" % (where, escape(text), escape(verdict)))

    @classmethod
    def load(cls, path):
        verdicts = cls()
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                where, text, verdict = line.rstrip("\n").split("\t")
                verdicts[where, unescape(text)] = unescape(verdict)
        return verdicts


def escape(text):
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t")


def unescape(text):
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t"}.get(found[1], found[1]), text)


def all_cases():
    return [("configtest", text) for text in config_cases.configtest_cases()] + config_cases.access_file_cases()


def try_all(module):
    """The module's verdict on every case."""
    verdicts = Verdicts()
    for text, verdict in zip(config_cases.configtest_cases(), configtest(module, config_cases.configtest_cases())):
        verdicts["configtest", text] = verdict
    for case, verdict in zip(config_cases.access_file_cases(), access_files(module, config_cases.access_file_cases())):
        verdicts[case] = verdict
    return verdicts


def configtest(module, texts):
    directory = tempfile.mkdtemp(prefix="wsgi-configtest-")
    try:
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            return list(pool.map(lambda case: _configtest(directory, module, *case), enumerate(texts)))
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _configtest(directory, module, number, text):
    path = os.path.join(directory, "%d.conf" % number)
    with open(path, "w", encoding="utf-8") as out:
        out.write("\n".join(_base_lines(directory, module)) + "\n" + text + "\n")
    done = subprocess.run([httpd_env.httpd_program(), "-t", "-f", path], capture_output=True, timeout=60)
    output = (done.stderr + done.stdout).decode("utf-8", "backslashreplace").replace(path, "httpd.conf")
    os.unlink(path)
    if done.returncode == 0:
        return ACCEPTED
    if done.returncode < 0:
        return "CRASHED with signal %d" % -done.returncode
    lines = [line for line in output.splitlines() if line]
    # What can be told only when all has been read.
    late = re.search(r"\[wsgi:error\] \[pid [\d:tid ]+\] WSGI\d{4}: (.*)", output)
    if late:
        return late[1]
    places = [index for index, line in enumerate(lines) if "Syntax error on line" in line]
    return lines[min(places[-1] + 1, len(lines) - 1)] if places else "\n".join(lines)


def _base_lines(directory, module):
    lines = ["ServerRoot " + directory]
    for name in ("mpm_event", "authz_core"):
        path = os.path.join(httpd_env.query_apxs("LIBEXECDIR"), "mod_%s.so" % name)
        if os.path.exists(path):
            lines.append("LoadModule %s_module %s" % (name, path))
    return lines + ["LoadModule wsgi_module " + module, "Listen 127.0.0.1:80", "User daemon", "Group daemon",
                    "ServerName localhost",
                    "ErrorLog error_log", "DocumentRoot " + directory]


def access_files(module, cases):
    """Each case is an AllowOverride and a file's text; a file of the directory is then asked for."""
    sections = "\n".join("<Directory {docs}/%d>\nAllowOverride %s\n</Directory>" % (number, override)
                         for number, (override, _) in enumerate(cases))
    server = httpd_env.Httpd(sections, module=module, name="access-files", log_level="warn wsgi:crit")
    for number, (_, text) in enumerate(cases):
        directory = os.path.join(server.docs, str(number))
        os.mkdir(directory)
        with open(os.path.join(directory, ".htaccess"), "w", encoding="utf-8") as out:
            out.write(text + "\n")
        with open(os.path.join(directory, "file.txt"), "w") as out:
            out.write("content")
    crashed, refusals = set(), {}
    server.expected_crashes = True
    with server:
        for number in range(len(cases)):
            try:
                server.get("/%d/file.txt" % number)
            except OSError:
                crashed.add(number)
        for line in server.log.lines(r"/\.htaccess: "):
            found = re.search(r"%s/(\d+)/\.htaccess: (.*)" % re.escape(server.docs), line)
            if found:
                refusals[int(found[1])] = found[2]
    # A file that says who may come in may well turn the request away; refused are those that httpd says so of.
    return ["CRASHED" if number in crashed else refusals.get(number, ACCEPTED) for number in range(len(cases))]


if __name__ == "__main__":
    staged = tempfile.mkdtemp(prefix="wsgi-reference-")
    try:
        try_all(httpd_env.stage_module(staged, os.path.abspath(sys.argv[1]))).save(RECORDED)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
