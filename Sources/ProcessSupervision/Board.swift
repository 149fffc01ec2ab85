import CPosix
import Glibc
import WSGICore

/// What the supervisor knows of every group, for those who cannot ask it: memory that it writes, its successor inherits, and
/// httpd children read. Children have no writable mapping, and cannot make one.
///
/// The parent makes it before any fork. It holds 64-bit words only: first the next instance number, then an area per group: five
/// words of state, a count for each kind of end, one more word of state, a slot of four words for each worker that can live at
/// once, and a ring of the last ends, eight words each. A ring entry is valid when its first word is not 0 and is the same
/// before and after the others were read.
public struct Board: @unchecked Sendable {
  // The mapping lives as long as the processes that have it; concurrent access is by the word, as above.
  private let readable: UnsafeRawPointer
  private var writable: UnsafeMutableRawPointer?
  private let size: Int
  private let areas: [(offset: Int, slots: Int)]

  static let header = 8
  static let endWords = 24
  private static let startingWord = 5 + endWords
  static let stateWords = startingWord + 1
  static let slotWords = 4
  static let entryWords = 8
  public static let ringLength = 32

  /// Slots for a group: those that serve, their replacements, and some that still drain.
  static func slotCount(processes: Int) -> Int { min(max(processes, 1), 10_000) &* 3 &+ 4 }

  /// Makes the board for groups of so many processes each; nil when memory is short, with errno's value.
  public static func make(processes: [Int]) -> Result<Board, BoardFailure> {
    var areas: [(offset: Int, slots: Int)] = []
    var words = header
    for count in processes {
      let slots = slotCount(processes: count)
      areas.append((words, slots))
      words = words &+ stateWords &+ slots &* slotWords &+ ringLength &* entryWords
    }
    var writable: UnsafeMutableRawPointer?
    var readable: UnsafeMutableRawPointer?
    let result = wsgi_posix_shared_board(words &* 8, &writable, &readable)
    guard result == 0, let writable, let readable else { return .failure(BoardFailure(errno: -result)) }
    let board = Board(readable: UnsafeRawPointer(readable), writable: writable, size: words &* 8, areas: areas)
    board.store(1, at: 0)
    return .success(board)
  }

  private init(readable: UnsafeRawPointer, writable: UnsafeMutableRawPointer, size: Int, areas: [(offset: Int, slots: Int)]) {
    self.readable = readable
    self.writable = writable
    self.size = size
    self.areas = areas
  }

  /// Gives up writing, for good: to be called in every process that is not a supervisor or the parent of one.
  public mutating func becomeReader() {
    if let writable { munmap(writable, size) }
    writable = nil
  }

  /// Unmaps the board when its generation is over.
  public mutating func discard() {
    becomeReader()
    munmap(UnsafeMutableRawPointer(mutating: readable), size)
  }

  public var groupCount: Int { areas.count }

  /// Whether a process without the writable mapping could get at one after all.
  var canBeMadeWritable: Bool {
    mprotect(UnsafeMutableRawPointer(mutating: readable), size, PROT_READ | PROT_WRITE) == 0
  }

  // MARK: words

  private func load(_ word: Int) -> UInt64 {
    guard word >= 0, word < size / 8 else { return 0 }
    return wsgi_posix_load(readable + word &* 8)
  }

  private func store(_ value: UInt64, at word: Int) {
    guard let writable, word >= 0, word < size / 8 else { return }
    wsgi_posix_store(writable + word &* 8, value)
  }

  /// A number that no other worker of the generation has.
  func nextInstance() -> UInt64 {
    let instance = load(0)
    store(instance &+ 1, at: 0)
    return instance
  }

  // MARK: state of a group

  /// How a group stands.
  public struct GroupState: Equatable, Sendable {
    /// Workers that take requests, and those that start.
    public var ready = 0
    public var starting = 0
    /// When the youngest of those that start was started, in microseconds since the epoch.
    public var startingSince: Int64 = 0
    /// Starts that failed in a row, crashes soon after a start among them.
    public var failures = 0
    /// The group waits until then (microseconds since the epoch) before it tries again to start a worker; 0: it does not.
    public var retry: Int64 = 0

    /// Somebody takes requests, or is about to for all that is known: a first import may take its time.
    public var isServed: Bool {
      ready > 0 || starting > 0 && failures == 0 && wsgi_posix_epoch() &- startingSince < Self.startAllowance
    }

    /// A process that takes longer to start, in microseconds, may never be ready: engines report scripts that load for so long.
    static let startAllowance: Int64 = 10_000_000
  }

  /// Workers that take requests; of the state what every request asks for.
  @inline(__always)
  public func ready(ofGroup group: Int) -> Int { areas.indices.contains(group) ? Int(clamping: load(areas[group].offset)) : 0 }

