// The directives whose argument needs more than a line to understand.

func applyOptimize(_ parse: inout ConfigParse, _ word: ByteText) throws(ConfigError) {
  guard let level = NumberSyntax.integer(word), level >= 0, level <= 2 else {
    throw ConfigError("Invalid value for WSGIPythonOptimize: '\(word)'. Python's optimisation levels are 0, 1 and 2.")
  }
  parse.global.value.pythonOptimize = level
}

func applyHashSeed(_ parse: inout ConfigParse, _ word: ByteText) throws(ConfigError) {
  if word == "random" {
    parse.global.value.pythonHashSeed = .random
  } else if let number = NumberSyntax.integer(word), let seed = UInt32(exactly: number) {
    parse.global.value.pythonHashSeed = .fixed(seed)
  } else {
    throw ConfigError(
      "WSGIPythonHashSeed must be \"random\" or an integer in range [0; 4294967295], not '\(word)'.")
  }
}

/// A time above 0, in seconds.
func positiveSeconds(_ word: ByteText, of directive: String) throws(ConfigError) -> Double {
  guard let seconds = NumberSyntax.seconds(word), seconds > 0 else {
    throw ConfigError("Invalid value for \(directive): '\(word)'. It must be a number of seconds above 0, such as 0.005 or 5ms.")
  }
  return seconds
}

func applyRestrictProcess(_ parse: inout ConfigParse, _ line: inout ConfigLine) throws(ConfigError) {
  var names: [[UInt8]] = []
  while let word = line.nextWord() {
    names.append(word == "%{GLOBAL}" ? [] : word.bytes.map(asciiLowercase))
  }
  guard !names.isEmpty else {
    throw ConfigError(
      "WSGIRestrictProcess requires at least one argument, the name of a process group; %{GLOBAL} is embedded mode.")
  }
  parse.scope.restrictProcess = names
}

// MARK: - telemetry

/// The longest path that an AF_UNIX address holds, its end included.
private let socketPathLimit = 108

func applyTelemetryService(_ parse: inout ConfigParse, _ line: inout ConfigLine) throws(ConfigError) {
  guard let target = line.nextWord() else {
    throw ConfigError("WSGITelemetryService requires at least one argument, unix:PATH, then interval=SECONDS")
  }
  guard target.hasPrefix("unix:/") else {
    throw ConfigError("Invalid target for WSGITelemetryService: '\(target)'. It must be unix: and an absolute path.")
  }
  let path = ByteText(target.bytes.dropFirst(5))
  guard path.count < socketPathLimit else {
    throw ConfigError(
      "Invalid target for WSGITelemetryService: the path has \(path.count) bytes, a socket's may have \(socketPathLimit - 1).")
  }
  var interval = 1.0
  if let word = line.nextWord() {
    guard line.isAtEnd, word.hasPrefix("interval=") else {
      throw ConfigError(
        "Invalid option to WSGITelemetryService: '\(line.isAtEnd ? word : line.rest)'. Only interval= may follow.")
    }
    let value = ByteText(word.bytes.dropFirst(9))
    guard let seconds = NumberSyntax.seconds(value), seconds >= 0.5 else {
      throw ConfigError("Invalid interval for WSGITelemetryService: '\(value)'. It must be at least 0.5 seconds.")
    }
    interval = seconds
  }
  parse.global.value.telemetry = TelemetryService(target: path, interval: interval)
}

func applySlowRequests(_ parse: inout ConfigParse, _ word: ByteText) throws(ConfigError) {
  guard let seconds = NumberSyntax.seconds(word), seconds >= 0 else {
    throw ConfigError("Invalid value for WSGISlowRequests: '\(word)'. It must be a number of seconds, 0 for never.")
  }
  parse.global.value.slowRequests = seconds
}

func applyTelemetryOptions(_ parse: inout ConfigParse, _ line: inout ConfigLine) throws(ConfigError) {
  var options = parse.global.value.telemetryOptions
  var isIncremental: Bool?
  while let word = line.nextWord() {
    let sign = word.bytes.first.flatMap { $0 == Ascii.plus || $0 == Ascii.minus ? $0 : nil }
    if let before = isIncremental, before != (sign != nil) {
      throw ConfigError(
        "WSGITelemetryOptions: '\(word)' mixes flags that have + or - with flags that do not. Write all with, or none.")
    }
    if isIncremental == nil, sign == nil { options = [] }
    isIncremental = sign != nil
    let flag = try telemetryFlag(sign == nil ? word : ByteText(word.bytes.dropFirst()), isSigned: sign != nil)
    if sign == Ascii.minus { options.subtract(flag) } else { options.formUnion(flag) }
  }
  guard isIncremental != nil else {
    throw ConfigError("WSGITelemetryOptions requires at least one argument, CaptureUserAgent, None or All")
  }
  parse.global.value.telemetryOptions = options
}

private func telemetryFlag(_ word: ByteText, isSigned: Bool) throws(ConfigError) -> TelemetryOptions {
  if word.equalsIgnoringCase("CaptureUserAgent") { return .captureUserAgent }
  let isNone = word.equalsIgnoringCase("None")
  if isNone || word.equalsIgnoringCase("All") {
    guard !isSigned else { throw ConfigError("WSGITelemetryOptions: '\(word)' cannot have + or - before it.") }
    return isNone ? [] : .all
  }
  throw ConfigError("WSGITelemetryOptions: unknown flag '\(word)'. The flags are CaptureUserAgent, None and All.")
}

// MARK: - obsolete

private let acceptMutexes = ["default", "flock", "fcntl", "sysvsem", "posixsem", "pthread"]

func applyAcceptMutex(_ parse: inout ConfigParse, _ word: ByteText) throws(ConfigError) {
  guard acceptMutexes.contains(where: { word.equalsIgnoringCase(ByteText($0)) }) else {
    throw ConfigError(
      "Invalid accept lock mechanism '\(word)'. Valid accept mutex mechanisms are: \(acceptMutexes.joined(separator: ", ")).")
  }
  parse.noteObsolete("WSGIAcceptMutex", "processes of a group share a queue and need no lock")
}
