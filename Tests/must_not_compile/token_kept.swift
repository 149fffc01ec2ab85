import PythonRuntime

final class Keeper {
  var gil: GILToken?

  func keep(_ gil: borrowing GILToken) {  // error: 'gil' is borrowed and cannot be consumed
    self.gil = consume gil
  }
}
