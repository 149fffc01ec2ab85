import Platform
import WSGICore

/// An httpd child's side of a request that a daemon process runs, for the `RequestForwarder`. All functions are called on the
/// thread that called `RequestForwarder.run`, within that call.
public protocol RequestOrigin: ~Copyable {
  /// Receives as much of the request body as the group wants to be there before a process is asked for the request. Waits for the
  /// client; called once the request is counted, perhaps again if it is to go to another queue. The result is how long that took,
  /// in milliseconds.
  mutating func receiveBody() -> Int64
  /// Reads what is there of the request body, without waiting.
  mutating func readBody(into buffer: UnsafeMutableRawBufferPointer) -> BodyRead
  /// A descriptor that becomes readable when `readBody` may bring more; -1 where there is none (HTTP/2), and it is tried again
  /// every few milliseconds.
  var bodyDescriptor: Int32 { get }
  /// How long the client may take to send the next bytes of its body.
  var bodyTimeoutMilliseconds: Int64 { get }

  /// The response's encoded head (`ResponseHead`), not checked yet. False: it cannot be sent, and nothing was.
  mutating func begin(_ head: UnsafeRawBufferPointer) -> Bool
  /// Bytes of the body, valid during the call, which may wait for a slow client. False: the client has gone.
  mutating func write(_ bytes: UnsafeRawBufferPointer) -> Bool
  /// The last bytes of the body: as `write`, and the response is complete with them.
  mutating func end(_ bytes: UnsafeRawBufferPointer) -> Bool
  /// Puts on its way to the client what was written so far. False: the client has gone.
  mutating func flush() -> Bool
  /// Whether httpd keeps bytes that the client's socket does not take now, so that `write` and `flush` would wait. Its
  /// `bodyDescriptor` becomes writable when it takes some; where there is none, the client is taken to keep up.
  func isClientBehind() -> Bool
  /// How long the client may take nothing, in milliseconds; 0: for ever.
  var clientTimeoutMilliseconds: Int64 { get }
  /// It took nothing for that long.
  mutating func clientTimedOut()
  /// Opens a file for what the client has not taken yet: its descriptor, or a negated errno value.
  mutating func makeSpoolFile() -> Int32
  /// That file could not be made, took no more, or cannot be read; then the response is cut.
  mutating func spoolFailed(_ failure: SpoolFailure)
  /// The rest of the body: a range that lies within a regular file, open for reading. It must not be mapped: its owner can
  /// truncate it. False: the client has gone.
  mutating func sendFile(_ file: consuming Descriptor, offset: Int64, length: Int64) -> Bool
  /// A log record that belongs to the request. `file` is empty unless a LogHandler named its source line.
  mutating func log(level: LogLevel, file: UnsafeRawBufferPointer, line: UInt32, text: UnsafeRawBufferPointer)

  /// Whether the process group has a worker that takes requests, as far as the supervisor said.
  func isServed() -> Bool
  /// `isServed` is true only because a first worker starts, which may yet fail.
  func isStarting() -> Bool
  /// A command has stopped the group: nothing waits for it.
  func isHalted() -> Bool
  /// The request goes back to the queue: the process that took it is being replaced.
  mutating func requeued(attempt: UInt32)
}

extension RequestOrigin where Self: ~Copyable {
  public func isStarting() -> Bool { false }
  public func isHalted() -> Bool { false }
}

public enum BodyRead {
  case bytes(Int)
  case end
  /// Nothing there now.
  case wouldWait
  /// Bytes came, and a filter of the host keeps them for now: there may be more already.
  case heldBack
  case failed(ExchangeFailure)
}
