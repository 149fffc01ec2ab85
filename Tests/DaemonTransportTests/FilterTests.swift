import Testing
import WSGICore

@testable import DaemonTransport

/// What httpd's filters ask of the exchange: patience with those that hold bytes back, and a response in one piece for those that
/// can do nothing with its parts.
@Suite struct FilterTests {
  private static func frame(_ header: FrameHeader, _ rest: [UInt8] = []) -> [UInt8] { header.encoded + rest }

  private static func response(_ head: String, _ body: [UInt8], _ flags: FrameHeader.Flags) -> [UInt8] {
    frame(FrameHeader(.response, flags: flags, head: head.utf8.count, data: body.count, extra: 1), Array(head.utf8) + body)
  }

  /// Reads the request's body to its end; how long it is.
  private static func bodyLength(_ channel: inout ChannelServer) -> Int {
    withUnsafeTemporaryAllocation(byteCount: 100, alignment: 1) { buffer in
      var total = 0
      while let count = try? channel.read(into: buffer), count > 0 { total += count }
      return total
    }
  }

  @Test func whatAFilterHoldsBackIsAskedForAgain() throws {
    var origin = RecordingOrigin()
    origin.upload = bytes(1000)
    origin.uploadPiece = 10
    origin.heldBack = 20
    let outcome = try converse(origin: &origin) { channel, _ in
      let length = FilterTests.bodyLength(&channel)
      _ = sendMessage(FilterTests.response("\(length)", [], .end), to: channel.channel)
      channel.hasEnded = true
    }
    #expect(outcome == .done)
    #expect(origin.head == Array("1000".utf8) && origin.reads > 2000)
  }

  /// A body of which nothing ever comes out of a filter does not keep the answer from the client.
  @Test func aWorkerIsHeardWhileAFilterHoldsEverythingBack() throws {
    var origin = RecordingOrigin()
    origin.heldBack = .max
    let outcome = try converse(origin: &origin) { channel, _ in
      _ = sendMessage(FilterTests.frame(FrameHeader(.wantBody, extra: 1)), to: channel.channel)
      _ = sendMessage(FilterTests.response("early", bytes(10), .end), to: channel.channel)
      channel.hasEnded = true
    }
    #expect(outcome == .done)
    #expect(origin.head == Array("early".utf8) && origin.body == bytes(10))
  }

  @Test func theLastBytesComeWithTheEnd() throws {
    var origin = RecordingOrigin()
    let outcome = try converse(origin: &origin) { channel, _ in
      _ = sendMessage(FilterTests.response("H", bytes(100), []), to: channel.channel)
      let last = FrameHeader(.data, flags: .end, data: 50, extra: 1)
      _ = sendMessage(FilterTests.frame(last, bytes(50)), to: channel.channel)
      channel.hasEnded = true
    }
    #expect(outcome == .done)
    #expect(origin.body == bytes(100) + bytes(50) && origin.endings == [50])
  }

  /// However the channel cuts it.
  @Test(arguments: [0, 1, 1000, 64 << 10]) func aResponseToTakeRangesOfComesInOnePiece(size: Int) throws {
    var origin = RecordingOrigin()
    let outcome = try converse(flags: .wantsRanges, origin: &origin) { channel, _ in
      let raw = FilterTests.response("head", bytes(size), .end)
      let piece = size > 1000 ? 5000 : 1
      for start in stride(from: 0, to: raw.count, by: piece) {
        _ = sendMessage(raw[start..<min(start + piece, raw.count)], to: channel.channel)
      }
      channel.hasEnded = true
    }
    #expect(outcome == .done)
    #expect(origin.body == bytes(size) && origin.endings == (size == 0 ? [] : [size]))
  }

  @Test func aLongerOneDoesNotWaitForItsEnd() throws {
    var origin = RecordingOrigin()
    let size = (64 << 10) + 1
    let outcome = try converse(flags: .wantsRanges, origin: &origin) { channel, _ in
      let raw = FilterTests.response("head", bytes(size), .end)
      for start in stride(from: 0, to: raw.count, by: 5000) {
        _ = sendMessage(raw[start..<min(start + 5000, raw.count)], to: channel.channel)
      }
      channel.hasEnded = true
    }
    #expect(outcome == .done)
    #expect(origin.body == bytes(size))
  }
}
