import WSGICore

/// The settings an engine is started with, as pairs of `EngineSettings`.
public struct SettingsPairs: Equatable, Sendable {
  public struct Pair: Equatable, Sendable {
    public let key: String
    public let value: ByteText
  }

  public private(set) var pairs: [Pair] = []

  public init() {}

  public mutating func set(_ key: String, _ value: ByteText) { pairs.append(Pair(key: key, value: value)) }
  public mutating func set(_ key: String, _ value: String) { set(key, ByteText(value)) }

  mutating func set(_ key: String, ifPresent value: ByteText?) {
    if let value { set(key, value) }
  }

  mutating func set(_ key: String, flag: Bool?) {
    if flag == true { set(key, "1") }
  }

  public subscript(_ key: String) -> ByteText? { pairs.last { $0.key == key }?.value }

  /// The flat encoding: the number of pairs, then each.
  public var encoded: [UInt8] {
    var bytes: [UInt8] = []
    appendHostOrder(pairs.count, to: &bytes)
    for pair in pairs {
      let key = [UInt8](pair.key.utf8)
      appendHostOrder(key.count, to: &bytes)
      appendHostOrder(pair.value.count, to: &bytes)
      bytes.append(contentsOf: key)
      bytes.append(contentsOf: pair.value.bytes)
    }
    return bytes
  }
}

