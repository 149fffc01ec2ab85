/* CPython for Swift: Python.h, and what Swift cannot import from it, which is every macro and every macro that hides an
 * inline function.  Each wrapper does what the manual says of the macro that it is named after; `wsgi_py_incref` is
 * Py_INCREF.  Unless said otherwise the GIL must be held. */
#ifndef WSGI_CPYTHON_H
#define WSGI_CPYTHON_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

static inline void wsgi_py_incref(PyObject *o) { Py_INCREF(o); }
static inline void wsgi_py_decref(PyObject *o) { Py_DECREF(o); }
static inline Py_ssize_t wsgi_py_refcount(PyObject *o) { return Py_REFCNT(o); }
static inline PyObject *wsgi_py_none(void) { return Py_None; }
static inline PyObject *wsgi_py_true(void) { return Py_True; }
static inline PyObject *wsgi_py_false(void) { return Py_False; }
static inline PyTypeObject *wsgi_py_type(PyObject *o) { return Py_TYPE(o); }
static inline const char *wsgi_py_type_name(PyObject *o) { return Py_TYPE(o)->tp_name; }

static inline bool wsgi_py_is_unicode(PyObject *o) { return PyUnicode_Check(o); }
static inline bool wsgi_py_is_bytes(PyObject *o) { return PyBytes_Check(o); }
static inline bool wsgi_py_is_dict(PyObject *o) { return PyDict_Check(o); }
static inline bool wsgi_py_is_list(PyObject *o) { return PyList_Check(o); }
static inline bool wsgi_py_is_tuple(PyObject *o) { return PyTuple_Check(o); }
static inline bool wsgi_py_is_exact_list(PyObject *o) { return PyList_CheckExact(o); }
static inline bool wsgi_py_is_exact_tuple(PyObject *o) { return PyTuple_CheckExact(o); }
static inline bool wsgi_py_is_exact_generator(PyObject *o) { return PyGen_CheckExact(o); }

static inline Py_ssize_t wsgi_py_list_size(PyObject *o) { return PyList_GET_SIZE(o); }
static inline PyObject *wsgi_py_list_item(PyObject *o, Py_ssize_t i) { return PyList_GET_ITEM(o, i); }
static inline Py_ssize_t wsgi_py_tuple_size(PyObject *o) { return PyTuple_GET_SIZE(o); }
static inline PyObject *wsgi_py_tuple_item(PyObject *o, Py_ssize_t i) { return PyTuple_GET_ITEM(o, i); }
static inline Py_ssize_t wsgi_py_bytes_size(PyObject *o) { return PyBytes_GET_SIZE(o); }
static inline char *wsgi_py_bytes_data(PyObject *o) { return PyBytes_AS_STRING(o); }

/* The latin-1 bytes of a str all of whose characters are below U+0100, which CPython stores just so; else NULL. */
static inline const uint8_t *wsgi_py_latin1(PyObject *o, Py_ssize_t *length) {
#if PY_VERSION_HEX < 0x030C0000
  if (PyUnicode_READY(o) < 0) return NULL;
#endif
  if (PyUnicode_KIND(o) != PyUnicode_1BYTE_KIND) return NULL;
  *length = PyUnicode_GET_LENGTH(o);
  return (const uint8_t *)PyUnicode_1BYTE_DATA(o);
}

static inline PyObject *wsgi_py_exception_attribute_error(void) { return PyExc_AttributeError; }
static inline PyObject *wsgi_py_exception_type_error(void) { return PyExc_TypeError; }
static inline PyObject *wsgi_py_exception_value_error(void) { return PyExc_ValueError; }
static inline PyObject *wsgi_py_exception_runtime_error(void) { return PyExc_RuntimeError; }
static inline PyObject *wsgi_py_exception_os_error(void) { return PyExc_OSError; }
static inline PyObject *wsgi_py_exception_system_exit(void) { return PyExc_SystemExit; }
static inline PyObject *wsgi_py_exception_memory_error(void) { return PyExc_MemoryError; }

