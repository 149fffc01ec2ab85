import PythonRuntime

func drop(_ kept: inout KeptRef) {
  kept.drop()  // error: missing argument for parameter #1 in call
}
