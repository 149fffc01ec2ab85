import CPosix
import Glibc
import Platform
import ProcessSupervision
import WSGICore

/// A server's control socket, as a client has it.
struct Server {
  let path: String
  /// How long the server may keep an answer waiting, in milliseconds.
  private static let patience: Int64 = 15_000

  /// Has a command carried out. The parts of the answer, without its outcome, which throws unless it is that all is done.
  @discardableResult
  func ask(_ request: CommandRequest) throws -> [CommandAnswer] {
    var passed: [Int32] = []
    defer { for descriptor in passed { close(descriptor) } }
    return try ask(request, passed: &passed)
  }

  /// The same, with the descriptors that came along, in the order of their parts. They are the caller's.
  func ask(_ request: CommandRequest, passed: inout [Int32]) throws -> [CommandAnswer] {
    guard let bytes = request.encoded() else { throw CommandFailure(.noGroup, "no process group has so long a name") }
    let socket = Descriptor(owning: try connect())
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes {
        send(socket.number, $0.baseAddress.map { $0 + sent }, $0.count - sent, Int32(MSG_NOSIGNAL))
      }
      // The server may have refused already: what it says comes next.
      guard count > 0 else { break }
      sent += count
    }
    return try readAnswer(socket.number, request, &passed)
  }

  private func connect() throws -> Int32 {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw failure("cannot make a socket", errno) }
    if CommandSocket.address(of: path, { Glibc.connect(descriptor, $0, $1) }) == 0 { return descriptor }
    let number = path.utf8.count < 108 ? errno : ENAMETOOLONG
    close(descriptor)
    throw failure("no server answers at \(path)", number)
  }

  private func failure(_ what: String, _ number: Int32) -> CommandFailure {
    CommandFailure(.noServer, "\(what): \(String(cString: strerror(number)))")
  }

  private func readAnswer(
    _ socket: Int32, _ request: CommandRequest, _ passed: inout [Int32]
  ) throws -> [CommandAnswer] {
    var parts: [CommandAnswer] = []
    var bytes: [UInt8] = []
    var start = 0
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      switch bytes[start...].withUnsafeBytes({ CommandAnswer.next(in: $0) }) {
      case .part(.outcome(let outcome), _):
        try check(outcome, request)
        return parts
      case .part(let part, let count):
        parts.append(part)
        start += count
        continue
      case .malformed:
        throw CommandFailure(.failed, "\(path) gives no answer that this wsgictl understands: are the versions the same?")
      case .incomplete: break
      }
      bytes.removeFirst(start)
      start = 0
      guard waitUntilReady(socket, for: readable, milliseconds: Self.patience).first != 0 else {
        throw CommandFailure(.noServer, "the server at \(path) does not answer")
      }
      var descriptors = wsgi_posix_descriptors()
      let count = wsgi_posix_receive(socket, &buffer, buffer.count, 0, &descriptors)
      if descriptors.count > 0 { passed.append(descriptors.values.0) }
      if descriptors.count > 1 { passed.append(descriptors.values.1) }
      guard count > 0 else { throw CommandFailure(.noServer, "the server at \(path) ended before it had answered") }
      bytes += buffer[..<count]
    }
  }

  private func check(_ outcome: CommandAnswer.Outcome, _ request: CommandRequest) throws {
    switch outcome {
    case .done: break
    case .refused(let why): throw CommandFailure(.failed, Terminal.plain(why))
    case .noGroup:
      let name = request.group.isEmpty ? "" : " '\(Terminal.plain(String(decoding: request.group, as: UTF8.self)))'"
      throw CommandFailure(.noGroup, "there is no process group\(name), or it is not yours")
    }
  }
}
