import PythonRuntime
import WSGICore

/// The pairs of a request's environ, and those that the engine adds to them; valid while it runs.
struct RequestPairs: ~Copyable {
  private var pairs = FlatReader(UnsafeRawBufferPointer(start: nil, count: 0))
  private var count: UInt32 = 0
  private let own = UnsafeMutableBufferPointer<EnvironPairs.Pair>.allocate(capacity: 3)

  init() {
    own.initialize(repeating: (RequestPairs.bytes("mod_wsgi.process_group"), nil))
    own[1].key = RequestPairs.bytes("mod_wsgi.application_group")
    own[2].key = RequestPairs.bytes("mod_wsgi.callable_object")
  }

  deinit { own.deallocate() }

  mutating func begin(_ request: RequestHead) {
    pairs = request.environ
    count = request.pairCount
    own[0].value = request.processGroup
    own[1].value = request.applicationGroup
    own[2].value = request.callable
  }

  var all: EnvironPairs { EnvironPairs(pairs.rest, count: Int(count), further: UnsafeBufferPointer(own)) }

  func value(of key: StaticString) -> UnsafeRawBufferPointer? {
    let wanted = RequestPairs.bytes(key)
    var reader = pairs
    var found: UnsafeRawBufferPointer?
    for _ in 0..<count {
      guard let pair = try? reader.readPair() else { break }
      if pair.key.count == wanted.count, pair.key.elementsEqual(wanted) { found = pair.value }
    }
    return found
  }

  static func bytes(_ text: StaticString) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
  }
}
