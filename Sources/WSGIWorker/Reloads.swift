import DaemonTransport
import ProcessSupervision
import Synchronization
import WSGICore

/// Scripts that changed, and what becomes of requests for them.
///
/// The request that finds a change is kept, and the supervisor asked for a process with the new code. Until that process is
/// there, other requests for the script run with the code that is here. Then the kept request goes there; or, if the supervisor
/// says `drain`, back to the group's queue.
final class Reloads: Sendable {
  /// How often a request is queued or handed over before the process that has it runs it, whatever its script looks like.
  static let attempts: UInt32 = 3

  /// A request that waits for a process with new code. Its channel is its own.
  struct Kept {
    var change: ScriptChange
    var channel: Int32
    var envelope: QueueEnvelope
    var head: [UInt8]
  }

  fileprivate struct Key: Hashable {
    var script: [UInt8]
    var applicationGroup: [UInt8]
  }

  private enum Standing {
    case underWay
    /// The code of that time does not load.
    case refused(modified: Int64)
  }

  private struct State {
    var standings: [Key: Standing] = [:]
    /// How the imports of scripts failed elsewhere, if that is later than they did here.
    var failures: [Key: UInt32] = [:]
    /// In the order in which they were asked for, which is the order of the answers.
    var kept: [Kept] = []
    var isClosed = false
  }

  private let state = Mutex(State())
  /// Whether there is anything to look up.
  private let isConcerned = Atomic<Bool>(false)

  /// Whether a request must be run with the code that is here, whatever its script looks like.
  @inline(__always)
  func leavesAlone(_ head: RequestHead) -> Bool {
    isConcerned.load(ordering: .relaxed) && isSettled(head)
  }

  @inline(never)
  private func isSettled(_ head: RequestHead) -> Bool {
    let key = Key(script: Array(head.script), applicationGroup: Array(head.applicationGroup))
    return state.withLock { state in
      switch state.standings[key] {
      case nil: false
      case .underWay: true
      case .refused(let modified): modified == head.scriptModified
      }
    }
  }

  /// The fate of a request that found a change; unless it is kept, it still belongs to the caller.
  enum Verdict {
    case kept
    /// Another request waits for the change already, or has had its answer: this one is for the code that is here.
    case foundBefore
    /// No answer is to be expected any more.
    case refused
  }

  /// Keeps a request that found `change`, or that its script is to be tried again.
  func keep(_ request: Kept, _ control: ControlChannel) -> Verdict {
    var request = request
    return state.withLock { state in
      guard !state.isClosed else { return .refused }
      let key = Key(request.change)
      switch state.standings[key] {
      case .underWay: return .foundBefore
      case .refused(let modified) where modified == request.change.modified && request.change.failure == 0: return .foundBefore
      case .refused, nil: break
      }
      if request.change.failure != 0 { request.change.failure = state.failures[key] ?? request.change.failure }
      let change = request.change
      // Before the supervisor hears of it, so that the next request finds it.
      let earlier = state.standings.updateValue(.underWay, forKey: key)
      isConcerned.store(true, ordering: .sequentiallyConsistent)
      guard control.send(.reloadWanted(change)) else {
        state.standings[key] = earlier
        return .refused
      }
      state.kept.append(request)
      return .kept
    }
  }

  /// The request that is to be handed over next.
  func takeNext() -> Kept? { state.withLock { $0.kept.isEmpty ? nil : $0.kept.removeFirst() } }

  /// Every request that still waits; none is kept from now on.
  func close() -> [Kept] {
    state.withLock { state in
      state.isClosed = true
      defer { state.kept = [] }
      return state.kept
    }
  }

  func isBeingReloaded(_ change: ScriptChange) { set(.underWay, change) }

  /// The changed script does not load. Gives the requests that waited for it.
  func wasRefused(_ change: ScriptChange) -> [Kept] {
    state.withLock { state in
      // What failed is tried again some time later, whether the file changes or not.
      state.standings[Key(change)] = change.failure == 0 ? .refused(modified: change.modified) : nil
      if change.failure != 0 { state.failures[Key(change)] = change.failure }
      let waiting = state.kept.filter { Key($0.change) == Key(change) }
      state.kept.removeAll { Key($0.change) == Key(change) }
      return waiting
    }
  }

  /// Asks another supervisor for every process that a request waits for. The result are the requests for which that failed.
  func askAgain(_ control: ControlChannel) -> [Kept] {
    state.withLock { state in
      var lost: [Kept] = []
      state.kept.removeAll { request in
        let isAsked = control.send(.reloadWanted(request.change))
        if !isAsked { lost.append(request) }
        return !isAsked
      }
      // A change that no request waits for is found by the next one.
      let awaited = Set(state.kept.map { Key($0.change) })
      for (key, standing) in state.standings {
        if case .underWay = standing, !awaited.contains(key) { state.standings[key] = nil }
      }
      return lost
    }
  }

  private func set(_ standing: Standing, _ change: ScriptChange) {
    state.withLock { $0.standings[Key(change)] = standing }
    isConcerned.store(true, ordering: .relaxed)
  }
}

extension Reloads.Key {
  fileprivate init(_ change: ScriptChange) {
    self.init(script: change.script, applicationGroup: change.applicationGroup)
  }
}
