import Glibc

/// The current time.
public enum Clock {
  /// Microseconds since the epoch.
  public static func epoch() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) &* 1_000_000 &+ Int64(time.tv_nsec) / 1000
  }

  /// Nanoseconds of a clock that is never set.
  public static func monotonic() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(clamping: time.tv_sec) &* 1_000_000_000 &+ UInt64(clamping: time.tv_nsec)
  }

  public static func seconds(_ microseconds: Int64) -> Double { Double(microseconds) / 1e6 }
}
