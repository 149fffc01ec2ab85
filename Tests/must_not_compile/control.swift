import PythonRuntime

// What the others do wrong, done right. This one compiles.

func keep(_ attachment: Attachment, _ kept: inout KeptRef) {
  attachment.run { gil in
    do throws(Raised) {
      kept.set(try PyRef.dict(), gil)
      attachment.detached(gil) {}
    } catch { kept.drop(gil) }
  }
}
