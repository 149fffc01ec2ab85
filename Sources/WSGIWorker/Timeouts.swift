import Glibc
import ProcessSupervision

/// The verdict of a process group's timeouts at a moment. Each holds by itself, whatever the others are set to.
///
/// Times in milliseconds of the monotonic clock; a limit of 0 is none.
struct Timeouts {
  struct Limits {
    var request: Int64 = 0
    var interrupt: Int64 = 0
    var startup: Int64 = 0
    var deadlock: Int64 = 0
    var inactivity: Int64 = 0
    var restart: Int64 = 0
    /// Bytes of resident memory.
    var memory: UInt64 = 0
    var threads = 1

    /// How long a request may run: the more threads are left for others, the longer.
    var requestThreshold: Int64 { request == 0 ? 0 : Int64(Double(request) * (1 + log(Double(max(threads, 1))))) }
    /// Requests that run longer no longer keep a process from ending.
    var staleAge: Int64 { request &+ interrupt }
  }

  /// Times measured against the limits; 0: not yet.
  struct Facts {
    /// When the first request began, until a script has been loaded.
    var waitsForScriptSince: Int64 = 0
    /// The last sign of life of an application.
    var lastActivity: Int64 = 0
    /// When a thread could last acquire the GIL.
    var lastFreeGIL: Int64 = 0
    /// Resident memory in bytes, where it has a limit.
    var resident: UInt64 = 0
  }

  enum Verdict: Equatable {
    /// RequestTimeout is to be raised in the request.
    case interrupt(InFlight.Request)
    /// The process is to end; requests that are not stale are waited for if `drains`.
    case end(ShutdownReason, drains: Bool, request: InFlight.Request? = nil)
  }

  let limits: Limits
  let started: Int64
  /// Requests in which RequestTimeout was raised, and when.
  private var interrupted: [UInt64: Int64] = [:]

  init(_ limits: Limits, now: Int64) {
    self.limits = limits
    started = now
  }

  func isStale(_ request: InFlight.Request, now: Int64) -> Bool {
    limits.staleAge > 0 && now &- request.since > limits.staleAge
  }

  /// Whether a request keeps the process from ending.
  func hasCurrent(_ requests: [InFlight.Request], now: Int64) -> Bool { requests.contains { !isStale($0, now: now) } }

  /// The first thing to do now.
  mutating func look(_ requests: [InFlight.Request], _ facts: Facts, now: Int64) -> Verdict? {
    if limits.deadlock > 0, facts.lastFreeGIL > 0, now &- facts.lastFreeGIL >= limits.deadlock {
      return .end(.deadlockTimeout, drains: false, request: requests.min { $0.since < $1.since })
    }
    if limits.startup > 0, facts.waitsForScriptSince > 0, now &- facts.waitsForScriptSince >= limits.startup {
      return .end(.startupTimeout, drains: false, request: requests.min { $0.since < $1.since })
    }
    if let verdict = lookAtRequests(requests, now: now) { return verdict }
    let isBusy = hasCurrent(requests, now: now)
    if limits.restart > 0, now &- started >= limits.restart { return .end(.restartInterval, drains: isBusy) }
    if limits.memory > 0, facts.resident > limits.memory, now &- started >= Timeouts.shortestLife {
      return .end(.memoryRecycle, drains: true)
    }
    if limits.inactivity > 0, facts.lastActivity > 0, !isBusy, now &- facts.lastActivity >= limits.inactivity {
      return .end(.inactivityTimeout, drains: false)
    }
    return nil
  }

  private mutating func lookAtRequests(_ requests: [InFlight.Request], now: Int64) -> Verdict? {
    guard limits.request > 0 else { return nil }
    interrupted = interrupted.filter { ticket, _ in requests.contains { $0.ticket == ticket } }
    for request in requests where now &- request.since >= limits.requestThreshold {
      if limits.interrupt > 0 {
        guard let since = interrupted[request.ticket] else {
          interrupted[request.ticket] = now
          return .interrupt(request)
        }
        if now &- since < limits.interrupt { continue }
      }
      return .end(.requestTimeout, drains: hasCurrent(requests, now: now), request: request)
    }
    return nil
  }

  /// How long it takes at least until there may be something to do. What begins meanwhile has a whole limit before it, so that
  /// nobody need tell.
  func pause(_ requests: [InFlight.Request], _ facts: Facts, now: Int64) -> Int64 {
    var least = Timeouts.longestPause
    func consider(_ limit: Int64, since: Int64) {
      guard limit > 0 else { return }
      least = min(least, limit)
      let remaining = since &+ limit &- now
      // What is over and has no consequence waits for something else, which is looked at now and then.
      if since > 0 { least = min(least, remaining > 0 ? remaining : 1000) }
    }
    consider(limits.restart, since: started)
    consider(limits.startup, since: facts.waitsForScriptSince)
    consider(limits.inactivity, since: facts.lastActivity)
    consider(limits.deadlock, since: facts.lastFreeGIL)
    consider(limits.requestThreshold, since: 0)
    for request in requests {
      consider(limits.requestThreshold, since: interrupted[request.ticket] == nil ? request.since : 0)
      if let since = interrupted[request.ticket] { consider(limits.interrupt, since: since) }
      // An inactive process waits for what is current to become stale.
      if limits.inactivity > 0 { consider(limits.staleAge, since: 0) }
    }
    if limits.memory > 0 { least = min(least, Timeouts.memoryPause) }
    return max(10, least)
  }

  private static let longestPause: Int64 = 60_000
  /// Between two looks at the resident memory.
  private static let memoryPause: Int64 = 500
  /// No process is replaced for its size before: one that is too large from the start would be replaced without end.
  static let shortestLife: Int64 = 5_000
}
