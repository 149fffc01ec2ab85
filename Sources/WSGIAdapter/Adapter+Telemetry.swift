import PythonRuntime
import WSGICore
import WSGIMeasurement

// What the reports of this process are set to, and what they ask it for.

extension SlowRequests {
  /// Nil where WSGISlowRequests is not set.
  convenience init?(_ settings: EngineSettings) {
    self.init(
      seconds: settings.slowRequests, threads: settings.threads,
      reportInterval: settings.telemetryTarget == nil ? nil : settings.telemetryInterval,
      capturesUserAgent: settings.telemetryOptions.contains(.captureUserAgent))
  }
}

extension TelemetrySettings {
  fileprivate init(_ settings: EngineSettings) {
    self.init(interval: settings.telemetryInterval)
    target = settings.telemetryTarget?.text
    processGroup = settings.processGroup.text
    apacheVersion = settings.apacheVersion
    mpm = settings.mpmName.text
    pythonVersion = Python.fullVersion
  }
}

extension Adapter {
  /// Starts to report, where anything is to be. At the end of the adapter's start, which lasts as long as the process.
  func startTelemetry() -> Telemetry? {
    guard hasTelemetry || slowRequests != nil else { return nil }
    if slowRequests != nil { accounting.add(.slowRequests) }
    if hasTelemetry { startRecording() }
    var settings = TelemetrySettings(settings)
    python.inEachInterpreter { settings.switchInterval = ($0.contents as? InterpreterContents)?.switchInterval($1) }
    let process = MeasuredProcess(
      place: place, warn: { [host] in host.log(.warning, $0) }, inform: { [host] in host.log(.info, $0) },
      meters: { [running] in running.all.map(\.meter) }, activeRequests: { [running] in running.count },
      stacks: { [unowned self] in stacks($0, milliseconds: $1) },
      collectors: { [python] in
        python.interpreters.map { ($0.name, ($0.contents as? InterpreterContents)?.collectorLog) }
      },
      inspectCollectors: { [python] in Adapter.inspectCollectors(python, limit: $0) })
    return Telemetry(settings, process, accounting, sampler, slowRequests)
  }

  /// Not attached.
  private static func inspectCollectors(_ python: Python, limit: Int) -> ([CollectorSnapshot], Double?) {
    var snapshots: [CollectorSnapshot] = []
    var switchInterval: Double?
    python.inEachInterpreter { interpreter, gil in
      guard let contents = interpreter.contents as? InterpreterContents else { return }
      if interpreter.isMain { switchInterval = contents.switchInterval(gil) }
      if snapshots.count < limit, let snapshot = contents.collectorSnapshot(gil) { snapshots.append(snapshot) }
    }
    return (snapshots, switchInterval)
  }
}
