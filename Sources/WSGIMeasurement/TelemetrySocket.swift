import Glibc
import Platform
import Synchronization

/// Sends datagrams to the path of a telemetry service's socket. The service may come and go. One that does not keep up is waited
/// for a moment, once between two calls of `renewPatience`; datagrams that it does not take then are lost.
final class TelemetrySocket: Sendable {
  private struct State {
    var descriptor: Int32
    var sequence: UInt32 = 0
    var isPatient = true
  }

  /// In microseconds.
  private static let patience = 50_000

  private let path: String
  private let state: Mutex<State>

  /// Why there is no telemetry.
  enum Failure: Error {
    case pathTooLong
    case noSocket(Int32)
  }

  init(path: String) throws(Failure) {
    guard path.utf8.count < MemoryLayout.size(ofValue: sockaddr_un().sun_path) else { throw .pathTooLong }
    let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw .noSocket(errno) }
    var size: Int32 = 65536
    setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, socklen_t(MemoryLayout<Int32>.size))
    var limit = timeval(tv_sec: 0, tv_usec: TelemetrySocket.patience)
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    self.path = path
    state = Mutex(State(descriptor: descriptor))
  }

  /// The service may be waited for again.
  func renewPatience() { state.withLock { $0.isPatient = true } }
  /// It is not waited for any more.
  func losePatience() { state.withLock { $0.isPatient = false } }

  /// Sends one datagram that `fill` completes, of a time in microseconds since the epoch. Any thread.
  func send(_ kind: Datagram.Kind, _ microseconds: Int64, _ fill: (inout Datagram) -> Void) {
    state.withLock { state in
      guard state.descriptor >= 0 else { return }
      state.sequence &+= 1
      let stamp = Clock.seconds(microseconds: microseconds)
      var datagram = Datagram(kind, process: UInt32(bitPattern: getpid()), sequence: state.sequence, timestamp: stamp)
      fill(&datagram)
      if !transmit(datagram.bytes, state.descriptor, waits: state.isPatient) { state.isPatient = false }
    }
  }

  /// False where the service has not taken it.
  private func transmit(_ bytes: [UInt8], _ descriptor: Int32, waits: Bool) -> Bool {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let flags = Int32(MSG_NOSIGNAL) | (waits ? 0 : Int32(MSG_DONTWAIT))
    let sent = withUnsafePointer(to: &address) { name in
      sendto(
        descriptor, bytes, bytes.count, flags, __CONST_SOCKADDR_ARG(__sockaddr_un__: name),
        socklen_t(MemoryLayout<sockaddr_un>.size))
    }
    return sent >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK)
  }

  /// Nothing is sent any more.
  func close() {
    state.withLock { state in
      if state.descriptor >= 0 { Glibc.close(state.descriptor) }
      state.descriptor = -1
    }
  }
}
