import Glibc
import Platform

/// Where a server of one's own listens.
struct ListenAddress {
  let host: String
  let port: Int

  private static let usual = 8000...8099

  /// The port that was asked for, or the first that is free.
  init(host: String, port: Int?) throws(CommandFailure) {
    self.host = host
    if let port {
      let problem = try Self.problem(host, port)
      guard problem == 0 else {
        let remedy =
          problem == EACCES ? "ports below 1024 are root's: use another" : "choose another with --port, or leave that out"
        throw CommandFailure(
          .failed, "cannot listen on port \(port) of \(host): \(String(cString: strerror(problem))); \(remedy)")
      }
      self.port = port
      return
    }
    for port in Self.usual {
      let problem = try Self.problem(host, port)
      if problem == 0 {
        self.port = port
        return
      }
      guard problem == EADDRINUSE else {
        throw CommandFailure(
          .failed, "cannot listen on \(host): \(String(cString: strerror(problem))); choose another address with --host")
      }
    }
    throw CommandFailure(
      .failed, "the ports \(Self.usual.lowerBound) to \(Self.usual.upperBound) of \(host) are all in use; give --port")
  }

  var url: String {
    let shown = ["0.0.0.0", "::"].contains(host) ? "localhost" : ServerConfiguration.bracketed(host)
    return "http://\(shown):\(port)"
  }

  /// An address of this machine that no other machine reaches.
  static func isLoopback(_ host: String) -> Bool {
    var four = in_addr()
    if inet_pton(AF_INET, host, &four) == 1 { return UInt32(bigEndian: four.s_addr) >> 24 == 127 }
    return host == "::1" || host == "localhost"
  }

  /// Why nothing can listen there, as errno; 0: something can.
  private static func problem(_ host: String, _ port: Int) throws(CommandFailure) -> Int32 {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    hints.ai_flags = AI_PASSIVE
    var found: UnsafeMutablePointer<addrinfo>?
    guard getaddrinfo(host, String(port), &hints, &found) == 0, let found else {
      throw CommandFailure(.failed, "--host \(host) is neither an address nor a name that is known")
    }
    defer { freeaddrinfo(found) }
    let socket = Descriptor(
      owning: socket(found.pointee.ai_family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0))
    var yes: Int32 = 1
    setsockopt(socket.number, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
    guard bind(socket.number, found.pointee.ai_addr, found.pointee.ai_addrlen) == 0, listen(socket.number, 1) == 0 else {
      return errno
    }
    return 0
  }
}
