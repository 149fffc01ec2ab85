import DaemonTransport
import Glibc
import ProcessSupervision
import RequestCounting
import WSGIConfig
import WSGICore

/// The session slots of a process group as httpd's children use them.
final class SessionSlots: @unchecked Sendable {
  // SAFETY: `queues` is written before the child's other threads know of the object, and when none uses it any more.

  /// nil: `header` says which slot a request is for.
  let cookie: SessionCookie?
  let header: [UInt8]
  /// How long a slot may take to take a request, in milliseconds.
  let patience: Int64
  private let kept: Int32
  /// By slot; empty: this process is no child, or descriptors are short.
  private(set) var queues: [Int32] = []

  /// Made in the parent at the first start with such a group, and never again while it lives: cookies outlast every restart but
  /// a stop. Forked children inherit it; daemon processes, which are executed, have not got it.
  ///
  /// SAFETY: constant once it is made, in the parent before it has children.
  private static let key: SessionKey? = {
    var secret = [UInt8](repeating: 0, count: 32)
    return getentropy(&secret, secret.count) == 0 ? SessionKey(secret) : nil
  }()

  /// `kept`: what keeps the queues, which stays the caller's. nil: the group has no slots.
  init?(_ group: GroupConfig, kept: Int32) {
    guard let sessions = group.stickySessions, kept >= 0 else { return nil }
    switch sessions.mark {
    case .cookie(let name):
      guard let key = SessionSlots.key else { return nil }
      cookie = SessionCookie(name: name.bytes, group: group.name.bytes, slots: group.settings.processes, key: key)
      header = []
    case .header(let name):
      cookie = nil
      header = name.bytes
    }
    // A year is for ever.
    patience = min(Int64(clamping: group.stickyWait), 31_536_000_000)
    self.kept = kept
  }

  /// Makes the key, where a group needs it, while there are no children that would each make their own.
  static func prepare(for group: GroupConfig) {
    if group.stickySessions != nil { _ = key }
  }

  // MARK: in a child

  /// Gets hold of the queues.
  func open() { queues = SessionQueues.writeEnds(kept: kept) }

  func close() {
    for queue in queues { Glibc.close(queue) }
    queues = []
  }

  /// More messages than lie in the queues.
  var mostMessages: Int { queues.reduce(0) { $0 &+ ChildSeat.mostMessages(in: $1) } }
}
