import Testing

@testable import WSGIMeasurement

@Suite struct DatagramTests {
  private func make() -> Datagram { Datagram(.requestMetrics, process: 0x0102_0304, sequence: 5, timestamp: 1.5) }

  /// The bytes after the header.
  private func fields(_ fill: (inout Datagram) -> Void) -> [UInt8] {
    var datagram = make()
    fill(&datagram)
    return Array(datagram.bytes.dropFirst(Datagram.headerCount))
  }

  @Test func header() {
    #expect(
      make().bytes == Array("WSGI".utf8) + [1, 2, 0, 0, 4, 3, 2, 1, 5, 0, 0, 0] + [0, 0, 0, 0, 0, 0, 0xF8, 0x3F])
  }

  @Test func unsigned() { #expect(fields { $0.set(0x0114, UInt64(0x0203)) } == [0x14, 1, 1, 3, 2, 0, 0, 0, 0, 0, 0]) }
  @Test func negativeCountsAreNone() { #expect(fields { $0.set(1, -3) } == [1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]) }
  @Test func float() { #expect(fields { $0.set(21, 1.5) } == [21, 0, 2, 0, 0, 0, 0, 0, 0, 0xF8, 0x3F]) }
  @Test func nanoseconds() { #expect(fields { $0.set(21, nanoseconds: 1_500_000_000) } == fields { $0.set(21, 1.5) }) }
  @Test func text() { #expect(fields { $0.set(5, "ab") } == [5, 0, 4, 2, 0, 97, 98]) }
  @Test func nothingToSay() { #expect(fields { $0.set(5, ifAny: [UInt8]()) }.isEmpty) }
  @Test func integers() {
    #expect(fields { $0.set(90, [UInt64(1), UInt64.max]) } == [90, 0, 5, 2, 0, 1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0x7F])
  }
  @Test func floats() { #expect(fields { $0.set(111, [1.5]) } == [111, 0, 6, 1, 0, 0, 0, 0, 0, 0, 0, 0xF8, 0x3F]) }

  @Test func whatDoesNotFitIsLeftOut() {
    var datagram = make()
    datagram.set(5, [UInt8](repeating: 65, count: Datagram.limit))
    #expect(datagram.bytes.count == Datagram.headerCount)
    datagram.set(5, [UInt8](repeating: 65, count: Datagram.limit - Datagram.headerCount - 5))
    #expect(datagram.bytes.count == Datagram.limit)
    datagram.set(1, UInt64(1))
    #expect(datagram.bytes.count == Datagram.limit)
  }

  @Test func aFullSampleFits() {
    var sample = MetricsSample()
    sample.requests = 1
    sample.slots = [MetricsSample.Slot](repeating: MetricsSample.Slot(), count: 200)
    for index in sample.phases.indices {
      sample.phases[index].smallest = 1
      sample.phases[index].largest = 1
    }
    var datagram = make()
    sample.write(to: &datagram, isDaemon: true)
    #expect(datagram.bytes.count < Datagram.limit - 900)
    // The last field is there whole: 128 threads of eight bytes.
    #expect(datagram.bytes.suffix(128 * 8 + 5).prefix(5) == [114, 0, 6, 128, 0])
  }
}
