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

  /// Each as `key=value`, in the order of the rows.
  func texts(_ settings: EngineSettings) -> [String] { settings.texts.map { "\($0.key)=\($0.value)" } }

  @Test func embeddedByDefault() {
    let settings = config([]).global.value.embeddedSettings(processes: 16, threads: 25, isSingleProcess: false)
    #expect(texts(settings) == ["processes=16", "threads=25", "multiprocess=1"])
  }

  @Test func embeddedTakesTheServersPython() {
    let settings = config([
      "WSGIPythonHome /venv", "WSGIPythonPath /a:/b", "WSGIPythonEggs /e", "WSGIPythonHashSeed 7", "WSGIPythonOptimize 2",
      "WSGIPythonWarnings error", "WSGIPythonWarnings ignore::UserWarning", "WSGIDontWriteBytecode On", "WSGISwitchInterval 5ms",
      "WSGIDestroyInterpreter Off", "WSGIRestrictStdin On", "WSGIRestrictStdout On", "WSGIRestrictSignal Off",
      "WSGIPerInterpreterGIL On", "WSGIFreeThreading On", "WSGICaseSensitivity Off", "WSGIServerMetrics On",
      "WSGITelemetryService unix:/run/t interval=2", "WSGITelemetryOptions CaptureUserAgent", "WSGISlowRequests 0.5",
      "WSGIMaxInterpreters 9",
    ]).global.value.embeddedSettings(processes: 16, threads: 25, isSingleProcess: false)
    #expect(
      texts(settings) == [
        "processes=16", "threads=25", "multiprocess=1", "server-metrics=1", "python-home=/venv", "python-eggs=/e",
        "python-path=/a:/b", "hash-seed=7", "optimize=2", "dont-write-bytecode=1", "warning=error",
        "warning=ignore::UserWarning", "destroy-interpreter=0", "maximum-interpreters=9", "telemetry-target=/run/t",
        "telemetry-interval=2.0", "telemetry-options=1", "slow-requests=0.5", "switch-interval=0.005", "per-interpreter-gil=1",
        "free-threading=1", "restrict-stdin=1", "restrict-stdout=1", "restrict-signal=0",
      ])
  }

  @Test func whereNothingRunsNothingIsReported() throws {
    let global = config([
      "WSGITelemetryService unix:/run/t", "WSGISlowRequests 1", "WSGIRestrictEmbedded On", "WSGIDaemonProcess a threads=0",
      "WSGIDaemonProcess b",
    ]).global.value
    let service = global.settings(for: global.groups[0], user: nil)
    for settings in [global.embeddedSettings(processes: 16, threads: 25, isSingleProcess: false), service] {
      #expect(settings.telemetryTarget == nil && settings.slowRequests == 0)
    }
    #expect(service.isService)
    #expect(global.settings(for: global.groups[1], user: nil).telemetryTarget?.text == "/run/t")
  }

  @Test func aGroupHasItsOwnPathAndInheritsTheHome() throws {
    let global = config([
      "WSGIPythonHome /venv", "WSGIPythonPath /a", "WSGIPythonEggs /e", "WSGIPythonHashSeed random", "WSGIServerMetrics On",
      "WSGISwitchInterval 0.1", "WSGIDaemonProcess a",
      "WSGIDaemonProcess b python-home=/other python-path=/p python-eggs=/q "
        + "switch-interval=0.2 processes=1 threads=1 home=/srv server-metrics=On", "WSGIDaemonProcess c python=/usr/bin/python3",
    ]).global.value
    let user = UserRecord(name: "shop", uid: 1001, gid: 2001, home: "/srv/shop")
    #expect(
      texts(global.settings(for: global.groups[0], user: user)) == [
        "process-group=a", "user-name=shop", "user-home=/srv/shop", "python-home=/venv", "hash-seed=random",
        "switch-interval=0.1",
      ])
    #expect(
      texts(global.settings(for: global.groups[1], user: nil)) == [
        "process-group=b", "threads=1", "multiprocess=1", "home=/srv", "server-metrics=1", "python-home=/other",
        "python-eggs=/q", "python-path=/p", "hash-seed=random", "switch-interval=0.2",
      ])
    #expect(global.settings(for: global.groups[2], user: nil).pythonHome == nil)
  }

  @Test func blocksGoToTheProcessesTheyCanApplyTo() {
    let global = config([
      "WSGIDaemonProcess a", "WSGIDaemonProcess b", "<WSGIInterpreterOptions >", "WSGIRestrictSignal Off",
      "</WSGIInterpreterOptions>", "<WSGIInterpreterOptions process-group=a>", "WSGIPythonPath /x", "</WSGIInterpreterOptions>",
      "<WSGIInterpreterOptions process-group=%{GLOBAL} application-group=%{GLOBAL}>", "WSGIFreeThreading On",
      "</WSGIInterpreterOptions>",
    ]).global.value
    let blocks = global.engine.interpreterOptions
    #expect(
      global.embeddedSettings(processes: 16, threads: 25, isSingleProcess: false).interpreterOptions == [blocks[0], blocks[2]])
    #expect(global.settings(for: global.groups[0], user: nil).interpreterOptions == [blocks[0], blocks[1]])
    #expect(global.settings(for: global.groups[1], user: nil).interpreterOptions == [blocks[0]])
    #expect(blocks[0].settings.restrictSignal == false && blocks[0].settings.restrictStdin == nil)
    #expect(blocks[2].applicationGroup == [])
  }
}
