#include "CPython.h"
typedef int wsgi_py_nothing;
