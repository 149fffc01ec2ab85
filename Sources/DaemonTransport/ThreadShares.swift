import Synchronization

/// How many threads of httpd the requests of process groups may hold, queued or running, so that others find one free.
///
/// An eighth of the threads, and one at least, is kept free of all groups together. Of the others a group holds at most three
/// times as many as are still free, and the groups of one user together four times: so the more are in use, the less is left to
/// who has many, and who has none yet still gets some. Where nobody else could take them, the single group or user has them all.
///
/// Where httpd's processes have several threads, all this holds in each of them, since a connection cannot leave the process that
/// accepted it. Where they have few, it holds for all processes together.
public struct ThreadShares: Sendable {
  /// The processes over which the shares are counted.
  enum Reach: Sendable {
    case child
    case server
  }

  /// Who holds as many threads as may be.
  public enum Holder: Equatable, Sendable {
    case group
    case user
    case allGroups
  }

  let reach: Reach
  /// The threads that groups may hold.
  let capacity: Int32
  /// The user of each group, as a number from 0; nil: nothing is to be counted for the user beside the group.
  let users: [Int?]
  let userCount: Int
  private let hasOtherGroups: Bool

  /// With fewer threads a child cannot share them out among several groups.
  private static let fewestThreads = 5
  private static let multipleOfGroup: Int32 = 3
  private static let multipleOfUser: Int32 = 4

  /// `users`: the user id of each group; nil for those that take no requests.
  public init(children: Int, threads: Int, users: [UInt32?]) {
    reach = threads >= ThreadShares.fewestThreads ? .child : .server
    let all = reach == .child ? threads : max(children, 1) &* max(threads, 1)
    capacity = Int32(clamping: max(1, all &- max(1, all / 8)))
    var groupsOfUser: [UInt32: Int] = [:]
    for case let user? in users { groupsOfUser[user, default: 0] += 1 }
    hasOtherGroups = groupsOfUser.values.reduce(0, +) > 1
    // A user with one group holds what that holds; a user without neighbours leaves to nobody what he does not take.
    let counted = groupsOfUser.count > 1 ? groupsOfUser.filter { $0.value > 1 }.keys.sorted() : []
    self.users = users.map { user in user.flatMap { counted.firstIndex(of: $0) } }
    userCount = counted.count
  }

  /// Without neighbours, and with as many threads as there can be.
  public init() { self.init(children: 1, threads: Int(Int32.max), users: []) }

  @inline(__always)
  func user(of group: Int) -> Int? { userCount > 0 && group < users.count ? users[group] : nil }

  /// Who must not get another thread where group, user and all groups hold so many; nil: nobody.
  @inline(__always)
  func refusal(group: Int32, user: Int32?, all: Int32) -> Holder? {
    let free = capacity &- all
    if free <= 0 { return .allGroups }
    if hasOtherGroups {
      if Int64(group) >= Int64(free) &* Int64(ThreadShares.multipleOfGroup) { return .group }
      // The last one is for a group that has none.
      if free == 1, group > 0 { return .group }
    }
    if let user, Int64(user) >= Int64(free) &* Int64(ThreadShares.multipleOfUser) { return .user }
    return nil
  }
}
