#include "CPython.h"

#include <string.h>

/* CPython keeps such a module's one state for all interpreters, or copies the first one's dictionary into the next. */
const char *wsgi_py_single_phase_module(void) {
  Py_ssize_t position = 0;
  PyObject *name, *module;
  PyObject *modules = PyImport_GetModuleDict();
  while (PyDict_Next(modules, &position, &name, &module)) {
    if (!PyModule_Check(module) || !PyUnicode_Check(name)) continue;
    PyModuleDef *definition = PyModule_GetDef(module);
    if (!definition || definition->m_slots) continue;
    PyObject *file = PyModule_GetFilenameObject(module);
    const char *path = file ? PyUnicode_AsUTF8(file) : NULL;
    int is_own = path && !strstr(path, "/lib-dynload/");
    Py_XDECREF(file);
    PyErr_Clear();
    if (is_own) return PyUnicode_AsUTF8(name);
  }
  PyErr_Clear();
  return NULL;
}
