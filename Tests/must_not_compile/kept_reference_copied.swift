import PythonRuntime

final class Keeper {
  var kept = KeptRef()

  func dropTwice(_ gil: borrowing GILToken) {
    var copy = kept  // error: 'self.kept' is borrowed and cannot be consumed
    copy.drop(gil)
    kept.drop(gil)
  }
}
