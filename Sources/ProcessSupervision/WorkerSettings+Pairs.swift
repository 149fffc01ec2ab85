import WSGICore

extension WorkerSettings {
  /// The settings as pairs, followed by those of the engine.
  public func encoded(engineSettings: [(key: String, value: [UInt8])] = []) -> [UInt8] {
    var pairs = PairList()
    pairs.add(Key.version, number: Int64(version))
    pairs.add(EngineSettings.processGroup, processGroup)
    pairs.add(Key.instance, Array("\(instance)".utf8))
    pairs.add(Key.slot, number: Int64(slot))
    if let credentials {
      pairs.add(Key.user, number: Int64(credentials.user))
      pairs.add(Key.group, number: Int64(credentials.group))
      let groups = credentials.supplementaryGroups.map { "\($0)" }.joined(separator: ",")
      pairs.add(Key.supplementaryGroups, Array(groups.utf8))
    }
    if let umask { pairs.add(Key.umask, number: Int64(umask)) }
    pairs.add(Key.changeRoot, optional: changeRoot)
    pairs.add(Key.directory, optional: directory)
    pairs.add(Key.locale, optional: locale)
    pairs.add(Key.cpuPriority, number: Int64(cpuPriority))
    pairs.add(Key.cpuTimeLimit, number: Int64(clamping: cpuTimeLimit))
    pairs.add(Key.memoryLimit, number: Int64(clamping: memoryLimit))
    pairs.add(Key.virtualMemoryLimit, number: Int64(clamping: virtualMemoryLimit))
    pairs.add(Key.coreDumps, flag: allowsCoreDumps)
    pairs.add(Key.newPrivileges, flag: allowsNewPrivileges)
    pairs.add(Key.engineDirectory, Array(engines.directory.utf8))
    for version in engines.versions { pairs.add(Key.engineVersion, Array(version.description.utf8)) }
    pairs.add(Key.preferredEngine, optional: engines.preferred.map { Array($0.description.utf8) })
    pairs.add(Key.probe, flag: isProbe)
    pairs.add(Key.logLevel, number: Int64(logLevel))
    pairs.add(EngineSettings.threads, number: Int64(threads))
    pairs.add(EngineSettings.service, flag: isService)
    pairs.add(Key.stackSize, number: Int64(stackSize))
    pairs.add(Key.maximumRequests, number: Int64(maximumRequests))
    for script in imports { pairs.add(Key.importScript, script.encoded()) }
    if let candidate { pairs.add(Key.candidateScript, candidate.encoded()) }
    for (key, field) in Self.times { pairs.add(key, number: self[keyPath: field]) }
    for (key, value) in engineSettings { pairs.add(key, value) }
    return pairs.encoded()
  }

  /// Reads settings. Keys that are not a worker's are passed over; a number that is none is a failure, since a limit that
  /// silently does not hold would be worse than no process.
  public init?(decoding bytes: [UInt8]) {
    let settings = bytes.withUnsafeBytes { raw in try? WorkerSettings(reading: FlatReader(raw)) }
    guard let settings else { return nil }
    self = settings
  }

