import WSGICore

/// How far a request and its response have come, in the order in which that happens. Nothing brings a request back to life that
/// has ended: a thread of the application may come late, with what it had begun before.
enum ResponseStage: Equatable {
  /// There is no request.
  case idle
  /// The application has not called start_response, or not with what that takes.
  case called
  /// start_response was accepted; what is to be sent can still change.
  case started
  /// The response head is on its way.
  case committed
  /// The response is complete.
  case complete
  /// The host takes no more of it.
  case broken(ExchangeFailure)

  var isActive: Bool { self != .idle }
  var isStarted: Bool { self != .idle && self != .called }
  var isCommitted: Bool {
    switch self {
    case .idle, .called, .started, .broken(.badHead): false
    case .committed, .complete, .broken: true
    }
  }

  /// start_response is being called, maybe again.
  mutating func restart() { if self == .started { self = .called } }
  mutating func start() { if self == .called { self = .started } }
  mutating func commit() { if self == .started { self = .committed } }
  mutating func complete() { if self == .committed { self = .complete } }
  mutating func fail(_ failure: ExchangeFailure) { if isActive { self = .broken(failure) } }
}
