#include "CPython.h"

PyObject *wsgi_py_take_exception(void) {
#if PY_VERSION_HEX >= 0x030C0000
  return PyErr_GetRaisedException();
#else
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  if (!type) return NULL;
  PyErr_NormalizeException(&type, &value, &traceback);
  if (value && traceback && PyExceptionInstance_Check(value)) PyException_SetTraceback(value, traceback);
  Py_XDECREF(type);
  Py_XDECREF(traceback);
  return value;
#endif
}

void wsgi_py_restore_exception(PyObject *exception) {
#if PY_VERSION_HEX >= 0x030C0000
  PyErr_SetRaisedException(exception);
#else
  PyObject *type = (PyObject *)Py_TYPE(exception);
  Py_INCREF(type);
  PyErr_Restore(type, exception, PyException_GetTraceback(exception));
#endif
}

void wsgi_py_raise_exc_info(PyObject *type, PyObject *value, PyObject *traceback) {
  Py_INCREF(type);
  Py_XINCREF(value);
  if (!traceback || !PyTraceBack_Check(traceback)) traceback = NULL;
  Py_XINCREF(traceback);
  if (!PyExceptionClass_Check(type)) {
    PyErr_SetString(PyExc_TypeError, "exc_info must begin with an exception class");
    Py_DECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    return;
  }
  PyErr_Restore(type, value, traceback);
}
