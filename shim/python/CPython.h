#ifndef WSGI_CPYTHON_H
#define WSGI_CPYTHON_H
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#endif
