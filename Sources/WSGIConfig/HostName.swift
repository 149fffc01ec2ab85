/// Names made from hosts, which can be spelled in many ways.
enum HostName {
  /// Lower case, without trailing dots.
  static func normalize(_ name: inout [UInt8]) {
    for index in name.indices { name[index] = asciiLowercase(name[index]) }
    while name.count > 1, name.last == Ascii.dot { name.removeLast() }
  }

  /// The same for text that may be a host with a port, as in a Host header; other text stays as it is. Text before a colon and
  /// digits is a host if it contains a dot or brackets, or is `host`.
  static func normalized(_ text: [UInt8], host: [UInt8]) -> [UInt8] {
    guard text.allSatisfy(mayStandInHost) else { return text }
    var name = text
    normalize(&name)
    guard let colon = name.lastIndex(of: Ascii.colon), colon > 0, name[(colon + 1)...].allSatisfy(NumberSyntax.isDigit) else {
      return name
    }
    var bare = [UInt8](name[..<colon])
    normalize(&bare)
    let isAddress = bare.first == bracket || !bare.contains(Ascii.colon)
    let isHost = bare.contains(Ascii.dot) || bare.first == bracket || bare.elementsEqual("localhost".utf8) || bare == host
    return isAddress && isHost ? bare : name
  }

  private static func mayStandInHost(_ byte: UInt8) -> Bool {
    let letter = asciiLowercase(byte)
    return letter >= 0x61 && letter <= 0x7A || NumberSyntax.isDigit(byte) || others.contains(byte)
  }

  private static let bracket: UInt8 = 0x5B
  private static let others = [UInt8](".-_:[]".utf8)
}
