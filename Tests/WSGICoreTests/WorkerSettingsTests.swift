import Testing

@testable import WSGICore

@Suite struct WorkerSettingsTests {
  private func full() -> WorkerSettings {
    var settings = WorkerSettings()
    settings.version = 7
    settings.processGroup = Array("shop".utf8)
    settings.instance = 77
    settings.slot = 2
    settings.credentials = .init(user: 33, group: 34, supplementaryGroups: [35, 36])
    settings.umask = 0o27
    settings.changeRoot = Array("/srv/\u{ff}".utf8)
    settings.directory = Array("/home".utf8)
    settings.locale = Array("C.UTF-8".utf8)
    settings.cpuPriority = -5
    settings.cpuTimeLimit = 3
    settings.memoryLimit = 1 << 40
    settings.virtualMemoryLimit = 1 << 41
    settings.processLimit = 60
    settings.controlGroup = [0x2f, 0xff]
    settings.memoryRecycle = 1 << 30
    settings.allowsCoreDumps = true
    settings.allowsNewPrivileges = true
    settings.engines.directory = "/usr/lib"
    settings.engines.versions = [PythonVersion(major: 3, minor: 11), PythonVersion(major: 3, minor: 12)]
    settings.engines.preferred = PythonVersion(major: 3, minor: 12)
    settings.isProbe = true
    settings.isPreloader = true
    settings.logLevel = LogLevel(clamping: 8)
    settings.threads = 3
    settings.stackSize = 65536
    settings.maximumRequests = 10
    settings.imports = [.init(script: Array("/a".utf8), applicationGroup: []), .init(script: [0xff], applicationGroup: [0x20])]
    settings.candidate = .init(script: Array("/b".utf8), applicationGroup: Array("g".utf8), failure: 3)
    settings.startupTimeout = 1
    settings.shutdownTimeout = 2
    settings.deadlockTimeout = 3
    settings.inactivityTimeout = 4
    settings.requestTimeout = 5
    settings.interruptTimeout = 6
    settings.gracefulTimeout = 7
    settings.evictionTimeout = 8
    settings.restartInterval = 9
    settings.queueTimeout = 10
    settings.socketTimeout = 11
    settings.processes = 2
    settings.isMultiprocess = true
    settings.isSingleProcess = true
    settings.home = [0xff]
    settings.userName = Array("shop".utf8)
    settings.userHome = Array("/srv".utf8)
    settings.connectTimeout = 12
    settings.scriptOwner = .user(0)
    settings.serverMetrics = true
    settings.apacheVersion = "2.4.62"
    settings.apacheDescription = Array("Apache".utf8)
    settings.apacheBuilt = Array("today".utf8)
    settings.mpmName = Array("event".utf8)
    settings.mpmProcesses = 3
    settings.mpmThreads = 4
    settings.python = Array("/usr/bin/python3".utf8)
    settings.pythonHome = Array("/venv".utf8)
    settings.pythonEggs = Array("/eggs".utf8)
    settings.hashSeed = .fixed(0)
    settings.optimize = 2
    settings.dontWriteBytecode = true
    settings.warnings = [Array("error".utf8), []]
    settings.destroysInterpreters = false
    settings.interpreter.pythonPath = Array("/a:/b".utf8)
    settings.interpreter.switchInterval = 0.005
    settings.interpreter.restrictStdin = false
    settings.interpreterOptions = [InterpreterOptions(), block(group: [], \.restrictSignal, false)]
    settings.maximumInterpreters = 5
    settings.reloadGenerations = 4
    settings.telemetryTarget = Array("/run/t".utf8)
    settings.telemetryInterval = 0.1
    settings.telemetryOptions = .all
    settings.slowRequests = 1e-3
    return settings
  }

  private func block(
    group: [UInt8]? = nil, _ path: WritableKeyPath<InterpreterSettings, Bool?>, _ value: Bool
  ) -> InterpreterOptions {
    var block = InterpreterOptions()
    block.applicationGroup = group
    block.settings[keyPath: path] = value
    return block
  }

  /// The pairs of `settings`, and one more.
  private func appending(_ key: String, _ value: String, to settings: WorkerSettings) -> [UInt8] {
    let bytes = settings.encoded()
    var writer = FlatWriter()
    writer.append(bytes)
    writer.appendPair(key, value)
    writer.patch(bytes.withUnsafeBytes { $0.loadUnaligned(as: UInt32.self) } + 1, at: 0)
    return Array(writer.bytes)
  }

