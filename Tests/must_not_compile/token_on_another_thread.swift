import PythonRuntime

func later(_ gil: borrowing GILToken) -> () -> Void {  // error: 'gil' cannot be captured by an escaping closure
  return { use(gil) }
}

func use(_ gil: borrowing GILToken) {}
