import PythonRuntime

func takeAway(_ attachment: Attachment) {
  let gil: GILToken = attachment.run { gil in gil }  // error: conform to 'Copyable'
  _ = gil
}
