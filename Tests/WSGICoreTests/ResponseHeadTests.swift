import Testing
import WSGICore

/// What httpd refuses of a response head, whoever wrote it.
@Suite struct ResponseHeadTests {
  private func encoded(
    _ status: UInt32, length: Int64 = -1, reason: String = "OK", _ headers: [(String, String)] = []
  ) -> [UInt8] {
    var writer = FlatWriter()
    writer.append(ResponseHead.magic)
    writer.append(status)
    writer.append(length)
    Array(reason.utf8).withUnsafeBytes { writer.appendCounted($0) }
    writer.append(UInt32(headers.count))
    for (name, value) in headers { writer.appendPair(name, value) }
    return Array(writer.bytes)
  }

  private func objection(_ bytes: [UInt8]) -> String? {
    bytes.withUnsafeBytes { bytes in
      do throws(FlatFailure) {
        return try ResponseHead(decoding: bytes).objection()
      } catch {
        return "\(error)"
      }
    }
  }

  @Test func whatMayBeSent() {
    let headers = [("Content-Length", "7"), ("Connection", "Close"), ("X-A", "caf\u{E9}\t"), ("Content-Type", ""), ("ETag", "x")]
    #expect(objection(encoded(200, length: 7, headers)) == nil)
    #expect(objection(encoded(999, reason: "", [])) == nil)
  }

  @Test(arguments: [0, 1, 99, 100, 101, 103, 199, 1000, UInt32.max]) func statuses(status: UInt32) {
    #expect(objection(encoded(status)) != nil)
  }

  @Test(arguments: [
    ("Transfer-Encoding", "chunked"), ("TE", ""), ("Trailer", "X"), ("Upgrade", "x"), ("keep-alive", "1"), ("Proxy-Any", "x"),
    ("Connection", "keep-alive"), ("Connection", "close, X-A"), ("", "x"), ("X A", "x"), ("X-A:", "x"), ("X-A\r\nX-B", "x"),
    ("X-A", "a\rb"), ("X-A", "a\nb"), ("X-A", "a\0b"), ("Content-Length", "8"), ("Content-Length", ""), ("Content-Length", "7,7"),
  ]) func headers(name: String, value: String) {
    #expect(objection(encoded(200, length: 7, [("X-First", "1"), (name, value)])) != nil)
  }

  @Test func reasons() {
    for reason in ["a\rb", "a\nb", "a\0b", "a\u{7F}"] { #expect(objection(encoded(200, reason: reason)) != nil) }
  }

  @Test func everyShorterOneIsRefused() {
    let whole = encoded(200, length: 7, [("Content-Length", "7"), ("X-A", "1")])
    for count in 0..<whole.count { #expect(objection(Array(whole.prefix(count))) != nil) }
  }
}
