import WSGICore

// The directives whose argument needs more than a line to understand.

func applyOptimize(_ parse: inout ConfigParse, _ word: ByteText) throws(ConfigError) {
  guard let level = NumberSyntax.integer(word), level >= 0, level <= Int(Int32.max) else {
    throw ConfigError("Invalid value for WSGIPythonOptimize. '\(word)' is not an optimisation level; Python has 0, 1 and 2.")
  }
  parse.global.value.engine.optimize = level
}

func applyHashSeed(_ parse: inout ConfigParse, _ word: ByteText) throws(ConfigError) {
  if word == "random" {
    parse.global.value.engine.hashSeed = .random
  } else if word.bytes.allSatisfy(NumberSyntax.isDigit), let seed = NumberSyntax.integer(word).flatMap(UInt32.init(exactly:)) {
    parse.global.value.engine.hashSeed = .fixed(seed)
  } else {
    throw ConfigError("WSGIPythonHashSeed must be \"random\" or an integer in range [0; 4294967295], not '\(word)'.")
  }
}

/// A time above 0, in seconds.
func positiveSeconds(_ word: ByteText, of directive: String) throws(ConfigError) -> Double {
  guard let seconds = NumberSyntax.seconds(word), seconds > 0 else {
    throw ConfigError("\(directive) must be a positive number of seconds. '\(word)' is not; write 0.005 or 5ms, for example.")
  }
  return seconds
}

func applyRestrictProcess(_ parse: inout ConfigParse, _ line: inout ConfigLine) throws(ConfigError) {
  var names: [[UInt8]] = []
  while let word = line.nextWord() {
    names.append(word == "%{GLOBAL}" ? [] : word.bytes.map(asciiLowercase))
  }
  parse.scope.restrictProcess = names
}

func applyProxy(_ word: ByteText) throws(ConfigError) -> Subnet {
  do throws(Subnet.Failure) {
    return try Subnet(word)
  } catch {
    let reason =
      switch error {
      case .notAnAddress: "Write an address, or an address and a mask such as 10.0.0.0/8 or fd00::/8."
      case .badAddress: "The specified IP address is invalid."
      case .badMask: "The specified network mask is invalid. To trust every peer, leave WSGITrustedProxies out."
      }
    throw ConfigError("Unable to parse trusted proxy IP address/subnet of \"\(word)\". \(reason)")
  }
}

// MARK: - telemetry

/// The longest path that an AF_UNIX address holds, its end included.
private let socketPathLimit = 108

func applyTelemetryService(_ parse: inout ConfigParse, _ line: inout ConfigLine) throws(ConfigError) {
  let target = line.nextWord()
  let option = line.nextWord()
  guard let target, line.isAtEnd else {
    throw ConfigError("WSGITelemetryService takes 1-2 arguments, unix:/path and perhaps interval=SECONDS")
  }
  guard target.hasPrefix("unix:/") else {
    throw ConfigError(
      "WSGITelemetryService target must be 'unix:/path', not '\(target)'. The path is that of a datagram socket, and absolute.")
  }
  let path = ByteText(target.bytes.dropFirst(5))
  guard path.count < socketPathLimit else {
    throw ConfigError(
      "WSGITelemetryService target is too long: the path of a socket may have up to \(socketPathLimit - 1) bytes, this one has "
        + "\(path.count).")
  }
  parse.global.value.engine.telemetryInterval = try telemetryInterval(option)
  parse.global.value.engine.telemetryTarget = path.bytes
}

private func telemetryInterval(_ option: ByteText?) throws(ConfigError) -> Double {
  guard let option else { return 1 }
  guard option.hasPrefix("interval=") else {
    throw ConfigError("WSGITelemetryService second argument must be 'interval=N', not '\(option)'.")
  }
  let value = ByteText(option.bytes.dropFirst(9))
  guard let seconds = NumberSyntax.seconds(value), seconds >= 0.5 else {
    throw ConfigError("WSGITelemetryService interval must be at least 0.5 seconds. '\(value)' is not.")
  }
  return seconds
}

func applySlowRequests(_ parse: inout ConfigParse, _ word: ByteText) throws(ConfigError) {
  guard let seconds = NumberSyntax.seconds(word), seconds >= 0 else {
    throw ConfigError("WSGISlowRequests threshold must be non-negative. '\(word)' is not a number of seconds; 0 means never.")
  }
  parse.global.value.engine.slowRequests = seconds
}

func applyTelemetryOptions(_ parse: inout ConfigParse, _ line: inout ConfigLine) throws(ConfigError) {
  var options = parse.global.value.engine.telemetryOptions
  var isIncremental: Bool?
  while let word = line.nextWord() {
    let sign = word.bytes.first.flatMap { $0 == Ascii.plus || $0 == Ascii.minus ? $0 : nil }
    if let before = isIncremental, before != (sign != nil) {
      throw ConfigError(
        "WSGITelemetryOptions: cannot mix +/- form with absolute names in a single directive. '\(word)' is the other form."
      )
    }
    if isIncremental == nil, sign == nil { options = [] }
    isIncremental = sign != nil
    let flag = try telemetryFlag(sign == nil ? word : ByteText(word.bytes.dropFirst()), isSigned: sign != nil)
    if sign == Ascii.minus { options.subtract(flag) } else { options.formUnion(flag) }
  }
  guard isIncremental != nil else {
    throw ConfigError("WSGITelemetryOptions: at least one flag required. The flags are CaptureUserAgent, None and All.")
  }
  parse.global.value.engine.telemetryOptions = options
}

private func telemetryFlag(_ word: ByteText, isSigned: Bool) throws(ConfigError) -> TelemetryOptions {
  if word.isEmpty {
    throw ConfigError("WSGITelemetryOptions: bare '+' / '-' is not a flag. Write the name of a flag after it, without a space.")
  }
  if word.equalsIgnoringCase("CaptureUserAgent") { return .captureUserAgent }
  let isNone = word.equalsIgnoringCase("None")
  if isNone || word.equalsIgnoringCase("All") {
    guard !isSigned else { throw ConfigError("WSGITelemetryOptions: '\(word)' may not have a +/- prefix.") }
    return isNone ? [] : .all
  }
  throw ConfigError("WSGITelemetryOptions: unknown flag '\(word)'. The flags are CaptureUserAgent, None and All.")
}

// MARK: - obsolete

private let acceptMutexes = ["default", "flock", "fcntl", "sysvsem", "posixsem", "pthread"]

func applyAcceptMutex(_ parse: inout ConfigParse, _ word: ByteText) throws(ConfigError) {
  guard acceptMutexes.contains(where: { word.equalsIgnoringCase(ByteText($0)) }) else {
    throw ConfigError(
      "Accept mutex lock mechanism '\(word)' is invalid. Valid accept mutex mechanisms for this platform are: "
        + "\(acceptMutexes.joined(separator: ", ")).")
  }
  parse.noteObsolete("WSGIAcceptMutex", "processes of a group share a queue and need no lock")
}
