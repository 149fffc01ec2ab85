import PythonRuntime

func release(_ reference: consuming PyRef) -> PyObj {  // error: 'reference' used after consume
  _ = reference.release()
  return reference.object
}
