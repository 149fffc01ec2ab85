#include "CPython.h"

static __thread void *slot;

void *wsgi_py_thread_slot(void) { return slot; }
void wsgi_py_set_thread_slot(void *value) { slot = value; }
