import Glibc

/// Milliseconds on a clock that nobody sets.
@inline(__always)
func monotonicMilliseconds() -> Int64 {
  var now = timespec()
  _ = clock_gettime(CLOCK_MONOTONIC, &now)
  return Int64(now.tv_sec) &* 1000 &+ Int64(now.tv_nsec) / 1_000_000
}

/// Microseconds on the same clock.
@inline(__always)
func monotonicMicroseconds() -> Int64 {
  var now = timespec()
  _ = clock_gettime(CLOCK_MONOTONIC, &now)
  return Int64(now.tv_sec) &* 1_000_000 &+ Int64(now.tv_nsec) / 1000
}

/// Microseconds since the epoch.
@inline(__always)
func epochMicroseconds() -> Int64 {
  var now = timespec()
  _ = clock_gettime(CLOCK_REALTIME, &now)
  return Int64(now.tv_sec) &* 1_000_000 &+ Int64(now.tv_nsec) / 1000
}

/// Waits until one of two descriptors (a negative one is left out) is ready, at most `milliseconds` (negative: for ever).
/// The result are the events of each; none of both: time is up.
func waitUntilReady(
  _ first: Int32, for firstEvents: Int32, or second: Int32 = -1, for secondEvents: Int32 = 0, milliseconds: Int64
) -> (first: Int32, second: Int32) {
  let deadline = milliseconds < 0 ? Int64.max : monotonicMilliseconds() &+ milliseconds
  var remaining = milliseconds
  while true {
    var both = (
      pollfd(fd: first, events: Int16(truncatingIfNeeded: firstEvents), revents: 0),
      pollfd(fd: second, events: Int16(truncatingIfNeeded: secondEvents), revents: 0)
    )
    let ready = withUnsafeMutablePointer(to: &both) { pair in
      pair.withMemoryRebound(to: pollfd.self, capacity: 2) { poll($0, 2, Int32(clamping: max(remaining, -1))) }
    }
    if ready > 0 { return (Int32(both.0.revents), Int32(both.1.revents)) }
    if ready == 0 || errno != EINTR { return (0, 0) }
    if milliseconds >= 0 {
      remaining = deadline &- monotonicMilliseconds()
      if remaining <= 0 { return (0, 0) }
    }
  }
}

let readable = POLLIN
let writable = POLLOUT
