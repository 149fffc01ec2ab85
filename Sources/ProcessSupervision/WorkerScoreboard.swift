import CPosix
import Glibc
import Platform
import Synchronization
import WSGICore

/// The activity of a group's threads: memory that the workers write and httpd's children read, for the status page.
///
/// One file per group, which the parent makes before any fork; a worker maps its slot's part of it. A place of eight 64-bit
/// words for each thread: the ticket of the request that it runs (0: none), since when in milliseconds of the monotonic clock,
/// how many requests it has run, and in the first, whether the process takes no request at the moment. They come from code that
/// a tenant controls: they are shown as numbers, nothing but the number of its own processes is decided by them, and no size or
/// index is read from them. The file's last page is the workers' own: applications ask for reloads there.
public struct WorkerScoreboard: Sendable {
  private let readable: SharedMemory
  public let descriptor: Int32
  private let threads: Int
  private let slots: Int

  public static let placeSize = 64

  /// Makes the file for a group, or maps the one that there is; nil where descriptors or memory are short, and a file that was
  /// made is closed.
  public init?(processes: Int, threads: Int, file: Int32? = nil) {
    let slots = GroupScoreboard.slotCount(processes: processes)
    let (places, overflows) = slots.multipliedReportingOverflow(by: Self.stride(threads: threads))
    guard threads > 0, !overflows, places <= Int.max - Self.page else { return nil }
    let size = places + Self.page
    descriptor = file ?? SharedMemory.makeFile(size: size)
    guard descriptor >= 0 else { return nil }
    guard let memory = SharedMemory(file: descriptor, size: size, isWritable: false) else {
      if file == nil { close(descriptor) }
      return nil
    }
    readable = memory
    self.threads = threads
    self.slots = slots
  }

  /// Unmaps the file when its generation is over; the descriptor is another's to close.
  public func unmap() { readable.unmap() }

  private static var page: Int { max(Int(clamping: sysconf(Int32(_SC_PAGESIZE))), 4096) }

  private static func stride(threads: Int) -> Int {
    let page = page
    return (min(max(threads, 1), 65536) &* placeSize &+ page &- 1) / page &* page
  }

  /// The activity of a worker's threads.
  public struct Activity: Equatable, Sendable {
    public var busy = 0
    public var completed: UInt64 = 0
    /// Since when the request that has run longest runs, in milliseconds of the monotonic clock.
    public var oldest: Int64?
    /// It takes no further request at the moment, whatever threads it has: others wait for its GIL.
    public var isSaturated = false
  }

  public func activity(ofSlot slot: Int) -> Activity {
    var found = Activity()
    guard slot >= 0, slot < slots else { return found }
    for thread in 0..<threads {
      let place = readable.words + (slot &* Self.stride(threads: threads) &+ thread &* Self.placeSize) / 8
      found.completed &+= place[2].load(ordering: .acquiring)
      if thread == 0 { found.isSaturated = place[3].load(ordering: .acquiring) != 0 }
      guard place[0].load(ordering: .acquiring) != 0 else { continue }
      found.busy += 1
      let since = Int64(bitPattern: place[1].load(ordering: .acquiring))
      found.oldest = min(found.oldest ?? since, since)
    }
    return found
  }

  /// The notice of the group's engines.
  public var notice: EngineNotice {
    EngineNotice(board: readable.start + (readable.size &- Self.page), size: HostBoard.size)
  }

  /// Asks for an application group to be loaded again in all processes, nil: for all of them. The memory is the workers' own: it
  /// is added to, and nothing in it is believed. False: there is no room.
  func askForReload(_ applicationGroup: [UInt8]?) -> Bool {
    let page = Self.page
    guard let memory = SharedMemory(file: descriptor, offset: readable.size &- page, size: page) else { return false }
    defer { memory.unmap() }
    let board = ReloadBoard(memory.start, size: HostBoard.size - EngineNotice.size)
    guard let applicationGroup else {
      board.callAll()
      return true
    }
    return board.call(applicationGroup)
  }

  // MARK: in a worker

  /// The places of this worker's threads, all zero; nil: its group has none. Closes the descriptor.
  public static func mapOwn(_ settings: WorkerSettings) -> UnsafeMutableRawPointer? {
    let file = WorkerDescriptor.activity.rawValue
    defer { close(file) }
    let size = stride(threads: settings.threads)
    let (offset, overflows) = Int(settings.slot).multipliedReportingOverflow(by: size)
    guard !overflows, let places = SharedMemory(file: file, offset: offset, size: size) else { return nil }
    memset(places.start, 0, size)
    return places.start
  }

  /// The page in which the group's applications ask for reloads; nil: its group has none. Before `mapOwn`.
  public static func mapReloads() -> UnsafeMutableRawPointer? {
    let file = WorkerDescriptor.activity.rawValue
    let size = Int(clamping: wsgi_posix_readable_size(file))
    return size > page ? SharedMemory(file: file, offset: size - page, size: page)?.start : nil
  }
}
