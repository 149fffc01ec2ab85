import Glibc

/// The current time.
public enum Clock {
  @inlinable @inline(__always)
  static func read(_ clock: Int32) -> timespec {
    var time = timespec()
    _ = clock_gettime(clock, &time)
    return time
  }

  @inlinable @inline(__always)
  public static func epochMicroseconds() -> Int64 {
    let time = read(CLOCK_REALTIME)
    return Int64(time.tv_sec) &* 1_000_000 &+ Int64(time.tv_nsec) / 1000
  }

  // Of a clock that is never set.

  @inlinable @inline(__always)
  public static func monotonicNanoseconds() -> UInt64 {
    let time = read(CLOCK_MONOTONIC)
    return UInt64(clamping: time.tv_sec) &* 1_000_000_000 &+ UInt64(clamping: time.tv_nsec)
  }

  @inlinable @inline(__always)
  public static func monotonicMicroseconds() -> Int64 {
    let time = read(CLOCK_MONOTONIC)
    return Int64(time.tv_sec) &* 1_000_000 &+ Int64(time.tv_nsec) / 1000
  }

  @inlinable @inline(__always)
  public static func monotonicMilliseconds() -> Int64 {
    let time = read(CLOCK_MONOTONIC)
    return Int64(time.tv_sec) &* 1000 &+ Int64(time.tv_nsec) / 1_000_000
  }

  public static func seconds(microseconds: Int64) -> Double { Double(microseconds) / 1e6 }
}
