/// Bytes allowed in a header, as HTTP defines and httpd requires.
public enum HeaderSyntax {
  /// A header's name: at least one byte, letters, digits and some signs.
  public static func isToken(_ name: UnsafeRawBufferPointer) -> Bool {
    EightBytes.cover(name, EightBytes.areLettersAndHyphens) || !name.isEmpty && name.allSatisfy(isTokenByte)
  }

  /// A header's value or a reason phrase: no control characters but tabs.
  public static func isFieldContent(_ value: UnsafeRawBufferPointer) -> Bool {
    EightBytes.cover(value, EightBytes.haveNoControlCharacters)
      || value.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
  }

  /// Whether a name is `other`, which is written in lower-case letters and hyphens.
  @inlinable @inline(__always)
  public static func equals(_ name: UnsafeRawBufferPointer, _ other: StaticString) -> Bool {
    name.count == other.utf8CodeUnitCount && matches(name, other)
  }

  /// The same for a name that is as long as `other`.
  @usableFromInline
  static func matches(_ name: UnsafeRawBufferPointer, _ other: StaticString) -> Bool {
    let wanted = UnsafeRawBufferPointer(start: other.utf8Start, count: name.count)
    return EightBytes.cover(name, wanted, EightBytes.areSameLetters)
      ?? zip(name, wanted).allSatisfy { byte, wanted in (byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte) == wanted }
  }

  /// The meaning of a header's name, a token, for a server that passes the header on.
  public enum Meaning {
    case ordinary
    case contentLength
    /// An application may ask for the connection's end.
    case connection
    /// For httpd alone to send: it frames the message, or concerns the connection and not the response (RFC 9110, 7.6.1).
    case hopByHop
  }

  public static func meaning(_ name: UnsafeRawBufferPointer) -> Meaning {
    guard let first = name.first else { return .ordinary }
    let isHopByHop: Bool
    switch first | 0x20 {
    case UInt8(ascii: "c"):
      if equals(name, "content-length") { return .contentLength }
      return equals(name, "connection") ? .connection : .ordinary
    case UInt8(ascii: "k"): isHopByHop = equals(name, "keep-alive")
    case UInt8(ascii: "p"): isHopByHop = name.count >= 6 && equals(UnsafeRawBufferPointer(rebasing: name[..<6]), "proxy-")
    case UInt8(ascii: "t"):
      isHopByHop =
        equals(name, "te") || equals(name, "trailer") || equals(name, "trailers") || equals(name, "transfer-encoding")
    case UInt8(ascii: "u"): isHopByHop = equals(name, "upgrade")
    default: return .ordinary
    }
    return isHopByHop ? .hopByHop : .ordinary
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

  /// A Content-Length: digits only, with white space around them; nil for all else, and beyond `limit`, for a response what has
  /// more than 18 digits.
  public static func length(_ value: UnsafeRawBufferPointer, upTo limit: Int64 = 999_999_999_999_999_999) -> Int64? {
    var result: Int64 = 0
    var digits = 0
    var ended = false
    for byte in value {
      if byte == 0x20 || byte == 0x09 {
        if digits > 0 { ended = true }
        continue
      }
      let digit = byte &- UInt8(ascii: "0")
      guard digit <= 9, !ended, digits < 17 || result <= (limit &- Int64(digit)) / 10 else { return nil }
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

extension HeaderSyntax {
  /// Whether a Cache-Control header's value says that a cache may give the response to several clients.
  public static func isForAnybody(cacheControl value: UnsafeRawBufferPointer) -> Bool {
    value.split(separator: 0x2C).contains { directive in
      let name = directive.drop { $0 == 0x20 || $0 == 0x09 }.prefix { $0 != 0x3D && $0 != 0x20 && $0 != 0x09 }
      let lower = name.map { $0 >= 0x41 && $0 <= 0x5A ? $0 | 0x20 : $0 }
      return lower.elementsEqual("public".utf8) || lower.elementsEqual("s-maxage".utf8)
    }
  }
}
