import Glibc
import Platform
import Synchronization
import WSGICore

/// How a group stands, who its processes are, and how the last ones ended: a row of the `ScoreboardMemory`.
///
/// It holds 64-bit words only: five of state, a count for each kind of end, two more of state, ten that say whose group it is,
/// two for each of two preloaders, whether it is stopped, a slot of four words for each worker that can live at once, and a ring
/// of the last ends, eight words each. A ring entry is valid when its first word is not 0 and is the same before and after the
/// others were read. Where scripts of tenants are preloaded, the length of the script's path and the path follow.
public struct GroupScoreboard: @unchecked Sendable {
  // The mapping lives as long as the processes that have it; concurrent access is by the word, as above.
  private let readable: UnsafeMutablePointer<SharedWord>
  private let writable: UnsafeMutablePointer<SharedWord>?
  let slotCount: Int
  private let keepsScript: Bool

  static let endWords = 24
  private static let startingWord = 5 + endWords
  private static let wantedWord = startingWord + 1
  private static let tenantWord = wantedWord + 1
  private static let preloaderWord = tenantWord + 2 + TenantKey.limit / 8
  private static let haltWord = preloaderWord + 2 * mostPreloaders
  private static let stateWords = haltWord + 1
  private static let slotWords = 4
  private static let entryWords = 8
  public static let ringLength = 32

  /// Slots for a group: those that serve, their replacements, and some that still drain.
  static func slotCount(processes: Int) -> Int { min(max(processes, 1), 10_000) &* 3 &+ 4 }

  static func words(slots: Int, keepsScript: Bool = false) -> Int {
    stateWords &+ slots &* slotWords &+ ringLength &* entryWords &+ (keepsScript ? 1 &+ ScriptPath.limit / 8 : 0)
  }

  init(
    readable: UnsafeMutablePointer<SharedWord>, writable: UnsafeMutablePointer<SharedWord>?, slots: Int, keepsScript: Bool = false
  ) {
    self.readable = readable
    self.writable = writable
    slotCount = slots
    self.keepsScript = keepsScript
  }

  // MARK: words

  private func load(_ word: Int) -> UInt64 { readable[word].load(ordering: .acquiring) }

  private func store(_ value: UInt64, at word: Int) {
    writable?[word].store(value, ordering: .releasing)
  }

  // MARK: state of a group

  /// How a group stands.
  public struct State: Equatable, Sendable {
    /// Workers that take requests, and those that start.
    public var ready = 0
    public var starting = 0
    /// When the youngest of those that start was started, in microseconds since the epoch.
    public var startingSince: Int64 = 0
    /// Starts that failed in a row, crashes soon after a start among them.
    public var failures = 0
    /// The group waits until then (microseconds since the epoch) before it tries again to start a worker; 0: it does not.
    public var retry: Int64 = 0
    /// Workers that it is to have now.
    public var wanted = 0

    /// A process takes requests, or is starting, as far as is known: a first import may take its time.
    public var isServed: Bool {
      ready > 0 || starting > 0 && failures == 0 && Clock.epochMicroseconds() &- startingSince < Self.startAllowance
    }

    /// A process that takes longer to start, in microseconds, may never be ready: engines report scripts that load for so long.
    static let startAllowance: Int64 = 10_000_000
  }

  /// Workers that take requests; of the state what every request asks for.
  public var ready: Int { Int(clamping: load(0)) }

  public internal(set) var state: State {
    get {
      State(
        ready: ready, starting: Int(clamping: load(1)), startingSince: Int64(bitPattern: load(Self.startingWord)),
        failures: Int(clamping: load(4)), retry: Int64(bitPattern: load(2)), wanted: Int(clamping: load(Self.wantedWord)))
    }
    nonmutating set {
      store(UInt64(clamping: newValue.ready), at: 0)
      store(UInt64(clamping: newValue.starting), at: 1)
      store(UInt64(bitPattern: newValue.retry), at: 2)
      store(UInt64(clamping: newValue.failures), at: 4)
      store(UInt64(bitPattern: newValue.startingSince), at: Self.startingWord)
      store(UInt64(clamping: newValue.wanted), at: Self.wantedWord)
    }
  }

  /// Why a group has no processes and its requests are refused: a command of the administrator's, or of the group's user.
  enum Halt: UInt64 {
    case stopped = 1
    /// Requests that had come before are answered.
    case drained
  }

  var halt: Halt? {
    get { Halt(rawValue: load(Self.haltWord)) }
    nonmutating set { store(newValue?.rawValue ?? 0, at: Self.haltWord) }
  }

  @inline(__always)
  public var isHalted: Bool { load(Self.haltWord) != 0 }

  // MARK: the tenant

  /// Whose group it is, where it was made of a template.
  public struct Occupant: Equatable, Sendable {
    public var tenant: Tenant
    /// The number under which its user is counted; nil: it is not.
    public var userNumber: Int?
  }

