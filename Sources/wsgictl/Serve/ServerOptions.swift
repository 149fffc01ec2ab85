import ArgumentParser

/// How the server is to be; the names that mod_wsgi-express has too mean the same.
struct ServerOptions: ParsableArguments {
  @Option(help: "Processes of the application: a number, or MIN-MAX.")
  var processes = "1"

  @Option(help: "Threads of each process.")
  var threads = 5

  @Option(help: "The URL path of the application.")
  var mountPoint = "/"

  @Option(help: "A further directory to import modules from. May be repeated.")
  var pythonPath: [String] = []

  @Option(help: "Where the processes run, if not in the project's directory.")
  var workingDirectory: String?

  @Option(help: "The locale of the processes.")
  var locale = "C.UTF-8"

  @Option(help: "The name of the process group.")
  var processGroup = "application"

  @Option(help: "The name of the application group: another one is a sub-interpreter.")
  var applicationGroup = "%{GLOBAL}"

  @Option(help: "The host name in URLs that the application makes.")
  var serverName: String?

  @Option(help: ArgumentHelp("A file for the log, in place of the terminal.", valueName: "file"))
  var errorLog: String?

  @Option(help: "httpd's LogLevel, as 'info wsgi:debug'.")
  var logLevel = "warn"

  @Flag(help: "Write a line for each request.")
  var accessLog = false

  @Option(help: ArgumentHelp("A file with further directives. May be repeated.", valueName: "file"))
  var includeFile: [String] = []

  @OptionGroup(title: "Options of mod_wsgi-express")
  var daemon: ExpressOptions

  /// The most processes there are.
  var processCount: Int { processes.split(separator: "-").last.flatMap { Int($0) } ?? 1 }

  func validate() throws {
    let texts = [processes, processGroup, applicationGroup, mountPoint, locale, logLevel, serverName ?? ""] + pythonPath
    guard !texts.contains(where: { $0.contains(where: \.isNewline) }) else {
      throw ValidationError("A line break is not part of a setting.")
    }
    guard mountPoint.hasPrefix("/") else { throw ValidationError("--mount-point '\(mountPoint)' must begin with '/'.") }
    guard (1...10_000).contains(threads), (1...10_000).contains(processCount) else {
      throw ValidationError("--processes and --threads take numbers from 1.")
    }
  }
}

/// Settings that only pass through: options of WSGIDaemonProcess, and directives of the same name. httpd checks their values.
struct ExpressOptions: ParsableArguments {
  @Option(help: .hidden) var startupTimeout: String?
  @Option(help: .hidden) var shutdownTimeout: String?
  @Option(help: .hidden) var gracefulTimeout: String?
  @Option(help: .hidden) var evictionTimeout: String?
  @Option(help: .hidden) var restartInterval: String?
  @Option(help: .hidden) var cpuTimeLimit: String?
  @Option(help: .hidden) var deadlockTimeout: String?
  @Option(help: .hidden) var inactivityTimeout: String?
  @Option(help: .hidden) var requestTimeout: String?
  @Option(help: .hidden) var interruptTimeout: String?
  @Option(help: .hidden) var connectTimeout: String?
  @Option(help: .hidden) var socketTimeout: String?
  @Option(help: .hidden) var queueTimeout: String?
  @Option(help: .hidden) var responseSocketTimeout: String?
  @Option(help: .hidden) var maximumRequests: String?
  @Option(help: .hidden) var headerBufferSize: String?
  @Option(help: .hidden) var responseBufferSize: String?
  @Option(help: .hidden) var limitRequestBody: String?
  @Option(help: .hidden) var keepAliveTimeout: String?
  @Option(help: .hidden) var mapHeadToGet: String?
  @Flag(help: .hidden) var chunkedRequest = false
  @Flag(help: .hidden) var errorOverride = false
  @Flag(help: .hidden) var enableSendfile = false
  @Option(help: .hidden) var trustProxyHeader: [String] = []
  @Option(help: .hidden) var trustProxy: [String] = []
  @Option(help: .hidden) var switchInterval: String?
  @Flag(help: .hidden) var logToTerminal = false

  /// Options of WSGIDaemonProcess.
  var settings: [(name: String, value: String)] {
    let all: [(name: String, value: String?)] = [
      ("startup-timeout", startupTimeout), ("shutdown-timeout", shutdownTimeout), ("graceful-timeout", gracefulTimeout),
      ("eviction-timeout", evictionTimeout), ("restart-interval", restartInterval), ("cpu-time-limit", cpuTimeLimit),
      ("deadlock-timeout", deadlockTimeout), ("inactivity-timeout", inactivityTimeout), ("request-timeout", requestTimeout),
      ("interrupt-timeout", interruptTimeout), ("connect-timeout", connectTimeout), ("socket-timeout", socketTimeout),
      ("queue-timeout", queueTimeout), ("response-socket-timeout", responseSocketTimeout),
      ("maximum-requests", maximumRequests), ("header-buffer-size", headerBufferSize),
      ("response-buffer-size", responseBufferSize),
    ]
    return all.compactMap { row in row.value.map { (row.name, $0) } }
  }

  var directives: [String] {
    let all: [(name: String, value: String?)] = [
      ("LimitRequestBody", limitRequestBody), ("KeepAliveTimeout", keepAliveTimeout), ("WSGIMapHEADToGET", mapHeadToGet),
      ("WSGIChunkedRequest", chunkedRequest ? "On" : nil), ("WSGIErrorOverride", errorOverride ? "On" : nil),
      ("WSGIEnableSendfile", enableSendfile ? "On" : nil), ("WSGISwitchInterval", switchInterval),
      ("WSGITrustedProxyHeaders", trustProxyHeader.isEmpty ? nil : trustProxyHeader.joined(separator: " ")),
      ("WSGITrustedProxies", trustProxy.isEmpty ? nil : trustProxy.joined(separator: " ")),
    ]
    return all.compactMap { row in row.value.map { "\(row.name) \($0)" } }
  }

  func validate() throws {
    guard !(settings.map(\.value) + directives).contains(where: { $0.contains(where: \.isNewline) }) else {
      throw ValidationError("A line break is not part of a setting.")
    }
  }
}
