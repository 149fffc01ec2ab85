/// A file, its symbolic links followed, as a process of some user sees it.
public enum FileFacts: Equatable, Sendable {
  case missing
  /// The system would not say, or an access control list makes the permission bits half the truth.
  case unknown
  case found(isDirectory: Bool, mode: UInt32, uid: UInt32, gid: UInt32)
}
