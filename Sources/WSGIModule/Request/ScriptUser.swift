import CHTTPD
import Glibc
import Platform
import Synchronization
import WSGIConfig
import WSGICore

/// The owner of a script that is to run in a group of a template, and the group's key.
struct ScriptUser {
  let key: TenantKey
  /// Who the group's processes run as.
  let user: UInt32
  /// nil: the template has a user of its own.
  let record: UserRecord?

  init(key: TenantKey, user: UInt32, record: UserRecord?) {
    self.key = key
    self.user = user
    self.record = record
  }

  /// Finds out for whom a request for `script` is run by a template.
  init(
    _ script: UnsafePointer<CChar>, of template: GroupTemplate, _ group: GroupConfig, _ facts: some RequestFacts
  ) throws(Refusal) {
    var owner: UserRecord?
    if template.runsAsOwner || template.key == .owner { owner = try ScriptUser.owner(of: script, group) }
    if template.runsAsOwner, let owner, !template.userIDs.contains(owner.uid) {
      throw ScriptUser.refusal(
        "belongs to user '\(owner.name)' (uid \(owner.uid)), outside of uid-range=\(template.userIDs.lowerBound)-"
          + "\(template.userIDs.upperBound) of template '\(group.name)'. Give it to the user whom it is to run as (chown).")
    }
    key = try template.key.value(facts) { () throws(Refusal) in owner?.name.bytes ?? [] }
    record = template.runsAsOwner ? owner : nil
    user = (template.runsAsOwner ? owner?.uid : group.user?.uid) ?? wsgi_httpd_get_identity().user
  }

  private static func owner(of script: UnsafePointer<CChar>, _ group: GroupConfig) throws(Refusal) -> UserRecord {
    var about = stat()
    guard stat(script, &about) == 0 else {
      throw refusal("cannot be looked at: \(String(cString: strerror(errno))). See that httpd may search its directories.")
    }
    guard let record = UserNames.shared.record(of: about.st_uid) else {
      throw refusal(
        "belongs to uid \(about.st_uid), which no user has; template '\(group.name)' runs scripts as their owners. Give it to a"
          + " user (chown).")
    }
    return record
  }

  private static func refusal(_ why: String) -> Refusal { Refusal(403, "WSGI0724: The WSGI script \(why)") }
}

/// Users by their ids, as the system's database has them: asked for once a minute, since that may need the network.
final class UserNames: Sendable {
  static let shared = UserNames()

  private let known = Mutex<[UInt32: (record: UserRecord?, until: Int64)]>([:])
  private static let most = 4096
  private static let lifetime: Int64 = 60_000
  /// A user who is not there may be made this moment.
  private static let missingLifetime: Int64 = 1_000

  func record(of user: UInt32) -> UserRecord? {
    let now = Clock.monotonicMilliseconds()
    if let known = known.withLock({ $0[user] }), now < known.until { return known.record }
    let record = UserNames.ask(user)
    known.withLock { known in
      if known.count >= UserNames.most { known = [:] }
      known[user] = (record, now &+ (record == nil ? UserNames.missingLifetime : UserNames.lifetime))
    }
    return record
  }

  private static func ask(_ user: UInt32) -> UserRecord? {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 16_384) { buffer in
      var entry = passwd()
      var found: UnsafeMutablePointer<passwd>?
      guard let start = buffer.baseAddress, getpwuid_r(user, &entry, start, buffer.count, &found) == 0, let found else {
        return nil
      }
      return UserRecord(entry: found)
    }
  }
}
