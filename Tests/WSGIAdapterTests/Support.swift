import Platform
import PythonForTests
import Testing
import WSGICore
import WSGIMeasurement

@testable import WSGIAdapter

/// A host that remembers what it is told, and gives a body in the pieces that a test wants.
final class RecordingExchange: RequestExchange {
  struct Head: Equatable {
    var status: UInt32
    var reason: String
    var headers: [String]
  }

  private(set) var head: Head?
  private(set) var body: [UInt8] = []
  /// What each call of `send` brought.
  private(set) var blocks: [String] = []
  private(set) var hasEnded = false
  private(set) var log: [String] = []
  private(set) var startedAt: Int64 = 0
  /// The pieces in which the request's body arrives; after them, its end or `failure`.
  var pieces: [[UInt8]] = []
  var readFailure: ExchangeFailure?
  /// What every `send` answers from this many blocks on.
  var sendFailure: (after: Int, with: ExchangeFailure)?
  /// Called when the end of the response is sent.
  var whenEnding: () -> Void = {}

  override func read(into buffer: UnsafeMutableRawBufferPointer) -> Int64 {
    guard !pieces.isEmpty else { return Int64(readFailure?.rawValue ?? 0) }
    let count = min(buffer.count, pieces[0].count)
    buffer.copyBytes(from: pieces[0].prefix(count))
    pieces[0].removeFirst(count)
    if pieces[0].isEmpty { pieces.removeFirst() }
    return Int64(count)
  }

  override func send(head encoded: UnsafeRawBufferPointer?, body block: UnsafeRawBufferPointer, flags: SendFlags) -> Int32 {
    if let failure = sendFailure, blocks.count >= failure.after { return failure.with.rawValue }
    if let encoded { head = RecordingExchange.decode(encoded) }
    body.append(contentsOf: block)
    if !block.isEmpty { blocks.append(String(decoding: block, as: UTF8.self)) }
    if flags.contains(.end) {
      whenEnding()
      hasEnded = true
    }
    return 0
  }

  override func sendFile(head encoded: UnsafeRawBufferPointer?, descriptor: Int32, offset: Int64, length: Int64) -> Int32 {
    if let encoded { head = RecordingExchange.decode(encoded) }
    blocks.append("file \(offset)+\(length)")
    hasEnded = true
    return 0
  }

  override func log(_ level: LogLevel, _ text: UnsafeRawBufferPointer, file: String?, line: Int) {
    log.append("\(level) \(String(decoding: text, as: UTF8.self))")
  }

  override func started(_ microseconds: Int64) { startedAt = microseconds }

  private static func decode(_ bytes: UnsafeRawBufferPointer) -> Head? {
    guard let head = try? ResponseHead(decoding: bytes) else { return nil }
    var reader = head.headers
    var headers: [String] = []
    for _ in 0..<head.headerCount {
      guard let pair = try? reader.readPair() else { return nil }
      let value = String(decoding: pair.value ?? UnsafeRawBufferPointer(start: nil, count: 0), as: UTF8.self)
      headers.append("\(String(decoding: pair.key, as: UTF8.self)): \(value)")
    }
    return Head(status: head.status, reason: String(decoding: head.reason, as: UTF8.self), headers: headers)
  }

  var text: String { String(decoding: body, as: UTF8.self) }
  func logged(_ part: String) -> Bool { log.contains { $0.contains(part) } }
}

/// A request to come.
struct TestRequest {
  var script: String
  var group = ""
  var flags: RequestHead.Flags = []
  var contentLength: Int64 = -1
  var environ: [(String, String)] = []

  init(_ source: String) { script = Engine.script(source) }

  /// Runs the application; gives what its host was told, and how it ended.
  @discardableResult
  func run(_ exchange: RecordingExchange = RecordingExchange()) -> (RecordingExchange, RequestOutcome) {
    let adapter = Engine.adapter
    var writer = RequestHeadWriter()
    let callable = "application"
    func bytes(_ text: String, _ body: (UnsafeRawBufferPointer) -> Void) {
      var text = text
      text.withUTF8 { body(UnsafeRawBufferPointer($0)) }
    }
    var flags = flags
    if contentLength > 0 || !exchange.pieces.isEmpty { flags.insert(.hasBody) }
    let empty = UnsafeRawBufferPointer(start: nil, count: 0)
    bytes(group) { group in
      bytes(script) { script in
        bytes(callable) { callable in
          writer.begin(
            flags: flags, contentLength: contentLength, scriptModified: 1, requestStart: Clock.epochMicroseconds() - 2000,
            queueStart: 0,
            processGroup: empty, applicationGroup: group, script: script, callable: callable)
        }
      }
    }
    let standard = [
      ("REQUEST_METHOD", "GET"), ("SCRIPT_NAME", ""), ("PATH_INFO", "/"), ("SERVER_NAME", "localhost"),
      ("SERVER_PROTOCOL", "HTTP/1.1"), ("SCRIPT_FILENAME", script), ("mod_wsgi.request_id", "id-1"),
      ("mod_wsgi.server_pid", "4711"),
    ]
    for (key, value) in standard + environ { writer.writer.appendPair(key, value) }
    let head = writer.finish(pairs: standard.count + environ.count)
    var outcome = RequestOutcome()
    do {
      let request = try RequestHead(decoding: head)
      outcome = adapter.run(request, exchange, ticket: 7, flags: [])
    } catch { Issue.record("the head cannot be read: \(error)") }
    return (exchange, outcome)
  }
}

/// Everything that needs Python: one after the other, since there is one Python.
@Suite(.serialized) enum AdapterTests {}

/// The lines that start_response and a body of one string take.
let ok = "start_response('200 OK', [])"
