/* What CPython lets its own code do only. */
#define Py_BUILD_CORE_MODULE 1
#include <Python.h>
#include <internal/pycore_runtime.h>

#include "CPython.h"

void wsgi_py_keep_one_interpreter(void) {
  struct pyinterpreters *all = &_PyRuntime.interpreters;
  PyThreadState *state = wsgi_py_thread_state_get_unchecked();
  /* Another release of the library than the headers' may have them elsewhere: then nothing is changed. */
  if (!state || all->head != PyInterpreterState_Head() || all->main != PyInterpreterState_Main()) return;
  PyInterpreterState *own = PyThreadState_GetInterpreter(state);
  /* In 3.12 objects of all interpreters lie in memory that is found by way of the main one. */
  if (PY_VERSION_HEX < 0x030C0000 || PY_VERSION_HEX >= 0x030D0000) all->main = own;
  if (all->main == own) all->head = own;
}
