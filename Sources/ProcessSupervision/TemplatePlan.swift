import WSGICore

/// A WSGIDaemonTemplate as the supervisor is told of it: which groups may be made from it, and how.
public struct TemplatePlan {
  /// Places of its groups among all; they say how many there can be at a time.
  public var places: Range<Int>
  /// Process starts a second, and at once.
  public var startRate: Int
  /// Whom processes may run as: the owner of the script, if it is one of these. nil: they all have one user, which the plan says.
  public var owners: ClosedRange<UInt32>?
  /// The key is the name of that user.
  public var isNamedByOwner: Bool
  /// Workers are forks of a process that has loaded the script of the request for which the group was made (`preload=On`).
  public var preloads: Bool
  /// Makes the plan of a group. Without an entry, which is looked up before anything is started, it has all but the user.
  public var plan: (Tenant, UserEntry?) -> GroupPlan
  /// The number under which the groups of a user are counted together, where the first of them has this place.
  public var userNumber: (_ user: UInt32, _ place: Int) -> Int?
  /// Forgets what was counted in a place.
  public var forgetCounts: (Int) -> Void

  public init(
    places: Range<Int>, startRate: Int, owners: ClosedRange<UInt32>?, isNamedByOwner: Bool, preloads: Bool = false,
    plan: @escaping (Tenant, UserEntry?) -> GroupPlan, userNumber: @escaping (_ user: UInt32, _ place: Int) -> Int?,
    forgetCounts: @escaping (Int) -> Void
  ) {
    self.places = places
    self.startRate = startRate
    self.owners = owners
    self.isNamedByOwner = isNamedByOwner
    self.preloads = preloads
    self.plan = plan
    self.userNumber = userNumber
    self.forgetCounts = forgetCounts
  }

  /// The number under which a user's groups are counted together, where the newest has this place: that of another group of the
  /// user; or the place's own, unless the groups of another user still have that.
  func number(of user: UInt32, _ place: Int, beside others: [(user: UInt32, number: Int?)]) -> Int? {
    if let known = others.first(where: { $0.user == user }) { return known.number }
    let taken = Set(others.compactMap(\.number))
    return ([place] + places).lazy.compactMap { userNumber(user, $0) }.first { !taken.contains($0) }
  }

  /// A child may ask for a group of this tenant.
  func allows(_ tenant: Tenant) -> Bool { owners?.contains(tenant.user) ?? true }

  /// The processes of the tenant's group may run as this user.
  func allows(_ entry: UserEntry, for tenant: Tenant) -> Bool {
    entry.uid == tenant.user && allows(tenant) && entry.home.first == 0x2F && (!isNamedByOwner || entry.name == tenant.key.bytes)
  }
}

/// When the processes of a template's groups may start: `start-rate` a second, and as many at once. Whoever comes later has a
/// turn. Times in microseconds of the monotonic clock.
struct StartRate: Equatable {
  private let interval: Int64
  private let burst: Int64
  /// The time at which all turns that were given will have passed.
  private var last: Int64 = 0

  init(perSecond: Int) {
    let rate = Int64(min(max(perSecond, 1), 1_000_000))
    interval = 1_000_000 / rate
    burst = interval &* (rate - 1)
  }

  /// The time of the next start, which is the caller's.
  mutating func takeTurn(now: Int64) -> Int64 {
    last = max(last, now &- burst &- interval) &+ interval
    return max(now, last)
  }

  /// When the next turn is, if nobody takes it before.
  var next: Int64 { last &+ interval }

  /// Takes a turn if there is one now.
  mutating func take(now: Int64) -> Bool {
    guard next <= now else { return false }
    _ = takeTurn(now: now)
    return true
  }
}
