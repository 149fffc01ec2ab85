#include "CPython.h"

#include <marshal.h>
#include <string.h>

#ifdef WSGI_PYTHON_CODE
#include WSGI_PYTHON_CODE
#else
#define WSGI_CODE_MAGIC 0L
#define WSGI_CODES { "", 0, NULL },
#endif

static const struct {
  const char *name;
  Py_ssize_t length;
  const unsigned char *bytes;
} codes[] = { WSGI_CODES };

PyObject *wsgi_py_precompiled(const char *name) {
  if (PyImport_GetMagicNumber() != WSGI_CODE_MAGIC) return NULL;
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    if (strcmp(codes[i].name, name)) continue;
    PyObject *code = PyMarshal_ReadObjectFromString((const char *)codes[i].bytes, codes[i].length);
    if (!code) PyErr_Clear();
    return code;
  }
  return NULL;
}
