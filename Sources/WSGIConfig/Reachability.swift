import WSGICore

/// A process's identity as far as file permissions care.
public struct FileCredentials: Hashable, Sendable {
  public let name: String
  public let uid: UInt32
  /// The primary group first.
  public let groups: [UInt32]

  /// The bits, shifted down to the lowest three, that apply to the process.
  func bits(mode: UInt32, uid owner: UInt32, gid: UInt32) -> (bits: UInt32, who: FileClass) {
    if uid == owner { return (mode >> 6 & 7, .owner) }
    if groups.contains(gid) { return (mode >> 3 & 7, .group) }
    return (mode & 7, .others)
  }
}

/// One of the three that a file's mode tells apart: its name, and its letter for chmod(1).
enum FileClass: String {
  case owner, group, others

  var letter: String {
    switch self {
    case .owner: "u"
    case .group: "g"
    case .others: "o"
    }
  }
}

/// Why a process cannot use a file.
enum Obstacle: Equatable {
  case missing(ByteText)
  /// A directory on the way that may not be passed, or the file itself that may not be read.
  case denied(ByteText, bit: String, who: FileClass, mode: UInt32)

  /// The end of "…, but" or "…:".
  func text(for user: FileCredentials?) -> String {
    switch self {
    case .missing(let path): "\(path) does not exist"
    case .denied(let path, let bit, let who, let mode):
      "the user '\(user?.name ?? "")' cannot \(bit == "x" ? "enter the directory" : "read") \(path): its mode "
        + "\(octal(mode)) lacks '\(bit)' for \(who.rawValue); run 'chmod \(who.letter)+\(bit) \(path)'"
    }
  }

  private func octal(_ mode: UInt32) -> String {
    let digits = String(mode & 0o7777, radix: 8)
    return String(repeating: "0", count: max(0, 4 - digits.utf8.count)) + digits
  }
}

extension SystemFacts {
  /// The obstacle that keeps `credentials` from reading `path`; nil: none, or none that can be detected here.
  ///
  /// - isPassed: the path is a directory that need not be listed, since the names in it are known.
  func obstacle(to path: ByteText, for credentials: FileCredentials?, isPassed: Bool = false) -> Obstacle? {
    if let credentials, let denied = deniedParent(of: path, credentials) { return denied }
    switch file(path, credentials) {
    case .missing: return .missing(path)
    case .unknown: return nil
    case .found(let isDirectory, let mode, let uid, let gid):
      guard let credentials, credentials.uid != 0 else { return nil }
      let (bits, who) = credentials.bits(mode: mode, uid: uid, gid: gid)
      if bits & 4 == 0, !isPassed { return .denied(path, bit: "r", who: who, mode: mode) }
      if isDirectory, bits & 1 == 0 { return .denied(path, bit: "x", who: who, mode: mode) }
      return nil
    }
  }

  /// The first directory above `path` that `credentials` may not pass.
  private func deniedParent(of path: ByteText, _ credentials: FileCredentials) -> Obstacle? {
    guard credentials.uid != 0 else { return nil }
    for index in path.bytes.indices where path.bytes[index] == Ascii.slash {
      let parent = index == 0 ? ByteText("/") : ByteText(path.bytes[..<index])
      guard case .found(true, let mode, let uid, let gid) = file(parent, credentials) else { return nil }
      let (bits, who) = credentials.bits(mode: mode, uid: uid, gid: gid)
      if bits & 1 == 0 { return .denied(parent, bit: "x", who: who, mode: mode) }
    }
    return nil
  }
}
