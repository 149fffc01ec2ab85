/// The environ key of a request header.
public enum HeaderKey: Sendable {
  case plain, contentType, contentLength, authorization, proxyAuthorization
  /// `Proxy`, which would become the HTTP_PROXY that HTTP clients obey; and names that another name could be mistaken for.
  case withheld

  public init(_ name: UnsafeRawBufferPointer) {
    guard EightBytes.cover(name, EightBytes.areLettersAndHyphens) || name.allSatisfy({ HeaderKey.variableByte($0) != 0 })
    else {
      self = .withheld
      return
    }
    switch name.count {
    case 0: self = .withheld
    case 5 where HeaderSyntax.equals(name, "proxy"): self = .withheld
    case 12 where HeaderSyntax.equals(name, "content-type"): self = .contentType
    case 13 where HeaderSyntax.equals(name, "authorization"): self = .authorization
    case 14 where HeaderSyntax.equals(name, "content-length"): self = .contentLength
    case 19 where HeaderSyntax.equals(name, "proxy-authorization"): self = .proxyAuthorization
    default: self = .plain
    }
  }

  /// The byte of a variable's name for one of a header's name; 0 if there is none.
  @inlinable @inline(__always)
  public static func variableByte(_ byte: UInt8) -> UInt8 {
    switch byte {
    case 0x61...0x7A: byte & 0xDF
    case 0x41...0x5A, 0x30...0x39: byte
    case 0x2D: 0x5F
    default: 0
    }
  }

  /// Writes `HTTP_` and the name as a variable: five bytes more than `name` has.
  @inlinable @inline(__always)
  public static func write(_ name: UnsafeRawBufferPointer, to target: UnsafeMutablePointer<UInt8>) {
    target[0] = 0x48
    target[1] = 0x54
    target[2] = 0x54
    target[3] = 0x50
    target[4] = 0x5F
    for index in 0..<name.count { target[index + 5] = variableByte(name[index]) }
  }

  /// Whether a variable of the server never reaches an application: PATH and HTTPS; `mod_wsgi.x-` is for what travels inside
  /// the server. The request's id is there already, and is httpd's own.
  public static func isWithheld(variable name: UnsafeRawBufferPointer) -> Bool {
    switch name.count {
    case 4: HeaderSyntax.equals(name, "path")
    case 5: HeaderSyntax.equals(name, "https")
    case 19 where name.elementsEqual(UnsafeRawBufferPointer(literal: RequestHead.requestIDKey)): true
    default: name.count >= 11 && isInternal(name)
    }
  }

  private static func isInternal(_ name: UnsafeRawBufferPointer) -> Bool {
    // Signs have no case to fold.
    zip(name, UnsafeRawBufferPointer(literal: "mod_wsgi.x-")).allSatisfy { byte, wanted in
      (byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte) == wanted
    }
  }
}

extension UnsafeRawBufferPointer {
  fileprivate init(literal text: StaticString) { self.init(start: text.utf8Start, count: text.utf8CodeUnitCount) }
}
