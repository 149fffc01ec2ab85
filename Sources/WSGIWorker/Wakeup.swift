import CPosix
import Synchronization

/// A word that threads wait on until somebody changes it (a futex).
struct Wakeup: @unchecked Sendable {
  // SAFETY: allocated once, never moved or freed, only reached through atomics and the kernel.
  private let word: UnsafeMutablePointer<Atomic<UInt32>>

  init(_ value: UInt32 = 0) {
    word = UnsafeMutablePointer<Atomic<UInt32>>.allocate(capacity: 1)
    word.initialize(to: Atomic(value))
  }

  var value: UInt32 { word.pointee.load(ordering: .acquiring) }

  /// Waits as long as the value is `expected`, at most so many milliseconds (negative: for ever). May return early.
  func wait(while expected: UInt32, milliseconds: Int64 = -1) {
    guard value == expected else { return }
    wsgi_posix_wait(UnsafeRawPointer(word).assumingMemoryBound(to: UInt32.self), expected, milliseconds)
  }

  func set(_ value: UInt32, waking count: Int32 = .max) {
    word.pointee.store(value, ordering: .releasing)
    guard count > 0 else { return }
    wsgi_posix_wake(UnsafeRawPointer(word).assumingMemoryBound(to: UInt32.self), count)
  }

  /// Adds and wakes everybody.
  func add(_ difference: UInt32) {
    word.pointee.wrappingAdd(difference, ordering: .acquiringAndReleasing)
    wsgi_posix_wake(UnsafeRawPointer(word).assumingMemoryBound(to: UInt32.self), .max)
  }
}