  /// nil: none has the place.
  public internal(set) var occupant: Occupant? {
    get {
      let about = load(Self.tenantWord)
      guard let key = TenantKey(length: about >> 32, word: { load(Self.tenantWord &+ 2 &+ $0) }) else { return nil }
      let number = Int(clamping: load(Self.tenantWord &+ 1)) &- 1
      return Occupant(tenant: Tenant(key: key, user: UInt32(truncatingIfNeeded: about)), userNumber: number < 0 ? nil : number)
    }
    nonmutating set {
      // Whoever reads meanwhile finds the place empty.
      store(0, at: Self.tenantWord)
      guard let newValue else { return }
      for (index, word) in newValue.tenant.key.words.enumerated() { store(word, at: Self.tenantWord &+ 2 &+ index) }
      store(UInt64((newValue.userNumber ?? -1) &+ 1), at: Self.tenantWord &+ 1)
      store(UInt64(newValue.tenant.key.bytes.count) << 32 | UInt64(newValue.tenant.user), at: Self.tenantWord)
    }
  }

  /// The script that the tenant's preloader loads.
  var script: ScriptPath? {
    get {
      guard keepsScript else { return nil }
      let first = Self.words(slots: slotCount)
      return ScriptPath(length: load(first)) { load(first &+ 1 &+ $0) }
    }
    nonmutating set {
      guard keepsScript else { return }
      let first = Self.words(slots: slotCount)
      // A supervisor that dies here leaves none.
      store(0, at: first)
      for (index, word) in (newValue?.words ?? []).enumerated() { store(word, at: first &+ 1 &+ index) }
      store(UInt64(newValue?.bytes.count ?? 0), at: first)
    }
  }

  /// Empties the row for the next group.
  func erase() {
    store(0, at: Self.tenantWord)
    script = nil
    for word in 0..<Self.words(slots: slotCount) where load(word) != 0 { store(0, at: word) }
  }

  // MARK: living workers

  /// A worker that lives, as the next supervisor must know it.
  struct Slot: Equatable {
    var pid: Int32 = 0
    var state: UInt32 = 0
    var instance: UInt64 = 0
    /// In clock ticks since boot: with the pid, it names a process.
    var startTicks: UInt64 = 0
    /// Microseconds since the epoch.
    var started: Int64 = 0
    /// The session slot that it serves; -1: none.
    var session = -1
    /// Not ready yet, it is the next to serve that slot: requests for it wait for this process.
    var isNext = false

    /// Who it is, in a word: what stands there of a worker is always of one moment.
    fileprivate var identity: UInt64 {
      UInt64(UInt32(bitPattern: pid)) | UInt64(state & 0xFF) << 32
        | UInt64(UInt32(truncatingIfNeeded: session &+ 1) & 0x7F_FFFF) << 40 | (isNext ? 1 << 63 : 0)
    }

    fileprivate mutating func read(identity word: UInt64) {
      pid = Int32(truncatingIfNeeded: word)
      state = UInt32(truncatingIfNeeded: word >> 32) & 0xFF
      session = Int(word >> 40 & 0x7F_FFFF) &- 1
      isNext = word >> 63 != 0
    }

    /// Whether requests for its session slot may be given to it.
    var serves: Bool { pid > 0 && session >= 0 && (isNext || state == WorkerState.ready.rawValue) }
  }

  /// A slot without the facts that only a supervisor needs.
  @inline(__always)
  func occupant(ofSlot index: Int) -> Slot {
    var slot = Slot()
    if let base = offset(ofSlot: index) { slot.read(identity: load(base)) }
    return slot
  }

  subscript(slot index: Int) -> Slot {
    get {
      guard let base = offset(ofSlot: index) else { return Slot() }
      var slot = Slot(
        instance: load(base &+ 1), startTicks: load(base &+ 2), started: Int64(bitPattern: load(base &+ 3)))
      slot.read(identity: load(base))
      return slot
    }
    nonmutating set {
      guard let base = offset(ofSlot: index) else { return }
      store(newValue.instance, at: base &+ 1)
      store(newValue.startTicks, at: base &+ 2)
      store(UInt64(bitPattern: newValue.started), at: base &+ 3)
      store(newValue.identity, at: base)
    }
  }

  var slots: [Slot] { (0..<slotCount).map { self[slot: $0] } }

  private func offset(ofSlot index: Int) -> Int? {
    (0..<slotCount).contains(index) ? Self.stateWords &+ index &* Self.slotWords : nil
  }

  /// A process of a group that lives.
  public struct Process: Equatable, Sendable {
    public var pid: Int32
    public var state: WorkerState
    /// Its place among the group's processes.
    public var slot: Int
    /// Microseconds since the epoch.
    public var started: Int64
  }

  public var processes: [Process] {
    slots.enumerated().compactMap { index, slot in
      guard slot.pid > 0, let state = WorkerState(rawValue: slot.state) else { return nil }
      return Process(pid: slot.pid, state: state, slot: index, started: slot.started)
    }
  }

  // MARK: preloaders

