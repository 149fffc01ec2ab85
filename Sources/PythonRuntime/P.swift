import CPython
public func hello() { Py_IsInitialized() == 0 ? () : () }
