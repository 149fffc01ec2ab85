import WSGICore

/// A message between a worker and its supervisor, one packet each, on the `ControlChannel` between them.
///
/// A packet is at most `limit` bytes, which is what the kernel keeps together in a pipe, and the only length that its reader
/// believes is the one the kernel reports. Layout, in host order: u32 kind, u32 number, u64 value, then the text or the
/// counted parts of the kind.
///
/// **A changed script.** The worker whose request has seen it sends `reloadWanted`, keeps that request, and runs others with the
/// code it has. The supervisor starts a candidate that loads the script. Other workers of the group are told `reloading`: they
/// too leave the script alone. When the candidate has said `loaded` (or `loadFailed`), the worker gets `handOver` and one end of
/// a SOCK_SEQPACKET pair: it writes its request there as it would stand in the group's queue, and closes it. The candidate gets
/// the other end by `takeOver`: a further queue, to be read to its end. Old workers get `drain`; once they have answered
/// `draining`, candidates get `begin`, and only then do they answer what was handed over and take from the group's queue. Where
/// the group keeps its old code (`reload=rolling`) and the new one does not load, or the candidate ends, it gets `drain`
/// instead; the others get `reloadRefused`, answer what they kept with what they have, and go on so until the script changes
/// again.
///
/// **A failed import** leaves a worker unfit to try it again. It says so (`importFailed`), and wants a reload all the same when a
/// request comes for the script some time later. The supervisor starts one candidate, and one a second at most. If that loads the
/// script, it takes the place of the workers whose import failed; if not, it ends, and `reloadRefused` tells the worker to refuse
/// the request. No other worker is concerned: they go on serving the scripts that they have loaded.
public enum ControlMessage: Equatable, Sendable {
  // MARK: from the worker
  /// Python runs, the imports are done: requests are being taken, or for a candidate: will be after `begin`.
  case ready
  /// The first message of a process that a preloader has forked: its id.
  case forked(Int32)
  /// A candidate has loaded its script, or a preloader the scripts of its group.
  case loaded
  /// A candidate's script does not load; why is in the log. The number names the failure.
  case loadFailed(UInt32)
  /// The import of a script failed in this process.
  case importFailed
  /// The process cannot do its work and is about to exit. The sentence is for the log.
  case startFailed(String)
  /// No more requests are taken from the queue; those that run are finished.
  case draining(ShutdownReason)
  /// The last message before the exit.
  case ended(ShutdownReason)
  /// The first request has been answered.
  case answered
  case reloadWanted(ScriptChange)
  case log(LogRecord)
  /// Asks for httpd's scoreboard; `metrics` with the same ticket answers.
  case metricsWanted(ticket: UInt64)

  // MARK: from the relay
  /// Everything that the worker had said is passed on.
  case passedOn

  // MARK: from the supervisor
  /// To the relay: `passedOn` is to answer when that is so.
  case passOn
  /// A candidate may take requests.
  case begin
  /// Finish what runs, within the graceful timeout, and end for this reason. A request that was kept for a reload goes back.
  case drain(ShutdownReason)
  /// End now, within the shutdown timeout.
  case stop
  /// Comes with a descriptor, to a worker that wanted a reload: where its request goes. Where no process is left to take it, the
  /// request goes back to the group's queue.
  case handOver
  /// Comes with a descriptor, to a preloader: a process is to be forked, whose descriptors are there (`ForkOrder`).
  case fork
  /// Comes with a descriptor, to a candidate: a queue with a request that waits for the new code.
  case takeOver
  /// Comes with a descriptor: a socket to which the stacks of all threads are to be written.
  case stacks
  /// Comes with a descriptor: a socket to which the requests that run are to be written, as `CurrentRequest` says.
  case requests
  /// The script is being loaded elsewhere.
  case reloading(ScriptChange)
  /// The script's new code does not load, or kills its process: run what you have until it changes again.
  case reloadRefused(ScriptChange)
  /// Another supervisor has taken over, which knows of no reload: those that requests wait for are to be asked for once more.
  case takenOver
  /// Comes with a descriptor, a sealed memory file of pairs; without one the scoreboard is not available.
  case metrics(ticket: UInt64)

  /// The version of what workers and supervisors agree on: this, `WorkerSettings`, the queue and the channel.
  public static let version: UInt32 = 4
  /// The longest packet.
  public static let limit = 4096
  static let fileLimit = 256
  /// The longest text in a packet, beside the name of a source file; what is longer is cut when it is sent.
  public static let textLimit = limit - fileLimit - 64
}

/// A script that is no longer what was loaded, or whose import failed and is to be tried in a process that has not tried it.
public struct ScriptChange: Hashable, Sendable {
  public var script: [UInt8]
  public var applicationGroup: [UInt8]
  /// The file's time when the change was found, as in `ScriptTime`.
  public var modified: Int64
  /// Names how its import failed last; 0: this is a change.
  public var failure: UInt32

  public init(script: [UInt8], applicationGroup: [UInt8], modified: Int64, failure: UInt32 = 0) {
    self.script = script
    self.applicationGroup = applicationGroup
    self.modified = modified
    self.failure = failure
  }
}

/// A log record that belongs to no request.
public struct LogRecord: Equatable, Sendable {
  public var level: LogLevel
  /// The Python source that a LogHandler record names; empty and 0: none.
  public var file: [UInt8]
  public var line: UInt32
  public var text: [UInt8]

  public init(level: LogLevel, file: [UInt8] = [], line: UInt32 = 0, text: [UInt8]) {
    self.level = level
    self.file = file
    self.line = line
    self.text = text
  }
}
