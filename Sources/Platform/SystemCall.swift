import Glibc

/// Makes a system call, and makes it again when a signal has interrupted it. The result is the call's, or a negated errno value.
@inlinable @inline(__always)
public func systemCall<Result: FixedWidthInteger & SignedInteger>(_ call: () -> Result) -> Result {
  while true {
    let result = call()
    if result != -1 { return result }
    if errno != EINTR { return -Result(errno) }
  }
}

/// Waits until one of two descriptors (a negative one is left out) is ready, at most `milliseconds` (negative: for ever).
/// The result is the events of each; none of both: time is up.
public func waitUntilReady(
  _ first: Int32, for firstEvents: Int32, or second: Int32 = -1, for secondEvents: Int32 = 0, milliseconds: Int64
) -> (first: Int32, second: Int32) {
  let deadline = milliseconds < 0 ? Int64.max : Clock.monotonicMilliseconds() &+ milliseconds
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
      remaining = deadline &- Clock.monotonicMilliseconds()
      if remaining <= 0 { return (0, 0) }
    }
  }
}

public let readable = POLLIN
public let writable = POLLOUT
