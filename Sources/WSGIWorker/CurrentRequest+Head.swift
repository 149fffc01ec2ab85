import ProcessSupervision
import WSGICore

extension CurrentRequest {
  /// The request of an encoded head.
  init(head bytes: UnsafeRawBufferPointer) {
    self.init()
    guard let head = try? RequestHead(decoding: bytes) else { return }
    var environ = head.environ
    let none = UnsafeRawBufferPointer(start: nil, count: 0)
    var (method, mount, rest) = (none, none, none)
    for _ in 0..<head.pairCount {
      guard let (key, value) = try? environ.readPair() else { break }
      if key.elementsEqual("REQUEST_METHOD".utf8) {
        method = value ?? none
      } else if key.elementsEqual("SCRIPT_NAME".utf8) {
        mount = value ?? none
      } else if key.elementsEqual("PATH_INFO".utf8) {
        rest = value ?? none
      }
    }
    self.method = head.flags.contains(.isHead) ? Array("HEAD".utf8) : Array(method)
    setPath([mount, rest])
    id = head.requestID.map { Array($0) } ?? []
  }
}
