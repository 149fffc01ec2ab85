import PythonRuntime

func wait(_ attachment: Attachment) {
  attachment.detached {}  // error: missing argument for parameter #1 in call
}
