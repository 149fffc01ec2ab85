import PythonRuntime
import WSGICore
import WSGIMeasurement

// The reports of this process, and the answers to what they ask.

extension Adapter: MeasuredProcess {
  /// Starts to report, if reports are configured. At the end of the adapter's start, which lasts as long as the process.
  func startTelemetry() -> Telemetry? {
    if slowRequests != nil { accounting.add(.slowRequests) }
    if hasTelemetry { startRecording() }
    return Telemetry(settings, self, accounting, sampler, slowRequests)
  }

  public var pythonVersion: String { Python.fullVersion }
  public var meters: [RequestMeter] { running.all.map(\.meter) }
  public var activeRequests: Int { running.count }
  public func warn(_ sentence: String) { host.log(.warning, sentence) }
  public func inform(_ sentence: String) { host.log(.info, sentence) }

  public var collectors: [(interpreter: [UInt8], log: CollectorLog?)] {
    python.interpreters.map { ($0.name, ($0.contents as? InterpreterContents)?.collectorLog) }
  }

  /// Not attached.
  public func inspectCollectors(limit: Int) -> (snapshots: [CollectorSnapshot], switchInterval: Double?) {
    var snapshots: [CollectorSnapshot] = []
    var switchInterval: Double?
    python.inEachInterpreter { interpreter, gil in
      guard let contents = interpreter.contents as? InterpreterContents else { return }
      if interpreter.isMain {
        switchInterval = PythonException.ignoring { try PythonCode.sys("getswitchinterval")?.call().double() }
      }
      if snapshots.count < limit, let snapshot = contents.collectorSnapshot(gil) { snapshots.append(snapshot) }
    }
    return (snapshots, switchInterval)
  }
}

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
  fileprivate func collectorSnapshot(_ gil: borrowing GILToken) -> CollectorSnapshot? {
    PythonException.ignoring {
      let list = try function("collector_snapshot").call()
      let object = list.object
      guard object.isList, object.listCount == CollectorSnapshot.count else { return nil }
      var numbers: [Int] = []
      for index in 0..<object.listCount { numbers.append(try object.listItem(index).int()) }
      return CollectorSnapshot(interpreter: interpreter.name, numbers: numbers)
    }
  }
}
