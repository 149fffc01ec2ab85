import Testing
import WSGICore

private func bytes(_ text: String, _ body: (UnsafeRawBufferPointer) -> Void) {
  Array(text.utf8).withUnsafeBytes(body)
}

@Suite struct RequestHeadTests {
  private func encoded() -> [UInt8] {
    var writer = RequestHeadWriter()
    let names = ["group", "", "/srv/app.wsgi", "application"].map { Array($0.utf8) }
    names[0].withUnsafeBytes { group in
      names[1].withUnsafeBytes { application in
        names[2].withUnsafeBytes { script in
          names[3].withUnsafeBytes { callable in
            writer.begin(
              flags: [.hasBody, .https], contentLength: 12, scriptModified: 3, requestStart: 4, queueStart: 5,
              processGroup: group, applicationGroup: application, script: script, callable: callable)
          }
        }
      }
    }
    writer.writer.appendPair("REQUEST_METHOD", "GET")
    bytes("NOTHING") { writer.writer.appendPair(nullFor: $0) }
    return Array(writer.finish(pairs: 2))
  }

  @Test func theRequestsIDIsTheFirstPair() throws {
    try encoded().withUnsafeBytes { raw in
      let head = try RequestHead(decoding: raw)
      #expect(head.requestID == nil)
    }
    var writer = RequestHeadWriter()
    let none = UnsafeRawBufferPointer(start: nil, count: 0)
    for (pairs, expected) in [([], nil), ([("mod_wsgi.request_id", "abc"), ("A", "b")], "abc")] as [([(String, String)], String?)]
    {
      writer.begin(
        flags: [], contentLength: 0, scriptModified: 0, requestStart: 0, queueStart: 0, processGroup: none,
        applicationGroup: none, script: none, callable: none)
      for (key, value) in pairs { writer.writer.appendPair(key, value) }
      let head = try RequestHead(decoding: writer.finish(pairs: pairs.count))
      #expect(head.requestID.map { String(decoding: $0, as: UTF8.self) } == expected)
    }
  }

  @Test func whatIsWrittenIsRead() throws {
    try encoded().withUnsafeBytes { raw in
      let head = try RequestHead(decoding: raw)
      #expect(head.flags == [.hasBody, .https])
      #expect(head.contentLength == 12)
      #expect(head.queueStart == 5)
      #expect(raw.loadUnaligned(fromByteOffset: RequestHead.queueStartOffset, as: Int64.self) == 5)
      #expect(Array(head.script) == Array("/srv/app.wsgi".utf8))
      #expect(head.applicationGroup.isEmpty)
      #expect(head.pairCount == 2)
      var reader = head.environ
      let first = try reader.readPair()
      #expect(Array(first.key) == Array("REQUEST_METHOD".utf8))
      #expect(first.value.map(Array.init) == Array("GET".utf8))
      let second = try reader.readPair()
      #expect(Array(second.key) == Array("NOTHING".utf8))
      #expect(second.value == nil)
      #expect(reader.remaining == 0)
    }
  }

  @Test func everyTruncationIsRefusedOrReadsNoFurtherThanItsEnd() {
    let whole = encoded()
    for length in 0..<whole.count {
      var cut = Array(whole[0..<length])
      if length >= 8 {  // lie about the total so that the check on it does not hide the others
        withUnsafeBytes(of: UInt32(length)) { for (i, b) in $0.enumerated() { cut[4 + i] = b } }
      }
      cut.withUnsafeBytes { raw in
        _ = #expect(throws: FlatFailure.self) {
          let head = try RequestHead(decoding: raw)
          var reader = head.environ
          for _ in 0..<head.pairCount { _ = try reader.readPair() }
        }
      }
    }
  }
}
