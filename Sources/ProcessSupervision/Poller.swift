import CPosix
import Glibc

/// Descriptors that a loop waits on, each with a source that says whom an event concerns. Waiting costs by the events, not by the
/// descriptors (epoll).
///
/// A descriptor must be forgotten before it is closed, or becomes another file's: other processes may have that file open too,
/// and the kernel would go on reporting it.
struct Poller<Source> {
  private struct Entry {
    var source: Source
    var events: UInt32
    /// Tells it from what the descriptor named before.
    var number: UInt32
  }

  private let descriptor: Int32
  private var entries: [Int32: Entry] = [:]
  private var number: UInt32 = 0
  private var ready = [epoll_event](repeating: epoll_event(), count: 64)
  /// Some descriptor could not be added: its events are not reported.
  private(set) var isIncomplete = false

  /// Events are taken back as soon as one is reported; `watch` asks for them again.
  static var once: UInt32 { EPOLLONESHOT.rawValue }
  static var readable: UInt32 { EPOLLIN.rawValue }

  init() {
    descriptor = epoll_create1(Int32(EPOLL_CLOEXEC))
    isIncomplete = descriptor < 0
  }

  /// Waits on a descriptor from now on, or for other events than before; a hang-up is always reported. Negative: none.
  mutating func watch(_ file: Int32, _ source: @autoclosure () -> Source, events: UInt32) {
    guard file >= 0, descriptor >= 0, entries[file]?.events != events else { return }
    number &+= 1
    let isNew = entries[file] == nil
    let entry = Entry(source: source(), events: events, number: number)
    var event = epoll_event(
      events: events, data: epoll_data_t(u64: UInt64(UInt32(bitPattern: file)) | UInt64(entry.number) << 32))
    guard epoll_ctl(descriptor, isNew ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, file, &event) == 0 else {
      isIncomplete = true
      return
    }
    entries[file] = entry
  }

  mutating func forget(_ file: Int32) {
    guard file >= 0, entries.removeValue(forKey: file) != nil else { return }
    var event = epoll_event()
    _ = epoll_ctl(descriptor, EPOLL_CTL_DEL, file, &event)
  }

  /// Waits until something happens, for so long at most, and gives whom it concerns.
  mutating func wait(milliseconds: Int32) -> [Source] {
    guard descriptor >= 0 else {
      poll(nil, 0, milliseconds)
      return []
    }
    let count = epoll_wait(descriptor, &ready, Int32(ready.count), milliseconds)
    var sources: [Source] = []
    for event in ready.prefix(Int(max(count, 0))) {
      let file = Int32(bitPattern: UInt32(truncatingIfNeeded: event.data.u64))
      guard let entry = entries[file], entry.number == UInt32(event.data.u64 >> 32) else { continue }
      if entry.events & Self.once != 0 { entries[file]?.events = 0 }
      sources.append(entry.source)
    }
    return sources
  }

  func close() {
    if descriptor >= 0 { _ = Glibc.close(descriptor) }
  }
}