  private init?(reading reader: FlatReader) throws(FlatFailure) {
    var reader = reader
    self.init()
    version = 0
    var user: UInt32?
    var group: UInt32?
    var groups: [UInt32] = []
    var isWhole = true
    let count = try reader.readUInt32()
    for _ in 0..<count {
      let pair = try reader.readPair()
      let value = pair.value.map { Array($0) } ?? []
      let key = String(decoding: pair.key, as: UTF8.self)
      func number<N: FixedWidthInteger>(_ type: N.Type = N.self) -> N {
        guard let number = N(String(decoding: value, as: UTF8.self)) else {
          isWhole = false
          return 0
        }
        return number
      }
      switch key {
      case Key.version: version = number()
      case EngineSettings.processGroup: processGroup = value
      case Key.instance: instance = number()
      case Key.slot: slot = number()
      case Key.user: user = number()
      case Key.group: group = number()
      case Key.supplementaryGroups:
        let words = value.split(separator: 0x2C)
        groups = words.compactMap { UInt32(String(decoding: $0, as: UTF8.self)) }
        if groups.count != words.count { isWhole = false }
      case Key.umask: umask = number()
      case Key.changeRoot: changeRoot = value
      case Key.directory: directory = value
      case Key.locale: locale = value
      case Key.cpuPriority: cpuPriority = number()
      case Key.cpuTimeLimit: cpuTimeLimit = number()
      case Key.memoryLimit: memoryLimit = number()
      case Key.virtualMemoryLimit: virtualMemoryLimit = number()
      case Key.coreDumps: allowsCoreDumps = true
      case Key.newPrivileges: allowsNewPrivileges = true
      case Key.engineDirectory: engines.directory = String(decoding: value, as: UTF8.self)
      case Key.engineVersion: engines.versions += PythonVersion(String(decoding: value, as: UTF8.self)).map { [$0] } ?? []
      case Key.preferredEngine: engines.preferred = PythonVersion(String(decoding: value, as: UTF8.self))
      case EngineSettings.python: python = String(decoding: value, as: UTF8.self)
      case EngineSettings.pythonHome: pythonHome = String(decoding: value, as: UTF8.self)
      case Key.probe: isProbe = true
      case Key.logLevel: logLevel = number()
      case EngineSettings.threads: threads = number()
      case EngineSettings.service: isService = true
      case EngineSettings.perInterpreterGIL, EngineSettings.freeThreading: if value == [0x31] { runsInParallel = true }
      case EngineSettings.interpreterOptions: if try Self.freesFromGIL(value) { runsInParallel = true }
      case Key.stackSize: stackSize = number()
      case Key.maximumRequests: maximumRequests = number()
      case Key.importScript: imports.append(try Script(decoding: value))
      case Key.candidateScript: candidate = try Script(decoding: value)
      default: if let field = Self.times.first(where: { $0.key == key })?.field { self[keyPath: field] = number() }
      }
    }
    if let user, let group {
      credentials = Credentials(user: user, group: group, supplementaryGroups: groups)
    } else if user != nil || group != nil {
      return nil
    }
    guard isWhole else { return nil }
  }

  /// Whether a block of interpreter options does that for some interpreters.
  private static func freesFromGIL(_ block: [UInt8]) throws(FlatFailure) -> Bool {
    try PairList.pairs(of: block).contains { pair in
      pair.value == [0x31]
        && [EngineSettings.perInterpreterGIL, EngineSettings.freeThreading].contains { pair.key.elementsEqual($0.utf8) }
    }
  }

  private static var times: [(key: String, field: WritableKeyPath<WorkerSettings, Int64>)] {
    [
      (Key.startupTimeout, \.startupTimeout), (Key.shutdownTimeout, \.shutdownTimeout),
      (Key.deadlockTimeout, \.deadlockTimeout), (Key.inactivityTimeout, \.inactivityTimeout),
      (Key.requestTimeout, \.requestTimeout), (Key.interruptTimeout, \.interruptTimeout),
      (Key.gracefulTimeout, \.gracefulTimeout), (Key.evictionTimeout, \.evictionTimeout),
      (Key.restartInterval, \.restartInterval), (Key.queueTimeout, \.queueTimeout),
      (Key.socketTimeout, \.socketTimeout),
    ]
  }
}

extension WorkerSettings.Script {
  fileprivate func encoded() -> [UInt8] {
    var pairs = PairList()
    pairs.add(WorkerSettings.Key.script, script)
    pairs.add(WorkerSettings.Key.applicationGroup, applicationGroup)
    pairs.add(WorkerSettings.Key.failure, number: Int64(failure))
    return pairs.encoded()
  }

  fileprivate init(decoding bytes: [UInt8]) throws(FlatFailure) {
    let pairs = try PairList.pairs(of: bytes)
    script = pairs.first { $0.key == Array(WorkerSettings.Key.script.utf8) }?.value ?? []
    applicationGroup = pairs.first { $0.key == Array(WorkerSettings.Key.applicationGroup.utf8) }?.value ?? []
    let number = pairs.first { $0.key == Array(WorkerSettings.Key.failure.utf8) }?.value ?? []
    failure = UInt32(String(decoding: number, as: UTF8.self)) ?? 0
  }
}
