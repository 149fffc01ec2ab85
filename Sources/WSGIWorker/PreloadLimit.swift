import Glibc
import Platform
import ProcessSupervision
import Synchronization
import WSGICore

/// Ends a process whose scripts do not load within `startup-timeout` while it starts. Each script has the whole time.
final class PreloadLimit: Sendable {
  private struct State {
    var script: [UInt8] = []
    /// In milliseconds of the monotonic clock; nil: nothing is being loaded any more.
    var deadline: Int64? = .max
  }

  private let settings: WorkerSettings
  private let engine: Engine
  private let log: ProcessLog
  private let control: ControlChannel
  private let state = Mutex(State())
  private let bell = Wakeup()

  /// How long the stack may take to read, in milliseconds.
  private static let stackPatience: UInt32 = 300

  init(_ settings: WorkerSettings, _ engine: Engine, _ log: ProcessLog, _ control: ControlChannel) {
    self.settings = settings
    self.engine = engine
    self.log = log
    self.control = control
    guard settings.startupTimeout > 0, !settings.imports.isEmpty || settings.candidate != nil else { return }
    // Without a thread scripts load without a limit, which is better than not at all.
    _ = DetachedThread.start(named: "wsgi:startup", stackSize: settings.stackSize, takesSignals: true) { [self] in run() }
  }

  /// Loads a script; false where that fails, for the reason that `failure` names.
  func load(_ script: WorkerSettings.Script, failure: inout UInt32) -> Bool {
    let deadline = settings.startupTimeout > 0 ? Clock.monotonicMilliseconds() &+ settings.startupTimeout : Int64.max
    set(State(script: script.script, deadline: deadline))
    defer { set(State()) }
    failure = script.failure
    return engine.load(script.script, into: script.applicationGroup, failure: &failure)
  }

  /// Everything is loaded.
  func end() { set(State(deadline: nil)) }

  private func set(_ next: State) {
    state.withLock { $0 = next }
    bell.add(1)
  }

  private func run() {
    while true {
      let heard = bell.value
      let current = state.withLock { $0 }
      guard let deadline = current.deadline else { return }
      let remaining = deadline &- Clock.monotonicMilliseconds()
      if remaining <= 0 { expire(current.script) }
      bell.wait(while: heard, milliseconds: min(remaining, 60_000))
    }
  }

  private func expire(_ script: [UInt8]) -> Never {
    let name = String(decoding: script, as: UTF8.self)
    let stack = engine.stacks(0, milliseconds: PreloadLimit.stackPatience).lines.joined(separator: ", ")
    log.write(
      .warning,
      "WSGI0412: Script '\(name)' did not load within startup-timeout (\(Seconds.text(settings.startupTimeout)));"
        + " stopping the process (process group '\(settings.groupName)'). \(stack.isEmpty ? "It runs no Python code" : stack).")
    engine.abandon()
    control.tell(.startFailed("script '\(name)'"))
    _exit(WorkerExit.startupTimeout.rawValue)
  }
}
