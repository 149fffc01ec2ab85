import Testing
import WSGICore

@testable import WSGIConfig

@Suite struct SettingsTests {
  func config(_ lines: [String]) -> TestConfig {
    var config = TestConfig()
    for line in lines {
      if line == "</WSGIInterpreterOptions>" {
        config.closeSection()
      } else {
        #expect(config.read(line) == nil, "\(line)")
      }
    }
    return config
  }

  let facts = ServerFacts(processes: 16, threads: 25, isSingleProcess: false)

  @Test func embeddedByDefault() {
    let settings = config([]).global.value.embeddedSettings(facts)
    #expect(
      settings.pairs.map { "\($0.key)=\($0.value)" } == [
        "process-group=", "processes=16", "threads=25", "multithread=1", "multiprocess=1",
      ])
  }

  @Test func embeddedTakesTheServersPython() {
    let settings = config([
      "WSGIPythonHome /venv", "WSGIPythonPath /a:/b", "WSGIPythonEggs /e", "WSGIPythonHashSeed 7", "WSGIPythonOptimize 2",
      "WSGIPythonWarnings error", "WSGIPythonWarnings ignore::UserWarning", "WSGIDontWriteBytecode On", "WSGISwitchInterval 5ms",
      "WSGIDestroyInterpreter Off", "WSGIRestrictStdin On", "WSGIRestrictStdout On", "WSGIRestrictSignal Off",
      "WSGIPerInterpreterGIL On", "WSGIFreeThreading On", "WSGICaseSensitivity Off", "WSGIServerMetrics On",
      "WSGITelemetryService unix:/run/t interval=2", "WSGITelemetryOptions CaptureUserAgent", "WSGISlowRequests 0.5",
    ]).global.value.embeddedSettings(facts)
    #expect(
      settings.pairs.map { "\($0.key)=\($0.value)" } == [
        "process-group=", "python-home=/venv", "python-path=/a:/b", "python-eggs=/e", "switch-interval=0.005", "hash-seed=7",
        "optimize=2", "dont-write-bytecode=1", "warning=error", "warning=ignore::UserWarning", "destroy-interpreter=0",
        "restrict-stdin=1", "restrict-stdout=1", "restrict-signal=0", "per-interpreter-gil=1", "free-threading=1",
        "case-insensitive=1", "processes=16", "threads=25", "multithread=1", "multiprocess=1", "server-metrics=1",
        "telemetry-target=/run/t", "telemetry-interval=2.0", "telemetry-options=CaptureUserAgent", "slow-requests=0.5",
      ])
  }

  @Test func aGroupHasItsOwnPathAndInheritsTheHome() throws {
    let global = config([
      "WSGIPythonHome /venv", "WSGIPythonPath /a", "WSGIPythonEggs /e", "WSGIPythonHashSeed random", "WSGIServerMetrics On",
      "WSGISwitchInterval 0.1", "WSGIDaemonProcess a",
      "WSGIDaemonProcess b python-home=/other python-path=/p python-eggs=/q "
        + "switch-interval=0.2 processes=1 threads=1 home=/srv server-metrics=On", "WSGIDaemonProcess c threads=0",
    ]).global.value
    let user = UserRecord(name: "shop", uid: 1001, gid: 2001, home: "/srv/shop")
    #expect(
      global.settings(for: global.groups[0], user: user).pairs.map { "\($0.key)=\($0.value)" } == [
        "process-group=a", "python-home=/venv", "switch-interval=0.1", "hash-seed=random", "processes=1", "threads=15",
        "multithread=1", "connect-timeout=15000", "user-name=shop", "user-home=/srv/shop",
      ])
    #expect(
      global.settings(for: global.groups[1], user: nil).pairs.map { "\($0.key)=\($0.value)" } == [
        "process-group=b", "python-home=/other", "python-path=/p", "python-eggs=/q", "switch-interval=0.2", "hash-seed=random",
        "processes=1", "threads=1", "multiprocess=1", "home=/srv", "connect-timeout=15000", "server-metrics=1",
      ])
    #expect(global.settings(for: global.groups[2], user: nil)[EngineSettings.service] == "1")
  }

  @Test func blocksGoToTheProcessesTheyCanApplyTo() {
    let global = config([
      "WSGIDaemonProcess a", "WSGIDaemonProcess b", "<WSGIInterpreterOptions >", "WSGIRestrictSignal Off",
      "</WSGIInterpreterOptions>", "<WSGIInterpreterOptions process-group=a>", "WSGIPythonPath /x", "</WSGIInterpreterOptions>",
      "<WSGIInterpreterOptions process-group=%{GLOBAL} application-group=%{GLOBAL}>", "WSGIFreeThreading On",
      "</WSGIInterpreterOptions>",
    ]).global.value
    func blocks(_ settings: SettingsPairs) -> [[UInt8]] {
      settings.pairs.filter { $0.key == EngineSettings.interpreterOptions }.map(\.value.bytes)
    }
    let encoded = global.interpreterOptions.map(\.pairs.encoded)
    #expect(blocks(global.embeddedSettings(facts)) == [encoded[0], encoded[2]])
    #expect(blocks(global.settings(for: global.groups[0], user: nil)) == [encoded[0], encoded[1]])
    #expect(blocks(global.settings(for: global.groups[1], user: nil)) == [encoded[0]])
    #expect(global.interpreterOptions[0].pairs.pairs.map(\.key) == ["restrict-signal"])
    #expect(global.interpreterOptions[0].pairs["restrict-signal"] == "0")
    #expect(global.interpreterOptions[2].pairs["application-group"] == "")
  }

  @Test func theEncodingIsTheOneThatEnginesRead() throws {
    var settings = SettingsPairs()
    settings.set("key", "value")
    settings.set("", "")
    try settings.encoded.withUnsafeBytes { raw in
      var reader = FlatReader(raw)
      #expect(try reader.readUInt32() == 2)
      let first = try reader.readPair()
      #expect(Array(first.key) == Array("key".utf8) && first.value.map(Array.init) == Array("value".utf8))
      let second = try reader.readPair()
      #expect(second.key.isEmpty && second.value?.isEmpty == true && reader.remaining == 0)
    }
  }
}
