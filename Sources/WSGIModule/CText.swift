import CHTTPD
import Glibc
import WSGIConfig

// Between C's NUL-terminated strings and bytes.

/// The bytes of a C string, without its NUL; they live as long as the string.
@inline(__always)
func rawBytes(of text: UnsafePointer<CChar>) -> UnsafeRawBufferPointer {
  UnsafeRawBufferPointer(start: text, count: strlen(text))
}

/// The bytes of a C string; empty for NULL.
@inline(__always)
func rawBytes(of text: UnsafePointer<CChar>?) -> UnsafeRawBufferPointer {
  guard let text else { return UnsafeRawBufferPointer(start: nil, count: 0) }
  return UnsafeRawBufferPointer(start: text, count: strlen(text))
}

/// No bytes.
var nothing: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: nil, count: 0) }

/// Where bytes begin; a valid pointer even where there are none.
func start(of bytes: UnsafeRawBufferPointer) -> UnsafePointer<UInt8> {
  bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) ?? ("" as StaticString).utf8Start
}

extension ByteText {
  init(_ text: UnsafePointer<CChar>) { self.init([UInt8](rawBytes(of: text))) }
}

func withCString<R>(_ text: ByteText, _ body: (UnsafePointer<CChar>) -> R) -> R { withCString(text.bytes, body) }

/// Calls `body` with the bytes as a C string; one that holds a NUL ends there.
func withCString<R>(_ text: [UInt8], _ body: (UnsafePointer<CChar>) -> R) -> R {
  withUnsafeTemporaryAllocation(of: CChar.self, capacity: text.count + 1) { buffer in
    guard let base = buffer.baseAddress else { return body(emptyString) }
    for (index, byte) in text.enumerated() { base[index] = CChar(bitPattern: byte) }
    base[text.count] = 0
    return body(UnsafePointer(base))
  }
}

/// A copy that lives as long as the pool.
func poolCopy(_ text: String, _ pool: OpaquePointer) -> UnsafeMutablePointer<CChar> {
  var text = text
  return text.withUTF8 { poolCopy(UnsafeRawBufferPointer($0), pool) }
}

func poolCopy(_ bytes: UnsafeRawBufferPointer, _ pool: OpaquePointer) -> UnsafeMutablePointer<CChar> {
  wsgi_httpd_copy(pool, bytes.baseAddress ?? UnsafeRawPointer(emptyString), bytes.count)
}

/// The empty C string. SAFETY: a StaticString ends in a NUL byte and lives as long as the image.
nonisolated(unsafe) let emptyString = UnsafeRawPointer(("" as StaticString).utf8Start).assumingMemoryBound(to: CChar.self)
