/// A change to a request's environ.
public enum EnvironChange: Equatable, Sendable {
  case set([UInt8], [UInt8])
  case remove([UInt8])

  var variable: [UInt8] {
    switch self {
    case .set(let variable, _), .remove(let variable): variable
    }
  }
}

/// Changes to a request by the headers of a proxy.
public struct ProxyOutcome: Equatable, Sendable {
  /// One for a variable at most.
  public private(set) var changes: [EnvironChange] = []
  /// A header has said what the scheme is: mod_ssl's view of the connection is not asked.
  public var isSchemeDecided = false

  public init() {}
}

public enum TrustedProxies {
  /// Works out what `headers` change. Only to be called where headers are configured, after SCRIPT_NAME and PATH_INFO were
  /// made, since they may be replaced.
  ///
  /// - proxies: nil trusts every peer.
  /// - peer: REMOTE_ADDR.
  /// - value: what environ holds for a variable.
  public static func outcome(
    headers: [ProxyHeader], proxies: [Subnet]?, peer: [UInt8], value: ([UInt8]) -> [UInt8]?
  ) -> ProxyOutcome {
    var outcome = ProxyOutcome()
    let isTrusted = proxies.map { isMember(peer[...], of: $0) } ?? true
    var winners: [(category: ProxyHeader.Category, variable: [UInt8]?)] = []
    for header in headers {
      guard let meaning = header.meaning else { continue }
      let index: Int
      if let found = winners.firstIndex(where: { $0.category == meaning.category }) {
        index = found
      } else {
        index = winners.count
        winners.append((meaning.category, nil))
      }
      guard isTrusted, let text = value(header.variable) else { continue }
      outcome.apply(header, meaning, text, proxies)
      winners[index].variable = header.variable
    }
    // A header of the same category that did not win must not reach the application, which might believe it.
    for winner in winners {
      for variable in ProxyHeader.variables(of: winner.category) where variable != winner.variable {
        outcome.change(.remove(variable))
      }
    }
    return outcome
  }

  static func isMember(_ address: ArraySlice<UInt8>, of proxies: [Subnet]) -> Bool {
    guard let address = IPAddress(bytes: address) else { return false }
    return proxies.contains { $0.contains(address) }
  }
}

extension ProxyOutcome {
  fileprivate mutating func apply(_ header: ProxyHeader, _ meaning: ProxyHeader.Meaning, _ text: [UInt8], _ proxies: [Subnet]?) {
    switch meaning {
    case .forwardedFor: applyForwardedFor(header, text, proxies)
    case .clientAddress: set("REMOTE_ADDR", text)
    case .host: set("HTTP_HOST", text)
    case .server: set("SERVER_NAME", text)
    case .port: set("SERVER_PORT", text)
    case .scriptName:
      set("SCRIPT_NAME", text)
      set("mod_wsgi.mount_point", text)
    case .schemeName: applyScheme(text, secure: ["https"], plain: ["http"])
    case .schemeFlag: applyScheme(text, secure: ["on", "true", "1"], plain: ["off", "false", "0"])
    }
  }

  private mutating func applyScheme(_ text: [UInt8], secure: [ByteText], plain: [ByteText]) {
    isSchemeDecided = true
    let word = ByteText(text)
    if secure.contains(where: word.equalsIgnoringCase) {
      set("HTTPS", [0x31])
    } else if plain.contains(where: word.equalsIgnoringCase) {
      change(.remove([UInt8]("HTTPS".utf8)))
    }
  }

  /// The client is the nearest address, read from the right, that is not one of our own proxies. Anything to the left of it is
  /// the client's own claim and is cut off.
  private mutating func applyForwardedFor(_ header: ProxyHeader, _ text: [UInt8], _ proxies: [Subnet]?) {
    let items = text.split(separator: Ascii.comma).map(trimmed).filter { !$0.isEmpty }
    guard let first = items.first else { return }
    guard let proxies else {
      set("REMOTE_ADDR", [UInt8](first))
      return
    }
    var start = items.count
    while start > 0, TrustedProxies.isMember(items[start - 1], of: proxies) { start -= 1 }
    let client = max(start - 1, 0)
    set("REMOTE_ADDR", [UInt8](items[client]))
    change(.set(header.variable, [UInt8](items[client...].joined(separator: [Ascii.comma, 0x20]))))
  }

  private mutating func set(_ variable: String, _ value: [UInt8]) { change(.set([UInt8](variable.utf8), value)) }

  /// Replaces an earlier change of the same variable.
  fileprivate mutating func change(_ change: EnvironChange) {
    changes.removeAll { $0.variable == change.variable }
    changes.append(change)
  }
}

private func trimmed(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
  var text = text
  while let first = text.first, isSpace(first) { text = text.dropFirst() }
  while let last = text.last, isSpace(last) { text = text.dropLast() }
  return text
}
