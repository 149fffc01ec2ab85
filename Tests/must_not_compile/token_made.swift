import PythonRuntime

func withoutTheGIL(_ kept: inout KeptRef) {
  let gil = GILToken()  // error: 'GILToken' initializer is inaccessible due to 'internal' protection level
  kept.drop(gil)
}
