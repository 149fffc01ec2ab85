import Testing
import WSGICore

@testable import DaemonTransport

@Suite struct FrameTests {
  private func decode(_ header: FrameHeader, from side: ChannelSide) throws(FrameFailure) -> FrameHeader {
    try decode(header.encoded, from: side)
  }

  private func decode(_ raw: [UInt8], from side: ChannelSide) throws(FrameFailure) -> FrameHeader {
    let result: Result<FrameHeader, FrameFailure> = raw.withUnsafeBytes { bytes in
      do throws(FrameFailure) {
        guard let start = bytes.baseAddress else { return .failure(.badMark) }
        return .success(try FrameHeader(decoding: start, from: side))
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  static let valid: [(FrameHeader, ChannelSide)] = [
    (FrameHeader(.taken, extra: 12), .worker),
    (FrameHeader(.stale), .worker),
    (FrameHeader(.wantBody, extra: .max), .worker),
    (FrameHeader(.response, flags: [.end, .flush], head: FrameLimits.responseHead, data: FrameLimits.responseData), .worker),
    (FrameHeader(.data, flags: .flush, data: 0), .worker),
    (FrameHeader(.file, head: 3, data: 16), .worker),
    (FrameHeader(.log, flags: .init(rawValue: 15), head: FrameLimits.name, data: LogPieces.limit, extra: 9), .worker),
    (FrameHeader(.failed, extra: 504), .worker),
    (FrameHeader(.aborted), .worker),
    (FrameHeader(.body, flags: .end, data: FrameLimits.bodyData), .child),
    (FrameHeader(.bodyFailed, extra: 2), .child),
  ]

  @Test(arguments: valid) func whatIsWrittenIsRead(header: FrameHeader, side: ChannelSide) throws {
    #expect(try decode(header, from: side) == header)
  }

  @Test(arguments: valid) func noSideMaySendTheOthersFrames(header: FrameHeader, side: ChannelSide) {
    #expect(throws: FrameFailure.wrongDirection(header.kind)) { try decode(header, from: side == .child ? .worker : .child) }
  }

  static let invalid: [(FrameHeader, ChannelSide, FrameFailure)] = [
    (FrameHeader(.response, head: FrameLimits.responseHead + 1), .worker, .tooLong(.response)),
    (FrameHeader(.response, head: 1, data: FrameLimits.responseData + 1), .worker, .tooLong(.response)),
    (FrameHeader(.response, flags: .init(rawValue: 8), head: 1), .worker, .badFlags(.response)),
    (FrameHeader(.data, head: 1), .worker, .tooLong(.data)),
    (FrameHeader(.data, data: .max), .worker, .tooLong(.data)),
    (FrameHeader(.file, data: 15), .worker, .tooLong(.file)),
    (FrameHeader(.file, flags: .end, data: 16), .worker, .badFlags(.file)),
    (FrameHeader(.log, data: LogPieces.limit + 1), .worker, .tooLong(.log)),
    (FrameHeader(.log, flags: .init(rawValue: 16)), .worker, .badFlags(.log)),
    (FrameHeader(.stale, data: 1), .worker, .tooLong(.stale)),
    (FrameHeader(.wantBody, flags: .end), .worker, .badFlags(.wantBody)),
    (FrameHeader(.failed, head: 1), .worker, .tooLong(.failed)),
    (FrameHeader(.body, flags: .flush), .child, .badFlags(.body)),
    (FrameHeader(.body, data: FrameLimits.bodyData + 1), .child, .tooLong(.body)),
    (FrameHeader(.bodyFailed, data: 1), .child, .tooLong(.bodyFailed)),
  ]

  @Test(arguments: invalid) func limitsHold(header: FrameHeader, side: ChannelSide, failure: FrameFailure) {
    #expect(throws: failure) { try decode(header, from: side) }
  }

  @Test func arbitraryBytesAreRefusedOrWithinTheLimits() {
    var dice = Dice(state: 1)
    for _ in 0..<200_000 {
      var raw = (0..<FrameHeader.size).map { _ in UInt8.random(in: 0...255, using: &dice) }
      if Bool.random(using: &dice) { raw.replaceSubrange(2..<4, with: [0x57, 0x46]) }
      if Bool.random(using: &dice) { raw[0] %= 20 }
      for side in [ChannelSide.child, .worker] {
        guard let header = try? decode(raw, from: side) else { continue }
        #expect(Int(header.headLength) <= FrameLimits.responseHead)
        #expect(Int(header.dataLength) <= FrameLimits.responseData)
      }
    }
  }
}
