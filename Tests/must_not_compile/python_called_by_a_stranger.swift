import PythonRuntime

/// A native object's functions are called with a token by Python, and by nobody who has none.
func call(_ object: NativeObject, _ arguments: Arguments) throws(Raised) {
  _ = try object.call(arguments)  // error: missing argument for parameter #2 in call
}
