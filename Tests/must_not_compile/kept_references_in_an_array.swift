import PythonRuntime

func gather(_ a: consuming KeptRef) {
  let all: [KeptRef] = []  // error: type 'KeptRef' does not conform to protocol 'Copyable'
  _ = all
}
