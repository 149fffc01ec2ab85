/// What may stand in a header, as HTTP says and httpd demands.
public enum HeaderSyntax {
  /// A header's name: at least one byte, letters, digits and some signs.
  public static func isToken(_ name: UnsafeRawBufferPointer) -> Bool {
    !name.isEmpty && name.allSatisfy(isTokenByte)
  }

  /// A header's value or a reason phrase: no control characters but tabs.
  public static func isFieldContent(_ value: UnsafeRawBufferPointer) -> Bool {
    value.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
  }

  /// Whether a name is `other`, which is written in lower case.
  @inline(__always)
  public static func equals(_ name: UnsafeRawBufferPointer, _ other: StaticString) -> Bool {
    guard name.count == other.utf8CodeUnitCount else { return false }
    let wanted = other.utf8Start
    for index in 0..<name.count {
      let byte = name[index]
      guard (byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte) == wanted[index] else { return false }
    }
    return true
  }

  /// Whether a header is for httpd alone to send: one that frames the message, or concerns the connection and not the response
  /// (RFC 9110, 7.6.1). `Connection` is not among them: an application may ask for the connection's end.
  public static func isHopByHop(_ name: UnsafeRawBufferPointer) -> Bool {
    switch name.count {
    case 2: equals(name, "te")
    case 7: equals(name, "trailer") || equals(name, "upgrade")
    case 8: equals(name, "trailers")
    case 10: equals(name, "keep-alive")
    case 17 where equals(name, "transfer-encoding"): true
    case 6...: equals(UnsafeRawBufferPointer(rebasing: name[..<6]), "proxy-")
    default: false
    }
  }

  /// Whether a Connection header's value asks for the end of the connection.
  public static func asksToClose(_ value: UnsafeRawBufferPointer) -> Bool {
    value.split(separator: 0x2C).contains { option in
      var option = option
      while let first = option.first, first == 0x20 || first == 0x09 { option.removeFirst() }
      while let last = option.last, last == 0x20 || last == 0x09 { option.removeLast() }
      return equals(UnsafeRawBufferPointer(rebasing: option), "close")
    }
  }

  /// A Content-Length: digits only, with white space around them; nil for all else.
  public static func length(_ value: UnsafeRawBufferPointer) -> Int64? {
    var result: Int64 = 0
    var digits = 0
    var ended = false
    for byte in value {
      if byte == 0x20 || byte == 0x09 {
        if digits > 0 { ended = true }
        continue
      }
      let digit = byte &- UInt8(ascii: "0")
      guard digit <= 9, !ended, digits < 18 else { return nil }
      result = result &* 10 &+ Int64(digit)
      digits &+= 1
    }
    return digits == 0 ? nil : result
  }

  /// A bit for each byte below 128: letters, digits and !#$%&'*+-.^_`|~.
  private static func isTokenByte(_ byte: UInt8) -> Bool {
    let set: UInt64 = byte < 64 ? 0x03FF_6CFA_0000_0000 : 0x57FF_FFFF_C7FF_FFFE
    return byte < 128 && set >> UInt64(byte & 63) & 1 != 0
  }
}
