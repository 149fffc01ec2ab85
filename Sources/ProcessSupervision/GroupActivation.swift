import CPosix
import Glibc
import Platform
import Synchronization
import WSGICore

/// How an httpd child gets the queue of a group that is made on demand: it asks the supervisor, by means that the parent made
/// before either was forked.
///
/// A child asks in memory that it shares with the supervisor, and rings an eventfd: neither can hold the supervisor up, and no
/// descriptor comes that way. It is answered through a lane, a socket pair of which only that direction works. There are a few
/// lanes for all children; a child has one to itself while it asks. The supervisor believes nothing of a question, which any
/// process of httpd's user may have written, and checks its parts.
public struct GroupActivation: Sendable {
  /// For each lane: how often has been asked there, with the group's place; the process that has the lane; a `TenantQuestion`.
  private let asks: SharedMemory
  private let bell: Int32
  private let lanes: [Lane]

  private struct Lane: Sendable {
    var give: Int32
    var take: Int32
  }

  /// More children than that wait for each other, for as long as an answer takes.
  private static let mostLanes = 16
  private static let laneWords = 2 + TenantQuestion.size

  /// nil: memory or descriptors are short.
  static func make(children: Int) -> GroupActivation? {
    let count = min(max(children, 1), mostLanes)
    guard let asks = SharedMemory(size: count &* laneWords &* 8) else { return nil }
    let bell = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    var lanes: [Lane] = []
    while bell >= 0, lanes.count < count {
      var pair: [Int32] = [-1, -1]
      guard wsgi_posix_socket_pair(Int32(SOCK_SEQPACKET.rawValue), &pair) == 0 else { break }
      shutdown(pair[0], Int32(SHUT_RD))
      lanes.append(Lane(give: pair[0], take: pair[1]))
    }
    let made = GroupActivation(asks: asks, bell: bell, lanes: lanes)
    guard lanes.count == count else {
      made.closeAll()
      return nil
    }
    return made
  }

  /// Closes and unmaps everything, in a process that has nothing to do with it.
  func closeAll() {
    if bell >= 0 { close(bell) }
    for lane in lanes {
      close(lane.give)
      close(lane.take)
    }
    asks.unmap()
  }

  // MARK: in the supervisor

  /// Readable when a child has asked.
  var descriptor: Int32 { bell }

  var laneCount: Int { lanes.count }

  /// A question. The lane's child waits for the answer, unless it has asked another since.
  struct Ask: Equatable {
    var lane: Int
    var number: UInt32
    /// Of the group, or of the template of which it is to be made.
    var place: Int
    /// nil: what the child wrote is not a tenant.
    var tenant: Tenant?
    /// The script that the request is for; nil: it is not one that a preloader could load.
    var script: ScriptPath?
  }

  /// The ring has been heard.
  func silence() {
    var count: UInt64 = 0
    _ = systemCall { read(bell, &count, 8) }
  }

  /// The new questions that have their turn.
  func takeAsks(_ pace: inout AskPace, now: Int64) -> [Ask] {
    var found: [Ask] = []
    for lane in lanes.indices {
      let words = asks.words + lane &* Self.laneWords
      let word = words[0].load(ordering: .acquiring)
      guard pace.take(word, lane, now: now) else { continue }
      // Asked of an earlier supervisor, and given up since.
      guard words[1].load(ordering: .relaxed) != 0 else { continue }
      let question = TenantQuestion(words + 2)
      found.append(
        Ask(
          lane: lane, number: UInt32(truncatingIfNeeded: word >> 32), place: Int(word & 0xFFFF_FFFF), tenant: question.tenant,
          script: question.script))
    }
    return found
  }

  /// Whether the child still waits for this answer.
  func isOpen(_ ask: Ask) -> Bool {
    let words = asks.words + ask.lane &* Self.laneWords
    return UInt32(truncatingIfNeeded: words[0].load(ordering: .relaxed) >> 32) == ask.number
      && words[1].load(ordering: .relaxed) != 0
  }

  /// The answer to a question. Its files stay the supervisor's.
  struct Reply {
    /// 0, or an errno value.
    var status: Int32
    /// The place of the group, and the number under which its user is counted.
    var place = 0
    var user: Int?
    var files: GroupFiles?
  }

  /// Answers a child. A lane that is full is its child's fault, which asks again.
  func answer(_ ask: Ask, _ reply: Reply) {
    // As many descriptors as one message may carry.
    var parts: [[Int32]] = [[]]
    if let files = reply.files {
      parts = [[files.writeEnd, files.owners], [files.activity] + (files.sessions >= 0 ? [files.sessions] : [])]
    }
    for (part, numbers) in parts.enumerated() {
      var words: [Int32] = [
        Int32(bitPattern: ask.number), reply.status, Int32(part), Int32(parts.count), Int32(truncatingIfNeeded: reply.place),
        Int32(truncatingIfNeeded: reply.user ?? -1),
      ]
      _ = words.withUnsafeMutableBytes { bytes in
        var vector = iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
        return wsgi_posix_send(lanes[ask.lane].give, &vector, 1, numbers, Int32(numbers.count), Int32(MSG_DONTWAIT))
      }
    }
  }

  // MARK: in httpd's parent

  /// Frees the lane of a child that has ended.
  func release(pid: Int32) {
    for lane in lanes.indices {
      _ = asks.words[lane &* Self.laneWords &+ 1].compareExchange(
        expected: UInt64(UInt32(bitPattern: pid)), desired: 0, ordering: .acquiringAndReleasing)
    }
  }

