/// How many threads of httpd the requests of process groups may hold, queued or running, so that others find one free.
///
/// An eighth of the threads, and one at least, is kept free of all groups together. Of the others a group holds at most three
/// times as many as are still free, and the groups of one user together four times: so the more are in use, the less is left to
/// those that have many, and those that have none yet still get some. A single group or user has them all.
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
  let capacity: Int
  private let hasOtherGroups: Bool

  /// With fewer threads a child cannot share them out among several groups.
  private static let fewestThreads = 5
  private static let multipleOfGroup = 3
  private static let multipleOfUser = 4

  /// `hasOtherGroups`: a group may find others that take requests.
  public init(children: Int = 1, threads: Int = Int(Int32.max), hasOtherGroups: Bool = false) {
    reach = threads >= ThreadShares.fewestThreads ? .child : .server
    let all = reach == .child ? threads : max(children, 1) &* max(threads, 1)
    capacity = min(max(1, all &- max(1, all / 8)), Int(Int32.max))
    self.hasOtherGroups = hasOtherGroups
  }

  /// The holder that must not get another thread where group, user and all groups hold so many; nil: none.
  @inline(__always)
  func refusal(group: Int, user: Int?, all: Int) -> Holder? {
    let free = capacity &- all
    if free <= 0 { return .allGroups }
    if hasOtherGroups {
      if group >= free &* ThreadShares.multipleOfGroup { return .group }
      // The last one is for a group that has none.
      if free == 1, group > 0 { return .group }
    }
    if let user, user >= free &* ThreadShares.multipleOfUser { return .user }
    return nil
  }
}

/// The users whose groups are counted together, each by a number from 0.
public struct CountedUsers: Sendable {
  private let numbers: [UInt32: Int]

  /// `users`: the user id of each group that takes requests. A user with one group holds what that holds; a user without
  /// neighbours need not leave any to others. `mayGainGroups`: but others may be made.
  public init(ofGroups users: [UInt32], mayGainGroups: Bool = false) {
    let groups = users.reduce(into: [:]) { groups, user in groups[user, default: 0] += 1 }
    let counted = groups.count > 1 || mayGainGroups ? groups.filter { $0.value > 1 || mayGainGroups }.keys.sorted() : []
    numbers = counted.enumerated().reduce(into: [:]) { numbers, user in numbers[user.element] = user.offset }
  }

  public var count: Int { numbers.count }

  public subscript(user: UInt32) -> Int? { numbers[user] }
}
