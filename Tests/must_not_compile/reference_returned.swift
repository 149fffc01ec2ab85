import PythonRuntime

func make(_ attachment: Attachment) {
  let dict: PyRef? = attachment.run { _ in try? PyRef.dict() }  // error: conform to 'Copyable'
  _ = dict
}
