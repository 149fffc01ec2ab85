import PythonRuntime
import WSGICore
import WSGIMeasurement

// What the reports of this process are set to, and what they ask it for.

extension AdapterSettings {
  private func seconds(_ key: String) -> Double? { self[key].flatMap { Double($0) } }

  /// Nil where WSGISlowRequests is not set.
  func slowRequests(threads: Int) -> SlowRequests? {
    guard let threshold = seconds(EngineSettings.slowRequests) else { return nil }
    return SlowRequests(
      seconds: threshold, threads: threads,
      reportInterval: self[EngineSettings.telemetryTarget] == nil ? nil : seconds(EngineSettings.telemetryInterval) ?? 1,
      capturesUserAgent: (self[EngineSettings.telemetryOptions] ?? "").contains("CaptureUserAgent"))
  }

  fileprivate var telemetry: TelemetrySettings {
    var telemetry = TelemetrySettings(interval: seconds(EngineSettings.telemetryInterval) ?? 1)
    telemetry.target = self[EngineSettings.telemetryTarget]
    telemetry.processGroup = processGroup
    telemetry.apacheVersion = self[EngineSettings.apacheVersion] ?? ""
    telemetry.mpm = self[EngineSettings.mpmName] ?? ""
    telemetry.pythonVersion = Python.fullVersion
    return telemetry
  }
}

extension Adapter {
  /// Starts to report, where anything is to be. At the end of the adapter's start, which lasts as long as the process.
  func startTelemetry() -> Telemetry? {
    guard hasTelemetry || slowRequests != nil else { return nil }
    if slowRequests != nil { accounting.add(.slowRequests) }
    if hasTelemetry { startRecording() }
    var settings = settings.telemetry
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
