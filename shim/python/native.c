#include "CPython.h"
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <structmember.h>

typedef struct {
  PyObject_HEAD
  vectorcallfunc vectorcall;
  void *context;
  PyObject *dict;
} native_object;

/* PyMethodDef wants one C function a method and tells it nothing else, so there is one for each index. */
#define METHOD(i) \
  static PyObject *method_##i(PyObject *self, PyObject *const *arguments, Py_ssize_t count) { \
    return wsgi_swift_native_method(((native_object *)self)->context, i, arguments, count); \
  }
METHOD(0) METHOD(1) METHOD(2) METHOD(3) METHOD(4) METHOD(5) METHOD(6) METHOD(7)
METHOD(8) METHOD(9) METHOD(10) METHOD(11) METHOD(12) METHOD(13) METHOD(14) METHOD(15)
typedef PyObject *(*fast_method)(PyObject *, PyObject *const *, Py_ssize_t);
static const fast_method method_table[WSGI_PY_METHODS] = {
  method_0, method_1, method_2, method_3, method_4, method_5, method_6, method_7,
  method_8, method_9, method_10, method_11, method_12, method_13, method_14, method_15,
};

static PyObject *native_vectorcall(PyObject *self, PyObject *const *arguments, size_t flags, PyObject *keywords) {
  if (keywords && PyTuple_GET_SIZE(keywords) > 0) {
    PyErr_Format(PyExc_TypeError, "%s takes no keyword arguments", Py_TYPE(self)->tp_name);
    return NULL;
  }
  return wsgi_swift_native_call(((native_object *)self)->context, arguments, PyVectorcall_NARGS(flags));
}

static void native_dealloc(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  native_object *object = (native_object *)self;
  void *context = object->context;
  PyObject_GC_UnTrack(self);
  object->context = NULL;
  Py_CLEAR(object->dict);
  type->tp_free(self);
  Py_DECREF(type);
  if (context) wsgi_swift_native_released(context);
}

static int native_traverse(PyObject *self, visitproc visit, void *arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(((native_object *)self)->dict);
  return 0;
}

static int native_clear(PyObject *self) {
  Py_CLEAR(((native_object *)self)->dict);
  return 0;
}

static PyObject *native_iternext(PyObject *self) { return wsgi_swift_native_next(((native_object *)self)->context); }

static PyMemberDef call_members[] = {
  { "__vectorcalloffset__", T_PYSSIZET, offsetof(native_object, vectorcall), READONLY, NULL }, { NULL, 0, 0, 0, NULL } };
static PyMemberDef dict_members[] = {
  { "__dictoffset__", T_PYSSIZET, offsetof(native_object, dict), READONLY, NULL }, { NULL, 0, 0, 0, NULL } };

typedef struct known_methods {
  const char *name;
  PyMethodDef *definitions;
  struct known_methods *next;
} known_methods;

/* The method definitions of a type, which refers to them as long as it lives: all interpreters have the same, for the life of the
 * process.  NULL: no memory. */
static PyMethodDef *method_definitions(const char *name, const char *const *methods, int count) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static known_methods *all;
  pthread_mutex_lock(&lock);
  known_methods *found = all;
  while (found && strcmp(found->name, name) != 0) found = found->next;
  if (!found && (found = calloc(1, sizeof *found + ((size_t)count + 1) * sizeof(PyMethodDef)))) {
    *found = (known_methods){ name, (PyMethodDef *)(found + 1), all };
    for (int i = 0; i < count; i++) {
      found->definitions[i].ml_name = methods[i];
      found->definitions[i].ml_meth = (PyCFunction)(void (*)(void))method_table[i];
      found->definitions[i].ml_flags = METH_FASTCALL;
    }
    all = found;
  }
  pthread_mutex_unlock(&lock);
  return found ? found->definitions : NULL;
}

PyObject *wsgi_py_native_type(const char *name, const char *const *methods, int count, int flags) {
  if (count < 0 || count > WSGI_PY_METHODS) {
    PyErr_SetString(PyExc_SystemError, "too many methods for a native type");
    return NULL;
  }
  PyMethodDef *definitions = method_definitions(name, methods, count);
  if (!definitions) return PyErr_NoMemory();
  PyType_Slot slots[10];
  int n = 0;
  slots[n++] = (PyType_Slot){ Py_tp_dealloc, (void *)native_dealloc };
  slots[n++] = (PyType_Slot){ Py_tp_traverse, (void *)native_traverse };
  slots[n++] = (PyType_Slot){ Py_tp_clear, (void *)native_clear };
  slots[n++] = (PyType_Slot){ Py_tp_methods, definitions };
  unsigned type_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION;
  if (flags & WSGI_PY_CALLABLE) {
    slots[n++] = (PyType_Slot){ Py_tp_call, (void *)PyVectorcall_Call };
    slots[n++] = (PyType_Slot){ Py_tp_members, call_members };
    type_flags |= Py_TPFLAGS_HAVE_VECTORCALL;
  } else if (flags & WSGI_PY_DICT) {
    slots[n++] = (PyType_Slot){ Py_tp_members, dict_members };
  }
  if (flags & WSGI_PY_ITERATOR) {
    slots[n++] = (PyType_Slot){ Py_tp_iter, (void *)PyObject_SelfIter };
    slots[n++] = (PyType_Slot){ Py_tp_iternext, (void *)native_iternext };
  }
  slots[n] = (PyType_Slot){ 0, NULL };
  PyType_Spec spec = { name, sizeof(native_object), 0, type_flags, slots };
  return PyType_FromSpec(&spec);
}

PyObject *wsgi_py_native_new(PyObject *type, void *context) {
  native_object *object = PyObject_GC_New(native_object, (PyTypeObject *)type);
  if (!object) return NULL;
  object->vectorcall = native_vectorcall;
  object->context = context;
  object->dict = NULL;
  PyObject_GC_Track(object);
  return (PyObject *)object;
}
