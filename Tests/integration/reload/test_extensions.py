"""Reloading of an interpreter whose application uses extension modules: those that can live in several are reloaded as Python
modules are; for all others the process is replaced (daemon mode), or the script alone is loaded again (embedded mode)."""
import functools
import os
import re
import subprocess
import sys
import sysconfig

import pytest

from httpd_env import PROGRAM, PYTHON, PYTHON_HOME, REFERENCE, Httpd, virtual_environment, wait_until

pytestmark = pytest.mark.skipif(REFERENCE, reason="the reference reloads processes or script files only")

SCRIPT = """
import os, sys
sys.path[:0] = %r
%s
VERSION = %d
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'%%d %%d %%s' %% (os.getpid(), VERSION, str(%s).encode())]
"""
CONF = {"daemon": "WSGIDaemonProcess site processes=1 threads=4 reload=interpreter %s\nWSGIProcessGroup site\n",
        "embedded": "WSGIReloadMechanism Interpreter\n%s"}
ALIASES = "".join("WSGIScriptAlias /%s {apps}/%s.wsgi application-group=%s\n" % (name, name, name) for name in ("one", "two"))

# Modules of one source: with a state for each interpreter, or one for all; `foreign` has threads attach by themselves, `refusing`
# loads once in a process.
SOURCE = r"""
#include <Python.h>
static long living;
typedef struct { long count; int is_there; } State;
static PyObject *next(PyObject *self, PyObject *none) {
  return PyLong_FromLong(++((State *)PyModule_GetState(self))->count);
}
static PyObject *count_living(PyObject *self, PyObject *none) { return PyLong_FromLong(living); }
#ifdef FOREIGN
static PyObject *attach(PyObject *self, PyObject *none) {
  PyGILState_Release(PyGILState_Ensure());
  Py_RETURN_NONE;
}
#endif
static PyMethodDef methods[] = {
  {"next", next, METH_NOARGS, NULL}, {"living", count_living, METH_NOARGS, NULL},
#ifdef FOREIGN
  {"attach", attach, METH_NOARGS, NULL},
#endif
  {NULL, NULL, 0, NULL}};
static int begin(PyObject *self) {
#ifdef REFUSING
  static int loaded;
  if (loaded++) {
    PyErr_SetString(PyExc_ImportError, "cannot load module more than once per process");
    return -1;
  }
#endif
  ((State *)PyModule_GetState(self))->is_there = 1;
  living++;
  return 0;
}
static void end(void *self) {
  State *state = PyModule_GetState(self);
  if (state && state->is_there) living--;
}
static PyModuleDef_Slot slots[] = {
  {Py_mod_exec, (void *)begin},
#if PY_VERSION_HEX >= 0x030C0000
  {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
  {0, NULL}};
static PyModuleDef several = {PyModuleDef_HEAD_INIT, "several", NULL, sizeof(State), methods, slots, NULL, NULL, end};
static PyModuleDef once = {PyModuleDef_HEAD_INIT, "once", NULL, sizeof(State), methods, NULL, NULL, NULL, end};
PyMODINIT_FUNC PyInit_several(void) { return PyModuleDef_Init(&several); }
PyMODINIT_FUNC PyInit_refusing(void) { return PyModuleDef_Init(&several); }
PyMODINIT_FUNC PyInit_foreign(void) { return PyModuleDef_Init(&several); }
PyMODINIT_FUNC PyInit_once(void) {
  PyObject *self = PyModule_Create(&once);
  if (self) begin(self);
  return self;
}
"""


@functools.cache
def included():
    return subprocess.check_output([PROGRAM, "-c", "import sysconfig; print(sysconfig.get_config_var('INCLUDEPY'))"],
                                   text=True).strip()


def build(directory):
    """The modules in the directory, without setuptools, which few Pythons have."""
    if not os.path.exists(os.path.join(included(), "Python.h")):
        pytest.skip("no Python.h in %s" % included())
    source = os.path.join(directory, "modules.c")
    with open(source, "w") as out:
        out.write(SOURCE)
    for name in ("several", "once", "foreign", "refusing"):
        subprocess.check_call(["gcc", "-shared", "-fPIC", "-O1", "-D" + name.upper(), "-I", included(),
                               "-o", "%s/%s.so" % (directory, name), source])


