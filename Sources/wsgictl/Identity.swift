import Glibc

/// The environment of this command.
enum Variables {
  /// nil: not set, or empty.
  static func value(_ name: String) -> String? {
    guard let text = getenv(name), text.pointee != 0 else { return nil }
    return String(cString: text)
  }

  static var all: [String] {
    var found: [String] = []
    var next = environ
    while let entry = next.pointee {
      found.append(String(cString: entry))
      next += 1
    }
    return found
  }
}

/// A user as whom root has an application looked at and run.
struct Identity {
  let user: String
  let uid: uid_t
  let gid: gid_t
  let groups: [gid_t]

  static var isRoot: Bool { geteuid() == 0 }

  init(user: String, group: String? = nil) throws(CommandFailure) {
    guard let entry = getpwnam(user) ?? UInt32(user).flatMap({ getpwuid($0) }) else {
      throw CommandFailure(.failed, "there is no user '\(user)'; name one with --user")
    }
    uid = entry.pointee.pw_uid
    self.user = String(cString: entry.pointee.pw_name)
    guard uid != 0 else {
      throw CommandFailure(.failed, "httpd serves nothing as root; name the application's user with --user")
    }
    if let group {
      guard let record = getgrnam(group) ?? UInt32(group).flatMap({ getgrgid($0) }) else {
        throw CommandFailure(.failed, "there is no group '\(group)'; name one with --group")
      }
      gid = record.pointee.gr_gid
    } else {
      gid = entry.pointee.pw_gid
    }
    var list = [gid_t](repeating: 0, count: 1024)
    var count = Int32(list.count)
    groups = getgrouplist(self.user, gid, &list, &count) >= 0 ? Array(list.prefix(Int(count))) : [gid]
  }

  /// The name of the user whose rights this process has.
  static var current: String { getpwuid(geteuid()).map { String(cString: $0.pointee.pw_name) } ?? "\(geteuid())" }

  static func name(of identity: Identity?) -> String { identity?.user ?? current }

  /// Does something with this user's rights to files, and no others: a project's files are not root's to open.
  func withRights<Result>(_ body: () throws(CommandFailure) -> Result) throws(CommandFailure) -> Result {
    guard setgroups(groups.count, groups) == 0, setegid(gid) == 0, seteuid(uid) == 0 else {
      throw CommandFailure(.failed, "cannot become '\(user)': \(String(cString: strerror(errno)))")
    }
    defer { guard seteuid(0) == 0, setegid(0) == 0, setgroups(0, nil) == 0 else { abort() } }
    return try body()
  }
}

extension Optional<Identity> {
  /// nobody else: as who we are.
  func withRights<Result>(_ body: () throws(CommandFailure) -> Result) throws(CommandFailure) -> Result {
    guard let self else { return try body() }
    return try self.withRights(body)
  }
}
