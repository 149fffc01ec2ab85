/// The Path attribute of a cookie.
public enum CookiePath {
  /// A script's name as URLs have it: bytes that may not stand in a URL's path, or not in the attribute, are escaped. The root of
  /// a site, whose name is empty, is `/`.
  public static func bytes(of scriptName: UnsafeRawBufferPointer) -> [UInt8] {
    guard scriptName.first == 0x2F else { return [0x2F] }
    let digits = Array("0123456789ABCDEF".utf8)
    return scriptName.flatMap { byte -> [UInt8] in
      isPlain(byte) ? [byte] : [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
    }
  }

  /// pchar of RFC 3986 and the slash, without the semicolon and the comma.
  private static func isPlain(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
    default: "-._~!$&'()*+=:@/".utf8.contains(byte)
    }
  }
}
