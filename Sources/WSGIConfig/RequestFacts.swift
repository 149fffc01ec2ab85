import WSGICore

/// The values of a request that names are made of. Nothing is asked for a name that is fixed.
///
/// The functions append bytes, so that a name is made in one buffer.
public protocol RequestFacts {
  /// The matched server's ServerName.
  func appendServerName(to name: inout [UInt8])
  /// The host of the Host header as httpd parsed it; nothing where there is none.
  func appendRequestHost(to name: inout [UInt8])
  /// That of ServerName or of the listener; never one of the client's.
  var port: UInt32 { get }
  /// The decoded path of the URI.
  func appendURI(to name: inout [UInt8])
  func appendPathInfo(to name: inout [UInt8])
  /// The request's notes, its environment table, then the process's environment; false where none has the variable.
  func appendVariable(_ variable: [UInt8], to name: inout [UInt8]) -> Bool
}

extension RequestFacts {
  /// The host as names have it.
  var host: [UInt8] {
    var name: [UInt8] = []
    appendRequestHost(to: &name)
    HostName.normalize(&name)
    return name
  }
}

extension NameTemplate {
  /// The name for a request. A fixed name is handed out as it is stored.
  ///
  /// - singleApplication: the process group serves one application (`%{AUTO}`).
  /// - lowercase: WSGICaseSensitivity is Off.
  @inline(__always)
  public func name(
    for use: Use, _ facts: some RequestFacts, singleApplication: Bool = false, lowercase: Bool = false
  ) -> [UInt8] {
    if case .fixed(let name) = self { return name }
    return expand(for: use, facts, singleApplication, lowercase).name
  }

  /// The name, and what decided on it.
  @inline(never)
  func expand(
    for use: Use, _ facts: some RequestFacts, _ singleApplication: Bool, _ lowercase: Bool
  ) -> (name: [UInt8], origin: Origin) {
    var name: [UInt8] = []
    var origin = Origin.configuration
    switch self {
    case .fixed(let fixed): return (fixed, .configuration)
    case .auto where singleApplication: return ([], .configuration)
    case .resource, .auto:
      name.reserveCapacity(256)
      facts.appendServerName(to: &name)
      appendPort(facts.port, to: &name)
      name.append(Ascii.bar)
      appendScript(facts, lowercase, to: &name)
      origin = .script
    case .server:
      facts.appendServerName(to: &name)
      appendPort(facts.port, to: &name)
    case .host:
      facts.appendRequestHost(to: &name)
      if name.isEmpty { facts.appendServerName(to: &name) }
      HostName.normalize(&name)
      origin = .host
    case .variable(let variable, let token):
      guard facts.appendVariable(variable, to: &name) else {
        return (use == .callable ? NameTemplate.defaultCallable : token, .configuration)
      }
      if let nested = NameTemplate.nested(name, for: use) { return nested.expand(for: use, facts, singleApplication, lowercase) }
      origin = .variable
    }
    return (name, origin)
  }

  /// A variable's value that is itself a token, which is expanded once; another variable is not.
  private static func nested(_ value: [UInt8], for use: Use) -> NameTemplate? {
    guard value.first == Ascii.percent, !ByteText(value).hasPrefix("%{ENV:") else { return nil }
    return NameTemplate(ByteText(value), for: use)
  }

  /// The port, unless it is one that goes without saying.
  private func appendPort(_ port: UInt32, to name: inout [UInt8]) {
    guard port != 80, port != 443 else { return }
    name.append(Ascii.colon)
    name.append(contentsOf: String(port).utf8)
  }

  /// The URI without its PATH_INFO, and without repeated slashes.
  private func appendScript(_ facts: some RequestFacts, _ lowercase: Bool, to name: inout [UInt8]) {
    let start = name.count
    facts.appendURI(to: &name)
    let end = name.count
    facts.appendPathInfo(to: &name)
    let script = start + NameTemplate.scriptLength(uri: name[start..<end], pathInfo: name[end...])
    var kept = start
    for index in start..<script {
      let byte = name[index]
      if byte == Ascii.slash, kept > start, name[kept - 1] == Ascii.slash { continue }
      name[kept] = lowercase ? asciiLowercase(byte) : byte
      kept += 1
    }
    name.removeLast(name.count - kept)
  }

  private static func scriptLength(uri: ArraySlice<UInt8>, pathInfo: ArraySlice<UInt8>) -> Int {
    unsafe uri.withUnsafeBytes { uri in
      unsafe pathInfo.withUnsafeBytes { unsafe RequestPath.scriptNameLength(uri: uri, pathInfo: $0) }
    }
  }
}
