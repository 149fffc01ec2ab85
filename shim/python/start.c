#include "CPython.h"

#include <dlfcn.h>
#include <frameobject.h>
#include <malloc.h>
#include <stdio.h>

static const char *explain(PyStatus status) {
  return status.err_msg ? status.err_msg : "Python gave no reason";
}

const char *wsgi_py_library(void) {
  Dl_info about;
  return dladdr((const void *)(uintptr_t)&Py_GetVersion, &about) && about.dli_fname ? about.dli_fname : "";
}

const char *wsgi_py_program(void) { return WSGI_PYTHON_PROGRAM; }

const char *wsgi_py_initialize(const wsgi_py_start *start) {
  PyPreConfig preconfig;
  PyPreConfig_InitPythonConfig(&preconfig);
  preconfig.parse_argv = 0;
  PyStatus status = Py_PreInitialize(&preconfig);
  if (PyStatus_Exception(status)) return explain(status);

  PyConfig config;
  PyConfig_InitPythonConfig(&config);
  config.parse_argv = 0;
  config.install_signal_handlers = 0;
  config.optimization_level = start->optimize > 0 ? start->optimize : config.optimization_level;
  if (start->dont_write_bytecode) config.write_bytecode = 0;
  config.use_hash_seed = start->use_hash_seed;
  config.hash_seed = start->hash_seed;
  wchar_t *argv[] = { L"mod_wsgi" };
  status = PyConfig_SetArgv(&config, 1, argv);
  if (!PyStatus_Exception(status) && start->program)
    status = PyConfig_SetBytesString(&config, &config.program_name, start->program);
  if (!PyStatus_Exception(status) && start->home) status = PyConfig_SetBytesString(&config, &config.home, start->home);
  for (int32_t i = 0; i < start->warning_count && !PyStatus_Exception(status); i++) {
    wchar_t *filter = Py_DecodeLocale(start->warnings[i], NULL);
    if (!filter) {
      status = PyStatus_NoMemory();
      break;
    }
    status = PyWideStringList_Append(&config.warnoptions, filter);
    PyMem_RawFree(filter);
  }
  if (!PyStatus_Exception(status)) status = Py_InitializeFromConfig(&config);
  PyConfig_Clear(&config);
  return PyStatus_Exception(status) ? explain(status) : NULL;
}

#if PY_VERSION_HEX >= 0x030C0000
/* All interpreters share the static types of this module, parts of which lie in the memory of the first that imports it: that
 * must not be one which ends before the others (CPython's gh-136423).  In the main interpreter. */
static void settle_shared_types(void) {
  PyObject *module = PY_VERSION_HEX >= 0x030D0000 ? PyImport_ImportModule("_datetime") : NULL;
  Py_XDECREF(module);
  PyErr_Clear();
}
#endif

PyThreadState *wsgi_py_new_interpreter(bool own_gil, const char **error) {
  PyThreadState *before = PyThreadState_Get(), *made = NULL;
  *error = "Python could not create a sub-interpreter";
#if PY_VERSION_HEX >= 0x030C0000
  if (own_gil) settle_shared_types();
  /* Else what Py_NewInterpreter gives. In 3.12 the child of a fork does not live long: see wsgi_py_keep_one_interpreter. */
  PyInterpreterConfig config = {
    .use_main_obmalloc = !own_gil, .allow_fork = PY_VERSION_HEX >= 0x030D0000, .allow_exec = 1, .allow_threads = 1,
    .allow_daemon_threads = 1, .check_multi_interp_extensions = own_gil,
    .gil = own_gil ? PyInterpreterConfig_OWN_GIL : PyInterpreterConfig_SHARED_GIL };
  PyStatus status = Py_NewInterpreterFromConfig(&made, &config);
  if (!PyStatus_Exception(status)) return made;
  *error = explain(status);
  if (wsgi_py_thread_state_get_unchecked() != before) PyThreadState_Swap(before);
  return NULL;
#else
  (void)own_gil;
  made = Py_NewInterpreter();
  if (!made) PyThreadState_Swap(before);
  return made;
#endif
}

intptr_t wsgi_py_thread_count(PyInterpreterState *interpreter) {
  intptr_t count = 0;
  for (PyThreadState *t = PyInterpreterState_ThreadHead(interpreter); t; t = PyThreadState_Next(t)) count++;
  return count;
}

void wsgi_py_trim_heaps(void) { malloc_trim(0); }

void wsgi_py_delete_thread_state(PyThreadState *state) {
  PyThreadState_Clear(state);
#if PY_VERSION_HEX >= 0x030C0000
  /* CPython takes it for the calling thread's, and would take from that what PyGILState_Ensure finds its own state by. */
  state->_status.bound_gilstate = 0;
#endif
  PyThreadState_Delete(state);
}

PyThreadState *wsgi_py_thread_state_get_unchecked(void) {
#if PY_VERSION_HEX >= 0x030D0000
  return PyThreadState_GetUnchecked();
#else
  return _PyThreadState_UncheckedGet();
#endif
}

void wsgi_py_walk_frames(PyThreadState *state, bool (*each)(void *, const char *file, const char *function, int line),
                         void *context) {
  PyFrameObject *frame = PyThreadState_GetFrame(state);
  while (frame) {
    PyCodeObject *code = PyFrame_GetCode(frame);
    const char *file = PyUnicode_AsUTF8(code->co_filename);
    if (!file) PyErr_Clear();
    const char *name = PyUnicode_AsUTF8(code->co_name);
    if (!name) PyErr_Clear();
    bool goes_on = each(context, file ? file : "?", name ? name : "?", PyFrame_GetLineNumber(frame));
    Py_DECREF(code);
    PyFrameObject *back = goes_on ? PyFrame_GetBack(frame) : NULL;
    Py_DECREF(frame);
    frame = back;
  }
}

void wsgi_py_dump_without_gil(PyInterpreterState *interpreter, int descriptor) {
  /* What faulthandler uses on a fatal signal; it is not in the headers, and reads the frames as they stand. */
  typedef const char *(*dump_function)(int, PyInterpreterState *, PyThreadState *);
  dump_function dump = (dump_function)dlsym(RTLD_DEFAULT, "_Py_DumpTracebackThreads");
  if (dump) dump(descriptor, interpreter, NULL);
}

unsigned long wsgi_py_thread_ident(PyThreadState *state) { return state->thread_id; }

static __thread void *slot;

void *wsgi_py_thread_slot(void) { return slot; }
void wsgi_py_set_thread_slot(void *value) { slot = value; }