def packages():
    """Where the packages of the tests are, for the Python that runs applications."""
    if PYTHON_HOME:
        return subprocess.check_output([PROGRAM, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
                                       text=True).strip()
    return os.path.join(virtual_environment(), os.path.relpath(sysconfig.get_path("purelib"), sys.prefix))


@functools.cache
def has_package(name):
    return subprocess.call([PROGRAM, "-c", "import " + name], stderr=subprocess.DEVNULL) == 0


class Site:
    def __init__(self, mode, imports, value="0", conf=""):
        self.server = Httpd(CONF[mode] % ("" if mode == "daemon" else conf) + ALIASES + (conf if mode == "daemon" else ""),
                            name="extensions")
        self.imports, self.value = imports, value
        self.path = [self.server.make_directory("modules-of-c"), packages()]
        self.write("one", 0)
        self.write("two", 0, imports="COUNT = [0]", value="COUNT.append(0) or len(COUNT) - 1")

    def write(self, name, version, imports=None, value=None):
        path = os.path.join(self.server.apps, name + ".wsgi")
        with open(path + ".new", "w") as script:
            script.write(SCRIPT % (self.path, imports or self.imports, version, value or self.value))
        os.replace(path + ".new", path)

    def ask(self, name="one"):
        answer = self.server.get("/" + name)
        assert answer.status == 200, self.server.story()
        return dict(zip(("pid", "version", "value"), map(int, answer.text.split())))



@pytest.mark.parametrize("imports, reason", [
    ("import numpy; numpy.zeros(3)", "module 'numpy[^']*' is initialised once for all interpreters"
     "|module 'numpy[^']*' may attach threads to the main interpreter"),
    ("from cryptography.fernet import Fernet; Fernet.generate_key()", "'_cffi_backend' is initialised once for all interpreters"
     "|module 'cryptography[^']*' may attach threads to the main interpreter"),
    ("import pydantic; pydantic.TypeAdapter(int).validate_python('1')",
     r"module 'pydantic[^']*' may attach threads to the main interpreter, which is another \(PyGILState_Ensure\)"),
    ("import once", "module 'once' is initialised once for all interpreters"),
    ("import foreign", r"module 'foreign' may attach threads to the main interpreter, which is another \(PyGILState_Ensure\)"),
    ("import refusing", "Module 'refusing' cannot be loaded into a second interpreter"),
], ids=["numpy", "cryptography", "pydantic", "single phase", "PyGILState", "refusing"])
def test_what_cannot_live_in_a_second_interpreter(mode, imports, reason):
    name = imports.replace(";", " ").replace(".", " ").split()[1]
    site = Site(mode, imports)
    if name in ("once", "foreign", "refusing"):
        build(site.path[0])
    elif not has_package(name):
        pytest.skip("Python %d.%d has no package %s" % (PYTHON + (name,)))
    with site.server:
        before, neighbour = site.ask(), site.ask("two")
        for version in (1, 2):
            site.write("one", version)
            assert site.ask()["version"] == version
        after, other = site.ask(), site.ask("two")
        # Each process finds out once.
        line, *more = site.server.log.lines("WSGI0740")
        assert re.search(reason, line)
        assert len(more) == (mode == "daemon")
        if mode == "embedded":
            assert "The script alone is loaded again." in line
            assert after["pid"] == before["pid"] and (other["pid"], other["value"]) == (neighbour["pid"], 2)
        else:
            assert "The process is replaced instead." in line
            assert after["pid"] != before["pid"]


@pytest.mark.parametrize("own_gil", [False, pytest.param(True, marks=pytest.mark.skipif(
    PYTHON < (3, 13), reason="Python %d.%d ends no interpreter with its own GIL" % PYTHON))], ids=["one GIL", "own GIL"])
def test_an_extension_of_several_phases_is_reloaded_as_python_is(mode, own_gil):
    site = Site(mode, "import several, _json, _elementtree, sqlite3", "several.next() * 100 + several.living()",
                conf="WSGIPerInterpreterGIL On\n" if own_gil else "")
    build(site.path[0])
    with site.server:
        before, neighbour = site.ask(), site.ask("two")
        assert before["value"] == 101
        for version in range(1, 11):
            site.write("one", version)
            after = site.ask()
            assert (after["version"], after["pid"], after["value"] // 100) == (version, before["pid"], 1)
        wait_until(lambda: site.ask()["value"] % 100 == 1, "earlier modules to be gone with their interpreters")
        assert site.ask("two") == {**neighbour, "value": 2}
        assert not site.server.log.lines(r"wsgi:(warn|error|crit|alert|emerg)\]")
