import PythonRuntime
import WSGIMeasurement

// Statistics of an interpreter's garbage collector.

extension InterpreterContents {
  /// The `gc.callbacks` entry: `phase` is "start" or "stop". Attached.
  func collects(_ phase: PyObj, _ info: PyObj) throws(Raised) {
    guard let collectorLog else { return }
    guard phase.text == "stop" else { return collectorLog.begins() }
    func number(_ key: StaticString) throws(Raised) -> Int {
      guard info.isDict, let value = try info.item(key) else { return 0 }
      return try value.int()
    }
    collectorLog.ended(
      generation: try number("generation"), collected: try number("collected"), uncollectable: try number("uncollectable"))
  }

  /// The collector's numbers now; nil where `gc` does not work as it should.
  func collectorSnapshot(_ gil: borrowing GILToken) -> CollectorSnapshot? {
    do throws(Raised) {
      let list = try function("collector_snapshot").call()
      let object = list.object
      guard object.isList, object.listCount == CollectorSnapshot.count else { return nil }
      var numbers: [Int] = []
      for index in 0..<object.listCount { numbers.append(try object.listItem(index).int()) }
      return CollectorSnapshot(interpreter: interpreter.name, numbers: numbers)
    } catch {
      PythonException.clear()
      return nil
    }
  }

  /// sys.getswitchinterval(), in seconds.
  func switchInterval(_ gil: borrowing GILToken) -> Double? {
    do throws(Raised) {
      guard let function = PythonCode.sys("getswitchinterval") else { return nil }
      let value = try function.call()
      return try value.object.double()
    } catch {
      PythonException.clear()
      return nil
    }
  }
}
