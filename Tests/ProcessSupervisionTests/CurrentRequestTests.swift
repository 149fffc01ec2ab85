import Testing

@testable import ProcessSupervision

@Suite struct CurrentRequestTests {
  private static func request(_ path: [[UInt8]], age: Int64 = 41_000) -> CurrentRequest {
    var request = CurrentRequest()
    request.method = Array("GET".utf8)
    request.age = age
    request.thread = 4711
    request.id = [0x61, 0xFF, 0]
    let all = path.flatMap { $0 }
    all.withUnsafeBytes { bytes in
      var start = 0
      request.setPath(
        path.map { part in
          defer { start += part.count }
          return UnsafeRawBufferPointer(rebasing: bytes[start..<start + part.count])
        })
    }
    return request
  }

  private func decode(_ bytes: [UInt8]) -> [CurrentRequest]? { bytes.withUnsafeBytes { CurrentRequest.decode($0) } }

  @Test func requestsAreReadAsTheyWereWritten() {
    let requests = [Self.request([Array("/shop".utf8), [0x2F, 0x1B, 0xFF]]), CurrentRequest(), Self.request([], age: 0)]
    #expect(decode(CurrentRequest.encode(requests)) == requests)
    #expect(decode(CurrentRequest.encode([])) == [])
    #expect(requests[0].path == Array("/shop/".utf8) + [0x1B, 0xFF] && !requests[0].isCut)
  }

  @Test(arguments: [[1024], [1024, 0], [24, 1000]]) func aPathThatFitsIsWhole(_ lengths: [Int]) {
    let request = Self.request(lengths.map { [UInt8](repeating: 0x41, count: $0) })
    #expect(request.path.count == CurrentRequest.pathLimit && !request.isCut)
  }

  @Test(arguments: [[1025], [1024, 1], [2000, 2000], [1, 5000]]) func aLongPathIsCut(_ lengths: [Int]) {
    let request = Self.request(lengths.map { [UInt8](repeating: 0x41, count: $0) })
    #expect(request.path.count == CurrentRequest.pathLimit && request.isCut)
    #expect(decode(CurrentRequest.encode([request])) == [request])
  }

  @Test func namesAreBounded() {
    var request = CurrentRequest()
    request.method = [UInt8](repeating: 0x41, count: 5000)
    request.id = request.method
    let read = decode(CurrentRequest.encode([request]))
    #expect(read?.first?.method.count == 64 && read?.first?.id.count == 64)
  }

  @Test func liesAreNotBelieved() {
    let good = CurrentRequest.encode([Self.request([Array("/shop".utf8)]), CurrentRequest()])
    for count in 0..<good.count { #expect(decode(Array(good.prefix(count))) == nil, "\(count) bytes") }
    #expect(decode(good + [0]) == nil)
    // The magic, the number of requests, the lengths of the id, the method and the path.
    for offset in [0, 4, 24, 31, 38] {
      for value: UInt8 in [0x7F, 0xFF] {
        var bytes = good
        for index in offset..<offset + 4 { bytes[index] = value }
        #expect(decode(bytes) == nil, "\(value) at \(offset)")
      }
    }
    var old = good
    for index in 8..<16 { old[index] = 0xFF }
    #expect(decode(old)?.first?.age == 0)
  }
}