/* A call of two positional arguments. */
static inline PyObject *wsgi_py_call2(PyObject *callable, PyObject *a, PyObject *b) {
  PyObject *arguments[3] = { NULL, a, b };
  return PyObject_Vectorcall(callable, arguments + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}
static inline PyObject *wsgi_py_call1(PyObject *callable, PyObject *a) { return PyObject_CallOneArg(callable, a); }

/* The name of an extension module of the current interpreter that is initialised in a single phase, and so shares what it keeps
 * with other interpreters; NULL: there is none outside the standard library, whose modules are known to get on. */
const char *wsgi_py_single_phase_module(void);
/* The same of one that uses PyGILState_Ensure, by which a thread gets a state of the main interpreter, whoever it works for. */
const char *wsgi_py_gilstate_module(void);

/* The code of one of the adapter's own Python sources, as the build has compiled it for this very Python; NULL, without an
 * exception, where it has not. */
PyObject *wsgi_py_precompiled(const char *name);

/* Gives the pages back to the system that an interpreter has left in the heaps of many threads. */
void wsgi_py_trim_heaps(void);

/* The current exception as one normalized object, with its traceback; NULL when there is none.  Clears the indicator. */
PyObject *wsgi_py_take_exception(void);
/* Sets the indicator to an exception object; steals the reference. */
void wsgi_py_restore_exception(PyObject *exception);
/* Raises `type` with a value and a traceback as the items of an exc_info tuple; borrows all three. */
void wsgi_py_raise_exc_info(PyObject *type, PyObject *value, PyObject *traceback);

/* MARK: native objects
 *
 * A native object is a Python object whose behaviour is a Swift class (PythonRuntime.NativeObject).  `context` is a retained
 * reference to it. */
enum {
  WSGI_PY_CALLABLE = 1, /* instances can be called */
  WSGI_PY_ITERATOR = 2, /* instances are their own iterator */
  WSGI_PY_DICT = 4,     /* instances have a __dict__ */
};
#define WSGI_PY_METHODS 16

/* Makes a type for the current interpreter. `methods`: up to WSGI_PY_METHODS names; they, and `name`, are of static storage.
 * Types of one name have the same methods. */
PyObject *wsgi_py_native_type(const char *name, const char *const *methods, int count, int flags);
PyObject *wsgi_py_native_new(PyObject *type, void *context);

/* Implemented in Swift (NativeObject.swift). Each returns a new reference, or NULL with the indicator set. */
PyObject *wsgi_swift_native_call(void *context, PyObject *const *arguments, Py_ssize_t count);
PyObject *wsgi_swift_native_method(void *context, int index, PyObject *const *arguments, Py_ssize_t count);
PyObject *wsgi_swift_native_next(void *context);
void wsgi_swift_native_released(void *context);

/* MARK: start and interpreters */

/* Options for initialising Python; strings are UTF-8 or bytes of the file system, NULL where not set. */
typedef struct wsgi_py_start {
  const char *program;      /* the interpreter that stands for this Python: sys.executable */
  const char *home;
  const char *const *warnings;
  int32_t warning_count;
  int32_t optimize;
  bool dont_write_bytecode;
  int32_t use_hash_seed;    /* as PyConfig's: 1: hash_seed; 0: a random one; -1: random, or PYTHONHASHSEED */
  uint32_t hash_seed;
} wsgi_py_start;

/* Initialises Python; leaves the calling thread with the GIL.  NULL, or a sentence of static or leaked storage. */
const char *wsgi_py_initialize(const wsgi_py_start *start);

/* Makes a sub-interpreter and leaves it current.  `own_gil` needs 3.12.  NULL on failure, with the earlier state current. */
PyThreadState *wsgi_py_new_interpreter(bool own_gil, const char **error);

static inline uint32_t wsgi_py_version_hex(void) { return PY_VERSION_HEX; }
static inline const char *wsgi_py_version_text(void) { return Py_STRINGIFY(PY_MAJOR_VERSION) "." Py_STRINGIFY(PY_MINOR_VERSION); }
/* The file of the libpython that runs; "" where it is not to be found out. */
const char *wsgi_py_library(void);
/* The interpreter that belongs to the library that the engine was built for. */
const char *wsgi_py_program(void);
static inline bool wsgi_py_built_without_gil(void) {
#ifdef Py_GIL_DISABLED
  return true;
#else
  return false;
#endif
}

/* One pointer for each thread of the process, NULL at first (Swift has no thread-local storage of its own).  No GIL. */
void *wsgi_py_thread_slot(void);
void wsgi_py_set_thread_slot(void *value);

/* Whether this process is the child of a fork that a process with Python made; not in one that has exec'ed since. */
extern int wsgi_py_forked;
static inline bool wsgi_py_is_forked_child(void) { return __builtin_expect(wsgi_py_forked, 0); }
/* Sees to `wsgi_py_forked`.  `forgets_handlers`: a child of a fork has none of the server's signal handlers and blocks none of
 * its signals.  Once, in a process that starts Python. */
bool wsgi_py_watch_forks(bool forgets_handlers);
/* In the child of a fork: the interpreter that has forked is the main one there, and the only one.  CPython would end the others,
 * and hangs, crashes or aborts over it; it lets none but the main interpreter live.  What the others have is left as it is.
 * Python 3.12 allows os.fork() in the main interpreter only. */
void wsgi_py_keep_one_interpreter(void);
/* Forks a process that is not a child of this one, but of whatever adopts its orphans, and in which `begin` is called before any
 * Python code runs; unless that returns 0 it ends.  It is not a forked child in the sense of `wsgi_py_forked`.  Attached to the
 * main interpreter, on the only thread.  0 in the new process, 1 in this one, or -errno. */
int32_t wsgi_py_fork_orphan(int32_t (*begin)(void *context), void *context);

/* How many thread states an interpreter has. */
intptr_t wsgi_py_thread_count(PyInterpreterState *interpreter);
/* Deletes a thread state of another thread, while attached to its interpreter. */
void wsgi_py_delete_thread_state(PyThreadState *state);
PyThreadState *wsgi_py_thread_state_get_unchecked(void);

/* Walks the Python frames of a thread of the current interpreter, innermost first, as long as `each` returns true. */
void wsgi_py_walk_frames(PyThreadState *state, bool (*each)(void *, const char *file, const char *function, int line),
                         void *context);
/* Writes the stacks of an interpreter's threads to a descriptor without the GIL, for when it cannot be had. */
void wsgi_py_dump_without_gil(PyInterpreterState *interpreter, int descriptor);
/* PyThreadState's identity for PyThreadState_SetAsyncExc. */
unsigned long wsgi_py_thread_ident(PyThreadState *state);

#endif
