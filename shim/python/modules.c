#include "CPython.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

/* The name of the first extension module of the current interpreter, but for those of the standard library, of which `has` says
   so.  Borrowed. */
static const char *find_extension(int (*has)(const PyModuleDef *)) {
  Py_ssize_t position = 0;
  PyObject *name, *module;
  PyObject *modules = PyImport_GetModuleDict();
  while (PyDict_Next(modules, &position, &name, &module)) {
    if (!PyModule_Check(module) || !PyUnicode_Check(name)) continue;
    PyModuleDef *definition = PyModule_GetDef(module);
    if (!definition || !has(definition)) continue;
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

static int has_single_phase(const PyModuleDef *definition) { return definition->m_slots == NULL; }

/* CPython keeps such a module's one state for all interpreters, or copies the first one's dictionary into the next. */
const char *wsgi_py_single_phase_module(void) { return find_extension(has_single_phase); }

/* Whether the image that the definition lies in names the function among its symbols. */
static int names_gilstate(const PyModuleDef *definition) {
  static const char function[] = "PyGILState_Ensure";
  Dl_info information;
  struct link_map *image = NULL;
  if (!dladdr1(definition, &information, (void **)&image, RTLD_DL_LINKMAP) || image == NULL) return 0;
  uintptr_t names = 0;
  size_t length = 0;
  for (const ElfW(Dyn) *entry = image->l_ld; entry != NULL && entry->d_tag != DT_NULL; entry++) {
    if (entry->d_tag == DT_STRTAB) names = entry->d_un.d_ptr;
    if (entry->d_tag == DT_STRSZ) length = entry->d_un.d_val;
  }
  /* Where the section cannot be written to, the loader has left the address relative. */
  if (names != 0 && names < image->l_addr) names += image->l_addr;
  return names != 0 && memmem((const void *)names, length, function, sizeof function) != NULL;
}

const char *wsgi_py_gilstate_module(void) { return find_extension(names_gilstate); }