  /// A process that has loaded the group's scripts, or loads them, and of which workers are forks.
  public struct PreloaderEntry: Equatable, Sendable {
    public var pid: Int32
    public var hasLoaded: Bool
    /// Microseconds since the epoch.
    public var started: Int64
  }

  /// The one in use, and one that loads changed scripts.
  private static let mostPreloaders = 2

  public internal(set) var preloaders: [PreloaderEntry] {
    get {
      (0..<Self.mostPreloaders).compactMap { index in
        let word = load(Self.preloaderWord &+ 2 &* index)
        guard word != 0 else { return nil }
        return PreloaderEntry(
          pid: Int32(truncatingIfNeeded: word), hasLoaded: word >> 32 != 0,
          started: Int64(bitPattern: load(Self.preloaderWord &+ 2 &* index &+ 1)))
      }
    }
    nonmutating set {
      for index in 0..<Self.mostPreloaders {
        let base = Self.preloaderWord &+ 2 &* index
        let preloader = newValue.indices.contains(index) ? newValue[index] : nil
        store(UInt64(bitPattern: preloader?.started ?? 0), at: base &+ 1)
        store(preloader.map { UInt64(UInt32(bitPattern: $0.pid)) | ($0.hasLoaded ? 1 << 32 : 0) } ?? 0, at: base)
      }
    }
  }

  // MARK: ends

  /// How many processes of a group have ended, by kind; kinds that did not occur are left out.
  public var endCounts: [(kind: EndKind, count: UInt64)] {
    EndKind.all.prefix(Self.endWords).enumerated().compactMap { index, kind in
      let count = load(5 &+ index)
      return count > 0 ? (kind, count) : nil
    }
  }

  func record(_ end: EndRecord) {
    let counter = 3
    let number = load(counter) &+ 1
    if let kind = EndKind.all.firstIndex(of: EndKind(end)), kind < Self.endWords {
      store(load(5 &+ kind) &+ 1, at: 5 &+ kind)
    }
    let base = offset(ofEntry: Int(number % UInt64(Self.ringLength)))
    store(0, at: base)
    store(UInt64(UInt32(bitPattern: end.pid)) | UInt64(end.flags.rawValue) << 32, at: base &+ 1)
    store(end.instance, at: base &+ 2)
    store(UInt64(bitPattern: end.started), at: base &+ 3)
    store(UInt64(bitPattern: end.ended), at: base &+ 4)
    store(Self.word(of: end.cause), at: base &+ 5)
    store(UInt64(end.reason?.rawValue ?? 0), at: base &+ 6)
    store(number, at: base)
    store(number, at: counter)
  }

  /// The last ends of a group, newest first.
  public var ends: [EndRecord] {
    var found: [(number: UInt64, end: EndRecord)] = []
    for index in 0..<Self.ringLength {
      let base = offset(ofEntry: index)
      let number = load(base)
      let words = (1...6).map { load(base &+ $0) }
      guard number != 0, load(base) == number, let cause = Self.cause(of: words[4]) else { continue }
      let end = EndRecord(
        pid: Int32(truncatingIfNeeded: words[0]), instance: words[1], started: Int64(bitPattern: words[2]),
        ended: Int64(bitPattern: words[3]), cause: cause, flags: .init(rawValue: UInt32(truncatingIfNeeded: words[0] >> 32)),
        reason: ShutdownReason(rawValue: UInt32(truncatingIfNeeded: words[5])))
      found.append((number, end))
    }
    return found.sorted { $0.number > $1.number }.map(\.end)
  }

  /// Why process `pid` of a group ended, which it did after `since` (microseconds since the epoch); waits at most
  /// `milliseconds` for the supervisor to find out. Without a `pid` the newest of the group's processes that did.
  public func end(pid: Int32?, since: Int64, waiting milliseconds: Int) -> EndRecord? {
    let deadline = Clock.monotonicMicroseconds() &+ Int64(clamping: milliseconds) &* 1_000
    while true {
      if let end = ends.first(where: { (pid == nil || $0.pid == pid) && $0.ended >= since }) { return end }
      guard Clock.monotonicMicroseconds() < deadline else { return nil }
      poll(nil, 0, 5)
    }
  }

  private func offset(ofEntry index: Int) -> Int {
    Self.stateWords &+ slotCount &* Self.slotWords &+ index &* Self.entryWords
  }

  private static func word(of cause: EndRecord.Cause) -> UInt64 {
    switch cause {
    case .unknown: 1 << 32
    case .exited(let code): 2 << 32 | UInt64(UInt32(bitPattern: code))
    case .killed(let signal): 3 << 32 | UInt64(UInt32(bitPattern: signal))
    }
  }

  private static func cause(of word: UInt64) -> EndRecord.Cause? {
    let value = Int32(truncatingIfNeeded: word)
    switch word >> 32 {
    case 1: return .unknown
    case 2: return .exited(code: value)
    case 3: return .killed(signal: value)
    default: return nil
    }
  }
}
