import CPosix
import Glibc
import Platform
import Synchronization

/// Which process took which request of a group: for those that die before they have said anything.
///
/// A word for each thread of each httpd child, in memory that both they and the group's workers write: a few instructions for
/// each request, and no system call. The child puts there which request its thread has, and the workers who has that one. A
/// worker can write there what it likes, so a reader takes it for no more than a statement of one of the group's processes about
/// itself.
public struct RequestOwners: Sendable {
  private let memory: SharedMemory
  private var words: UnsafeMutablePointer<SharedWord> { memory.words }
  private let count: Int
  /// How many words each child has.
  private let stride: Int

  private static let mostWords = 1 << 20

  /// Makes a board for `children` with `threads` each, and the file that workers map, which is the caller's. nil: there is no
  /// memory or no descriptor.
  public static func make(children: Int, threads: Int) -> (board: RequestOwners, file: Int32)? {
    guard children > 0, threads > 0, children <= mostWords, threads <= mostWords / children else { return nil }
    let file = SharedMemory.makeFile(size: children * threads * MemoryLayout<UInt64>.stride)
    guard file >= 0 else { return nil }
    guard let board = RequestOwners(file: file, stride: threads) else {
      _ = close(file)
      return nil
    }
    return (board, file)
  }

  /// Maps the board that a file holds, in a worker. The file stays the caller's.
  public init?(file: Int32) { self.init(file: file, stride: 1) }

  /// Maps the board that a file holds, in an httpd child, of which each has `threads`. The file stays the caller's.
  public init?(file: Int32, threads: Int) { self.init(file: file, stride: max(threads, 1)) }

  private init?(file: Int32, stride: Int) {
    let bytes = Int(clamping: wsgi_posix_readable_size(file))
    count = bytes / MemoryLayout<UInt64>.stride
    self.stride = stride
    guard (1...RequestOwners.mostWords).contains(count), let memory = SharedMemory(file: file, size: bytes) else { return nil }
    self.memory = memory
  }

  /// Gives the mapping back. Nothing may use the board, or a copy of it, in this process afterwards.
  public func unmap() { memory.unmap() }

  /// The place of a child's thread, for the envelopes of its requests; 0: there is none.
  func place(child: Int, thread: Int) -> UInt32 {
    guard child >= 0, child < count / stride, thread >= 0, thread < stride else { return 0 }
    return UInt32(clamping: child * stride + thread + 1)
  }

  /// In an httpd child: the request is about to be put into the group's queue, and nobody has it.
  @inline(__always)
  func begin(_ envelope: QueueEnvelope) { store(0, for: envelope) }

  @inline(__always)
  private func store(_ value: UInt32, for envelope: QueueEnvelope) {
    guard envelope.place > 0, envelope.place <= count else { return }
    words[Int(envelope.place) - 1].store(RequestOwners.mark(envelope) | UInt64(value), ordering: .relaxed)
  }

  /// In a worker: the process `pid` has this request now.
  ///
  /// Where the place is another request's, this one was given up, and what stands there stays: nobody else would be found to have
  /// the other.
  @inline(__always)
  public func note(_ envelope: QueueEnvelope, pid: UInt32) {
    guard envelope.place > 0, envelope.place <= count else { return }
    let place = Int(envelope.place) - 1
    let mark = RequestOwners.mark(envelope)
    var found = words[place].load(ordering: .relaxed)
    while found >> 32 == mark >> 32 {
      let (isNoted, now) = words[place].compareExchange(expected: found, desired: mark | UInt64(pid), ordering: .relaxed)
      if isNoted { return }
      found = now
    }
  }

  /// The same, and what runs for it from now on cannot be run once more by another process.
  @inline(__always)
  public func noteBegun(_ envelope: QueueEnvelope, pid: UInt32) { note(envelope, pid: pid | RequestOwners.begun) }

  /// In a worker: the request goes to another process, which has not noted yet that it has it.
  public func noteHandingOver(_ envelope: QueueEnvelope) { note(envelope, pid: 0) }

  /// In an httpd child: the process that had the request last; 0 where none took it, or where one is to take it over.
  func taker(of envelope: QueueEnvelope) -> UInt32 { (word(of: envelope) ?? 0) & ~RequestOwners.begun }

  /// Whether no process has begun on the request. A process notes first that it has a request, and then that it begins.
  func isUntouched(_ envelope: QueueEnvelope) -> Bool { word(of: envelope).map { $0 & RequestOwners.begun == 0 } ?? false }

  /// No process has a number as large.
  private static let begun: UInt32 = 1 << 31

  // MARK: session slots

  // The place of a request in a slot's queue says what has become of it: the one side that changes it from `offered` has it.
  private static let offered: UInt32 = 1 << 30
  private static let revoked: UInt32 = 1 << 29

  /// In an httpd child: the request is about to be put into a slot's queue.
  func offer(_ envelope: QueueEnvelope) { store(RequestOwners.offered, for: envelope) }

  /// In an httpd child: takes the request back. False: a process has it.
  func revoke(_ envelope: QueueEnvelope) -> Bool { replaceOffer(of: envelope, RequestOwners.revoked) }

  /// In a worker: takes the request for the process `pid`. False: it was taken back.
  func claim(_ envelope: QueueEnvelope, pid: UInt32) -> Bool { replaceOffer(of: envelope, pid) }

  func isOffered(_ envelope: QueueEnvelope) -> Bool { word(of: envelope) == RequestOwners.offered }

  private func replaceOffer(of envelope: QueueEnvelope, _ value: UInt32) -> Bool {
    guard envelope.place > 0, envelope.place <= count else { return false }
    let mark = RequestOwners.mark(envelope)
    return words[Int(envelope.place) - 1].compareExchange(
      expected: mark | UInt64(RequestOwners.offered), desired: mark | UInt64(value), ordering: .acquiringAndReleasing
    ).exchanged
  }

  /// In an httpd child: the process that noted last that it has a request of this place; 0: none has.
  public func taker(at place: UInt32) -> UInt32 {
    guard place > 0, place <= count else { return 0 }
    let pid = UInt32(truncatingIfNeeded: words[Int(place) - 1].load(ordering: .relaxed)) & ~RequestOwners.begun
    return pid < RequestOwners.revoked ? pid : 0
  }

  /// The note of this very request, if there is one.
  private func word(of envelope: QueueEnvelope) -> UInt32? {
    guard envelope.place > 0, envelope.place <= count else { return nil }
    let word = words[Int(envelope.place) - 1].load(ordering: .relaxed)
    return word >> 32 == RequestOwners.mark(envelope) >> 32 ? UInt32(truncatingIfNeeded: word) : nil
  }

  /// The time at which a request was queued tells it from others of its thread.
  @inline(__always)
  private static func mark(_ envelope: QueueEnvelope) -> UInt64 { UInt64(truncatingIfNeeded: envelope.queueStart) << 32 }
}
