import Testing
import WSGICore

@testable import ProcessSupervision

@Suite struct WorkerSettingsTests {
  private func full() -> WorkerSettings {
    var settings = WorkerSettings()
    settings.processGroup = Array("shop".utf8)
    settings.instance = 77
    settings.credentials = .init(user: 33, group: 34, supplementaryGroups: [35, 36])
    settings.umask = 0o27
    settings.changeRoot = Array("/srv/\u{ff}".utf8)
    settings.directory = Array("/home".utf8)
    settings.locale = Array("C.UTF-8".utf8)
    settings.cpuPriority = -5
    settings.cpuTimeLimit = 3
    settings.memoryLimit = 1 << 40
    settings.virtualMemoryLimit = 1 << 41
    settings.allowsCoreDumps = true
    settings.allowsNewPrivileges = true
    settings.engines.directory = "/usr/lib"
    settings.engines.versions = [PythonVersion(major: 3, minor: 11), PythonVersion(major: 3, minor: 12)]
    settings.engines.preferred = PythonVersion(major: 3, minor: 12)
    settings.isProbe = true
    settings.logLevel = 8
    settings.threads = 3
    settings.isService = true
    settings.stackSize = 65536
    settings.maximumRequests = 10
    settings.imports = [.init(script: Array("/a".utf8), applicationGroup: []), .init(script: [0xff], applicationGroup: [0x20])]
    settings.candidate = .init(script: Array("/b".utf8), applicationGroup: Array("g".utf8))
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
    return settings
  }

  @Test func whatIsWrittenIsRead() {
    #expect(WorkerSettings(decoding: full().encoded()) == full())
    var plain = WorkerSettings()
    plain.processGroup = Array("p".utf8)
    #expect(WorkerSettings(decoding: plain.encoded()) == plain)
  }

  @Test func interpretersWithoutACommonGILAreTold() throws {
    func runsInParallel(_ settings: [(key: String, value: [UInt8])]) throws -> Bool {
      try #require(WorkerSettings(decoding: full().encoded(engineSettings: settings))).runsInParallel
    }
    func block(_ key: String, _ value: String) -> (key: String, value: [UInt8]) {
      var pairs = PairList()
      pairs.add("application-group", Array("fast".utf8))
      pairs.add(key, Array(value.utf8))
      return (EngineSettings.interpreterOptions, pairs.encoded())
    }
    let (own, free) = (EngineSettings.perInterpreterGIL, EngineSettings.freeThreading)
    #expect(try !runsInParallel([]))
    #expect(try !runsInParallel([(EngineSettings.restrictStdin, [0x31]), block(own, "0"), block("restrict-stdin", "1")]))
    for key in [own, free] {
      #expect(try runsInParallel([(key, [0x31])]))
      #expect(try runsInParallel([block(key, "0"), block(key, "1")]))
    }
    #expect(WorkerSettings(decoding: full().encoded(engineSettings: [(EngineSettings.interpreterOptions, [1, 2])])) == nil)
  }

  @Test func engineSettingsTravelAlong() throws {
    let bytes = full().encoded(engineSettings: [(EngineSettings.pythonHome, Array("/venv".utf8)), ("warning", [0x61])])
    var expected = full()
    expected.pythonHome = "/venv"
    #expect(WorkerSettings(decoding: bytes) == expected)
    let pairs = try PairList.pairs(of: bytes)
    #expect(pairs.contains { $0.key == Array(EngineSettings.pythonHome.utf8) && $0.value == Array("/venv".utf8) })
  }

  @Test func everyTruncationIsRefused() {
    let bytes = full().encoded()
    for length in 0..<bytes.count { #expect(WorkerSettings(decoding: Array(bytes[0..<length])) == nil) }
  }

  @Test func aNumberThatIsNoneIsRefused() throws {
    for (key, value) in [("uid", "0x21"), ("memory-limit", "-1"), ("groups", "1,x"), ("request-timeout", "")] {
      let bytes = try PairList.appending([(key, Array(value.utf8))], to: full().encoded())
      #expect(WorkerSettings(decoding: bytes) == nil, "\(key)=\(value)")
    }
  }

  @Test func aUserWithoutAGroupIsRefused() throws {
    let bytes = try PairList.appending([("uid", Array("33".utf8))], to: WorkerSettings().encoded())
    #expect(WorkerSettings(decoding: bytes) == nil)
  }
}