  @Test func settingsThatWereWrittenAreRead() {
    #expect(WorkerSettings(decoding: full().encoded()) == full())
    var plain = WorkerSettings()
    plain.processGroup = Array("p".utf8)
    #expect(WorkerSettings(decoding: plain.encoded()) == plain)
  }

  @Test func everySettingHasAKeyOfItsOwnAndTravels() {
    let keys = WorkerSettings.rows.map(\.key.description)
    #expect(Set(keys).count == keys.count)
    let (full, standard) = (full(), WorkerSettings())
    let rest = WorkerSettings.rows.filter { $0.values(full).isEmpty }.map(\.key.description)
    #expect(rest == ["per-interpreter-gil", "free-threading", "restrict-stdout", "restrict-signal"])
    #expect(WorkerSettings.rows.allSatisfy { $0.values(standard).isEmpty })
  }

  @Test func anEngineReadsItsPartOfAWorkersSettings() {
    #expect(EngineSettings(decoding: full().encoded()) == full().engine)
    #expect(full().engine.texts.first { $0.key == "user-name" }?.value == "shop")
  }

  @Test func settingsOfTheServerAreInheritedUnlessTheGroupHasItsOwn() {
    var group = EngineSettings()
    group.interpreter.switchInterval = 0.1
    var server = EngineSettings()
    server.interpreter.switchInterval = 0.2
    server.interpreter.pythonPath = Array("/a".utf8)
    server.interpreter.restrictStdin = true
    server.optimize = 2
    server.pythonHome = Array("/venv".utf8)
    group.inherit(server)
    #expect(group.interpreter.switchInterval == 0.1 && group.interpreter.restrictStdin == true && group.optimize == 2)
    #expect(group.interpreter.pythonPath == nil && group.pythonHome == nil)
  }

  @Test func interpretersWithoutACommonGILAreTold() {
    for path in [\InterpreterSettings.perInterpreterGIL, \.freeThreading] {
      var settings = EngineSettings()
      settings.interpreter[keyPath: path] = false
      settings.interpreterOptions = [block(path, false), block(\.restrictStdin, true)]
      #expect(!settings.runsInParallel)
      settings.interpreterOptions.append(block(group: Array("fast".utf8), path, true))
      #expect(settings.runsInParallel)
      settings.interpreterOptions = []
      settings.interpreter[keyPath: path] = true
      #expect(settings.runsInParallel)
    }
  }

  @Test func theMostSpecificBlockDecides() {
    var settings = EngineSettings()
    settings.processGroup = Array("g".utf8)
    settings.interpreter.restrictStdin = true
    settings.interpreterOptions = [block(group: Array("a".utf8), \.restrictStdin, false), block(\.restrictStdin, true)]
    settings.interpreterOptions[1].settings.pythonPath = Array("/b".utf8)
    #expect(settings.scoped(\.restrictStdin, Array("a".utf8)).value == false)
    #expect(settings.scoped(\.restrictStdin, Array("b".utf8)).block == settings.interpreterOptions[1])
    #expect(settings.scoped(\.restrictStdout, Array("b".utf8)).value == nil)
    settings.interpreter.pythonPath = Array("/a".utf8)
    #expect(settings.pathLayers([]).map(\.text) == ["/a", "/b"])
    settings.interpreterOptions[1].processGroup = []
    #expect(settings.pathLayers([]).map(\.text) == ["/a"])
  }

  @Test func everyTruncationIsRefused() {
    let bytes = full().encoded()
    for length in 0..<bytes.count { #expect(WorkerSettings(decoding: Array(bytes[0..<length])) == nil) }
  }

  @Test func keysThatNobodyKnowsArePassedOver() {
    #expect(WorkerSettings(decoding: appending("cpu-colour", "red", to: full())) == full())
  }

  @Test(arguments: [
    ("credentials", "0x21,34"), ("credentials", "33"), ("credentials", ""), ("credentials", "33,34,x"), ("memory-limit", "-1"),
    ("request-timeout", ""), ("slot", "2147483648"), ("probe", "yes"), ("switch-interval", "nan"), ("script-owner", "user:"),
    ("hash-seed", "4294967296"), ("import", "x"), ("interpreter-options", "\u{1}\u{2}"), ("engine-version", "three"),
  ])
  func aValueThatIsNotOneOfItsSettingIsRefused(_ key: String, _ value: String) {
    #expect(WorkerSettings(decoding: appending(key, value, to: full())) == nil)
  }
}