private func appendHostOrder(_ count: Int, to bytes: inout [UInt8]) {
  let value = UInt32(clamping: count)
  let shifts: [UInt32] = UInt32(1).littleEndian == 1 ? [0, 8, 16, 24] : [24, 16, 8, 0]
  for shift in shifts { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
}

/// What the server knows about itself that engines are told.
public struct ServerFacts: Sendable {
  /// The MPM's processes and threads per process.
  public var processes: Int
  public var threads: Int
  /// httpd runs as a single process (`-X`).
  public var isSingleProcess: Bool

  public init(processes: Int, threads: Int, isSingleProcess: Bool) {
    self.processes = processes
    self.threads = threads
    self.isSingleProcess = isSingleProcess
  }
}

extension GlobalConfig {
  /// The settings of the engine in an httpd child.
  public func embeddedSettings(_ facts: ServerFacts) -> SettingsPairs {
    var settings = SettingsPairs()
    settings.set(EngineSettings.processGroup, "")
    settings.set(EngineSettings.pythonHome, ifPresent: pythonHome)
    settings.set(EngineSettings.pythonPath, ifPresent: interpreter.pythonPath)
    settings.set(EngineSettings.pythonEggs, ifPresent: pythonEggs)
    settings.set(EngineSettings.switchInterval, ifPresent: interpreter.switchInterval.map { ByteText("\($0)") })
    addCommon(&settings, for: [])
    settings.set(EngineSettings.processes, "\(facts.processes)")
    settings.set(EngineSettings.threads, "\(facts.threads)")
    settings.set(EngineSettings.multithread, flag: facts.threads > 1)
    settings.set(EngineSettings.multiprocess, flag: facts.processes > 1 && !facts.isSingleProcess)
    settings.set(EngineSettings.singleProcess, flag: facts.isSingleProcess)
    settings.set(EngineSettings.serverMetrics, flag: serverMetrics)
    if restrictEmbedded != true { addTelemetry(&settings) }
    return settings
  }

  /// The settings of the engine in a process of `group`.
  ///
  /// - user: whom the process runs as: the group's own user, or httpd's.
  public func settings(for group: DaemonGroup, user: UserRecord?) -> SettingsPairs {
    var settings = SettingsPairs()
    settings.set(EngineSettings.processGroup, group.name)
    settings.set(EngineSettings.python, ifPresent: group.python)
    settings.set(EngineSettings.pythonHome, ifPresent: group.pythonHome ?? (group.python == nil ? pythonHome : nil))
    settings.set(EngineSettings.pythonPath, ifPresent: group.pythonPath)
    settings.set(EngineSettings.pythonEggs, ifPresent: group.pythonEggs)
    let interval = group.switchInterval ?? interpreter.switchInterval
    settings.set(EngineSettings.switchInterval, ifPresent: interval.map { ByteText("\($0)") })
    addCommon(&settings, for: group.name.bytes)
    settings.set(EngineSettings.processes, "\(group.processes)")
    settings.set(EngineSettings.threads, "\(group.threads)")
    settings.set(EngineSettings.multithread, flag: group.threads > 1)
    settings.set(EngineSettings.multiprocess, flag: group.isMultiprocess)
    settings.set(EngineSettings.home, ifPresent: group.home)
    settings.set(EngineSettings.connectTimeout, "\(group.connectTimeout)")
    settings.set(EngineSettings.userName, ifPresent: user?.name)
    settings.set(EngineSettings.userHome, ifPresent: user?.home)
    settings.set(EngineSettings.service, flag: group.threads == 0)
    if let owner = group.scriptOwner { settings.set(EngineSettings.scriptOwner, owner.text) }
    settings.set(EngineSettings.serverMetrics, flag: group.serverMetrics)
    if group.threads > 0 { addTelemetry(&settings) }
    return settings
  }

  private func addCommon(_ settings: inout SettingsPairs, for group: [UInt8]) {
    switch pythonHashSeed {
    case .random: settings.set(EngineSettings.hashSeed, "random")
    case .fixed(let seed): settings.set(EngineSettings.hashSeed, "\(seed)")
    case nil: break
    }
    if let pythonOptimize { settings.set(EngineSettings.optimize, "\(pythonOptimize)") }
    settings.set(EngineSettings.dontWriteBytecode, flag: dontWriteBytecode)
    for warning in pythonWarnings { settings.set(EngineSettings.warning, warning) }
    if destroyInterpreter == false { settings.set(EngineSettings.destroyInterpreter, "0") }
    settings.set(EngineSettings.restrictStdin, flag: interpreter.restrictStdin)
    settings.set(EngineSettings.restrictStdout, flag: interpreter.restrictStdout)
    if interpreter.restrictSignal == false { settings.set(EngineSettings.restrictSignal, "0") }
    settings.set(EngineSettings.perInterpreterGIL, flag: interpreter.perInterpreterGIL)
    settings.set(EngineSettings.freeThreading, flag: interpreter.freeThreading)
    settings.set(EngineSettings.caseInsensitive, flag: caseSensitivity == false)
    if let maximumInterpreters { settings.set(EngineSettings.maximumInterpreters, "\(maximumInterpreters)") }
    for block in interpreterOptions where block.processGroup == nil || block.processGroup == group {
      settings.set(EngineSettings.interpreterOptions, ByteText(block.pairs.encoded))
    }
  }

  private func addTelemetry(_ settings: inout SettingsPairs) {
    if let telemetry {
      settings.set(EngineSettings.telemetryTarget, telemetry.target)
      settings.set(EngineSettings.telemetryInterval, "\(telemetry.interval)")
    }
    if telemetryOptions.contains(.captureUserAgent) { settings.set(EngineSettings.telemetryOptions, "CaptureUserAgent") }
    if let slowRequests, slowRequests > 0 { settings.set(EngineSettings.slowRequests, "\(slowRequests)") }
  }
}

extension InterpreterOptions {
  /// The block as an engine reads it. A flag is `1` or `0`: here it can take back what a wider block says.
  var pairs: SettingsPairs {
    var pairs = SettingsPairs()
    pairs.set("process-group", ifPresent: processGroup.map { ByteText($0) })
    pairs.set("application-group", ifPresent: applicationGroup.map { ByteText($0) })
    pairs.set(EngineSettings.pythonPath, ifPresent: settings.pythonPath)
    pairs.set(EngineSettings.switchInterval, ifPresent: settings.switchInterval.map { ByteText("\($0)") })
    let flags = [
      (EngineSettings.perInterpreterGIL, settings.perInterpreterGIL), (EngineSettings.freeThreading, settings.freeThreading),
      (EngineSettings.restrictStdin, settings.restrictStdin), (EngineSettings.restrictStdout, settings.restrictStdout),
      (EngineSettings.restrictSignal, settings.restrictSignal),
    ]
    for (key, flag) in flags {
      if let flag { pairs.set(key, flag ? "1" : "0") }
    }
    return pairs
  }
}
