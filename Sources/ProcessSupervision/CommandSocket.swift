import CPosix
import Glibc
import WSGICore

/// The socket with a path at which the supervisor takes commands (`WSGIControlSocket`). httpd's parent makes it: it outlives a
/// supervisor, and its successor answers those who have come meanwhile.
public enum CommandSocket {
  public struct Failure: Error, Equatable {
    /// Why there is no socket, as the end of a sentence.
    public var reason: String
  }

  /// Listens at `path`, in the place of what an earlier configuration of this server left there. Any local user may connect; who
  /// it is says the kernel. The directory must be one in which no other user can put something in its place.
  public static func listen(at path: [UInt8]) throws(Failure) -> Int32 {
    let (directory, name) = try open(path)
    defer { close(directory) }
    let place = "/proc/self/fd/\(directory)/\(name.text)"
    try checkOccupant(place, directory, name)
    // Complete before it has its name.
    let early = ".\(name.text).\(getpid())"
    unlinkat(directory, early, 0)
    let listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC | O_NONBLOCK, 0)
    guard listener >= 0 else { throw Failure("socket", errno) }
    wsgi_posix_refuse_descriptors(listener)
    let steps: [(what: String, make: () -> Int32)] = [
      ("bind", { address(of: "/proc/self/fd/\(directory)/\(early)") { bind(listener, $0, $1) } ?? failing(ENAMETOOLONG) }),
      ("chmod", { fchmodat(directory, early, 0o666, 0) }),
      ("listen", { Glibc.listen(listener, 128) }),
      ("rename", { renameat(directory, early, directory, name.text) }),
    ]
    for step in steps where step.make() != 0 {
      let failure = Failure(step.what, errno)
      unlinkat(directory, early, 0)
      close(listener)
      throw failure
    }
    return listener
  }

  /// Removes the socket's name: no server listens there any more.
  public static func remove(_ path: [UInt8]) {
    guard let (directory, name) = try? open(path) else { return }
    defer { close(directory) }
    unlinkat(directory, name.text, 0)
  }

  // MARK: -

  /// Opens the directory of `path`, name by name: none on the way belongs to another user or can be changed by one.
  private static func open(_ path: [UInt8]) throws(Failure) -> (directory: Int32, name: [UInt8]) {
    var names = path.split(separator: 0x2F).map { Array($0) }
    guard path.first == 0x2F, let name = names.popLast(), !name.isEmpty, name.count <= 64 else {
      throw Failure(reason: "it is not the path of a file with a short name")
    }
    var directory = wsgi_posix_directory(AT_FDCWD, "/", 0)
    var isShared = false
    var way = ""
    for next in names {
      let above = directory
      defer { close(above) }
      way += "/" + next.text
      // Where others may make links, none is followed.
      directory = wsgi_posix_directory(above, next.text, isShared ? 0 : 1)
      guard directory >= 0 else { throw Failure("the directory '\(way)'", -directory) }
      var about = stat()
      guard fstat(directory, &about) == 0, about.st_uid == 0 || about.st_uid == geteuid() else {
        close(directory)
        throw Failure(reason: "the directory '\(way)' belongs to another user")
      }
      isShared = about.st_mode & 0o022 != 0
      guard !isShared || about.st_mode & S_ISVTX != 0 else {
        close(directory)
        throw Failure(reason: "others may write to the directory '\(way)'")
      }
    }
    guard !isShared else {
      close(directory)
      throw Failure(reason: "others may write to the directory '\(way)'")
    }
    return (directory, name)
  }

  /// Only a socket is replaced, and none at which another server listens.
  private static func checkOccupant(_ place: String, _ directory: Int32, _ name: [UInt8]) throws(Failure) {
    var about = stat()
    guard fstatat(directory, name.text, &about, AT_SYMLINK_NOFOLLOW) == 0 else { return }
    guard about.st_mode & S_IFMT == S_IFSOCK else { throw Failure(reason: "there is another file of that name") }
    let probe = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | O_CLOEXEC | O_NONBLOCK, 0)
    guard probe >= 0 else { return }
    defer { close(probe) }
    guard address(of: place, { connect(probe, $0, $1) }) == 0 else { return }
    let peer = wsgi_posix_peer(probe)
    guard peer <= 0 || peer == getpid() || kill(peer, 0) != 0 && errno == ESRCH else {
      throw Failure(reason: "another server, process \(peer), listens there")
    }
  }

  private static func failing(_ number: Int32) -> Int32 {
    errno = number
    return -1
  }

  /// nil: the path is too long for an address.
  public static func address<R>(of path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R? {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    let bytes = Array(path.utf8)
    guard bytes.count < MemoryLayout.size(ofValue: address.sun_path), !bytes.contains(0) else { return nil }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    return withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
    }
  }
}

extension CommandSocket.Failure {
  fileprivate init(_ what: String, _ number: Int32) { reason = "\(what): \(String(cString: strerror(number)))" }
}
