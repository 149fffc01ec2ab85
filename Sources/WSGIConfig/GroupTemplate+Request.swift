import WSGICore

extension GroupTemplate.Key {
  /// The key for a request. `owner`: the name of the script's owner, where the key asks for it.
  public func value(_ facts: some RequestFacts, owner: () throws(Refusal) -> [UInt8]) throws(Refusal) -> TenantKey {
    let text = try text(facts, owner)
    guard let key = TenantKey(text) else {
      throw Refusal(
        404,
        "WSGI0722: '\(ByteText(text))' cannot be the key of a process group: a key has 1 to 64 characters of A-Z, a-z, 0-9, '.',"
          + " '_', '@' and '-', and does not begin with '.' or '-'.")
    }
    return key
  }

  private func text(_ facts: some RequestFacts, _ owner: () throws(Refusal) -> [UInt8]) throws(Refusal) -> [UInt8] {
    var text: [UInt8] = []
    switch self {
    case .owner: return try owner()
    case .host: return facts.host
    case .server:
      facts.appendServerName(to: &text)
      HostName.normalize(&text)
    case .resource: return NameTemplate.resource.name(for: .applicationGroup, facts, lowercase: false).flatMap(Self.written)
    case .variable(let name):
      guard facts.appendVariable(name, to: &text) else {
        throw Refusal(
          500,
          "WSGI0723: The request has no variable '\(ByteText(name))', which makes its process group (key= of the template):"
            + " set it with SetEnv, SetEnvIf or RewriteRule.")
      }
      return HostName.normalized(text, host: facts.host)
    }
    return text
  }

  /// Bytes that a key cannot have are written as `@` and two hexadecimal digits, and so is `@`.
  private static func written(_ byte: UInt8) -> [UInt8] {
    if TenantKey.allows(byte), byte != UInt8(ascii: "@") { return [byte] }
    let digits = Array("0123456789ABCDEF".utf8)
    return [UInt8(ascii: "@"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
  }
}