  public func state(ofGroup group: Int) -> GroupState {
    guard areas.indices.contains(group) else { return GroupState() }
    let base = areas[group].offset
    return GroupState(
      ready: Int(clamping: load(base)), starting: Int(clamping: load(base &+ 1)),
      startingSince: Int64(bitPattern: load(base &+ Self.startingWord)), failures: Int(clamping: load(base &+ 4)),
      retry: Int64(bitPattern: load(base &+ 2)))
  }

  func setState(_ state: GroupState, ofGroup group: Int) {
    guard areas.indices.contains(group) else { return }
    let base = areas[group].offset
    store(UInt64(clamping: state.ready), at: base)
    store(UInt64(clamping: state.starting), at: base &+ 1)
    store(UInt64(bitPattern: state.retry), at: base &+ 2)
    store(UInt64(clamping: state.failures), at: base &+ 4)
    store(UInt64(bitPattern: state.startingSince), at: base &+ Self.startingWord)
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
  }

  func slotCount(ofGroup group: Int) -> Int { areas.indices.contains(group) ? areas[group].slots : 0 }

  func slot(_ index: Int, ofGroup group: Int) -> Slot {
    guard let base = slotOffset(index, group) else { return Slot() }
    let first = load(base)
    return Slot(
      pid: Int32(truncatingIfNeeded: first), state: UInt32(truncatingIfNeeded: first >> 32), instance: load(base &+ 1),
      startTicks: load(base &+ 2), started: Int64(bitPattern: load(base &+ 3)))
  }

  func setSlot(_ index: Int, ofGroup group: Int, to slot: Slot) {
    guard let base = slotOffset(index, group) else { return }
    store(slot.instance, at: base &+ 1)
    store(slot.startTicks, at: base &+ 2)
    store(UInt64(bitPattern: slot.started), at: base &+ 3)
    store(UInt64(UInt32(bitPattern: slot.pid)) | UInt64(slot.state) << 32, at: base)
  }

  private func slotOffset(_ index: Int, _ group: Int) -> Int? {
    guard areas.indices.contains(group), index >= 0, index < areas[group].slots else { return nil }
    return areas[group].offset &+ Self.stateWords &+ index &* Self.slotWords
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

  public func processes(ofGroup group: Int) -> [Process] {
    (0..<slotCount(ofGroup: group)).compactMap { index in
      let slot = slot(index, ofGroup: group)
      guard slot.pid > 0, let state = WorkerState(rawValue: slot.state) else { return nil }
      return Process(pid: slot.pid, state: state, slot: index, started: slot.started)
    }
  }

  // MARK: ends

  /// How many processes of a group have ended, by kind; kinds that did not occur are left out.
  public func endCounts(ofGroup group: Int) -> [(kind: EndKind, count: UInt64)] {
    guard areas.indices.contains(group) else { return [] }
    return EndKind.all.prefix(Self.endWords).enumerated().compactMap { index, kind in
      let count = load(areas[group].offset &+ 5 &+ index)
      return count > 0 ? (kind, count) : nil
    }
  }

  func record(_ end: EndRecord, ofGroup group: Int) {
    guard areas.indices.contains(group) else { return }
    let area = areas[group]
    let counter = area.offset &+ 3
    let number = load(counter) &+ 1
    if let kind = EndKind.all.firstIndex(of: EndKind(end)), kind < Self.endWords {
      store(load(area.offset &+ 5 &+ kind) &+ 1, at: area.offset &+ 5 &+ kind)
    }
    let base = entryOffset(area, Int(number % UInt64(Self.ringLength)))
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
  public func ends(ofGroup group: Int) -> [EndRecord] {
    guard areas.indices.contains(group) else { return [] }
    let area = areas[group]
    var found: [(number: UInt64, end: EndRecord)] = []
    for index in 0..<Self.ringLength {
      let base = entryOffset(area, index)
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
  public func end(ofGroup group: Int, pid: Int32?, since: Int64, waiting milliseconds: Int) -> EndRecord? {
    let deadline = wsgi_posix_monotonic() &+ Int64(clamping: milliseconds) &* 1_000
    while true {
      if let end = ends(ofGroup: group).first(where: { (pid == nil || $0.pid == pid) && $0.ended >= since }) { return end }
      guard wsgi_posix_monotonic() < deadline else { return nil }
      poll(nil, 0, 5)
    }
  }

  private func entryOffset(_ area: (offset: Int, slots: Int), _ index: Int) -> Int {
    area.offset &+ Self.stateWords &+ area.slots &* Self.slotWords &+ index &* Self.entryWords
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

/// The board could not be made.
public struct BoardFailure: Error, Equatable, Sendable {
  public let errno: Int32
}