  // MARK: in an httpd child

  /// The means of an httpd child to ask. `isAlone`: the parent serves requests itself, and keeps what supervisors need.
  func asker(isAlone: Bool) -> Asker {
    for lane in lanes where !isAlone { close(lane.give) }
    return Asker(asks, bell, lanes.map(\.take))
  }

  /// The child's side; any thread may ask.
  public final class Asker: @unchecked Sendable {
    // SAFETY: the words are only reached through atomics; `turn` guards the rest.
    private let words: UnsafeMutablePointer<SharedWord>
    private let bell: Int32
    private let lanes: [Int32]
    private let turn = RecursiveLock()
    private let owner = UInt64(UInt32(bitPattern: getpid()))
    /// The lane in use.
    private var lane: Int32 = -1

    /// How long an answer may take before the question is put again: a supervisor may have died over it.
    private static let patience: Int64 = 250

    fileprivate init(_ asks: SharedMemory, _ bell: Int32, _ lanes: [Int32]) {
      words = asks.words
      self.bell = bell
      self.lanes = lanes
    }

    /// A group that the supervisor has found or made.
    public struct Found: Equatable, Sendable {
      /// They become the caller's.
      public var files: GroupFiles
      public var place: Int
      /// The number under which its user is counted, where it is made of a template.
      public var user: Int?
    }

    /// Asks for the group in a place, or, for a tenant, for its group of the template in that place; waits at most so long.
    /// `script`: the request's, if a preloader of that group could load it.
    public func ask(
      _ place: Int, _ tenant: Tenant? = nil, script: ScriptPath? = nil, milliseconds: Int64
    ) -> Result<Found, ActivationFailure> {
      let end = Clock.monotonicMilliseconds() &+ max(milliseconds, 0)
      guard turn.lock(milliseconds: Int(clamping: max(milliseconds, 1))), let number = takeLane(until: end) else {
        return .failure(.noAnswer)
      }
      let words = words + number &* GroupActivation.laneWords
      defer {
        words[1].store(0, ordering: .releasing)
        turn.unlock()
      }
      lane = lanes[number]
      // An answer that came too late, for this child or the one that had the lane before.
      while case .message(let stale, _) = receive(0) { stale.closeAll() }
      if let tenant { TenantQuestion(words + 2).put(tenant, script) }
      while true {
        let now = Clock.monotonicMilliseconds()
        guard now < end else { return .failure(.noAnswer) }
        let count = UInt32(truncatingIfNeeded: (words[0].load(ordering: .relaxed) >> 32) &+ 1)
        words[0].store(UInt64(count) << 32 | UInt64(UInt32(truncatingIfNeeded: place)), ordering: .releasing)
        var one: UInt64 = 1
        _ = systemCall { write(bell, &one, 8) }
        if let result = answer(to: count, until: min(end, now &+ Self.patience)) { return result }
      }
    }

    /// A lane that no other process has, or one whose process has died; nil: there was none in time, and the turn is given up.
    private func takeLane(until end: Int64) -> Int? {
      repeat {
        for number in lanes.indices {
          let word = words + (number &* GroupActivation.laneWords &+ 1)
          let other = word.pointee.load(ordering: .relaxed)
          let isFree = other == 0 || kill(Int32(truncatingIfNeeded: other), 0) != 0 && errno == ESRCH
          if isFree, word.pointee.compareExchange(expected: other, desired: owner, ordering: .acquiringAndReleasing).exchanged {
            return number
          }
        }
        poll(nil, 0, 1)
      } while Clock.monotonicMilliseconds() < end
      turn.unlock()
      return nil
    }

    private func answer(to number: UInt32, until end: Int64) -> Result<Found, ActivationFailure>? {
      var files = GroupFiles()
      while case .message(let more, let words) = receive(max(end &- Clock.monotonicMilliseconds(), 0)) {
        guard words[0] == Int32(bitPattern: number), words[1] == 0 else {
          more.closeAll()
          files.closeAll()
          if words[0] == Int32(bitPattern: number) { return .failure(.refused(errno: words[1])) }
          continue
        }
        if words[2] == 0 {
          files.closeAll()
          files = more
        } else {
          files.activity = more.writeEnd
          files.sessions = more.owners
        }
        if words[2] == words[3] - 1, files.writeEnd >= 0 {
          return .success(Found(files: files, place: Int(words[4]), user: words[5] < 0 ? nil : Int(words[5])))
        }
      }
      files.closeAll()
      return nil
    }

    private enum Received {
      case message(GroupFiles, words: [Int32])
      case nothing
    }

    private func receive(_ milliseconds: Int64) -> Received {
      var entry = pollfd(fd: lane, events: Int16(POLLIN), revents: 0)
      guard poll(&entry, 1, Int32(clamping: milliseconds)) > 0 else { return .nothing }
      var words = [Int32](repeating: 0, count: 6)
      var passed = wsgi_posix_descriptors()
      let count = words.withUnsafeMutableBytes { bytes in
        bytes.baseAddress.map { wsgi_posix_receive(lane, $0, bytes.count, Int32(MSG_DONTWAIT), &passed) } ?? 0
      }
      guard count > 0 else { return .nothing }
      var files = GroupFiles()
      if passed.count > 0 { files.writeEnd = passed.values.0 }
      if passed.count > 1 { files.owners = passed.values.1 }
      return .message(files, words: words)
    }
  }
}

/// Why a child did not get a queue.
public enum ActivationFailure: Error, Equatable, Sendable {
  case noAnswer
  case refused(errno: Int32)
}
