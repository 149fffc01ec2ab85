import CPosix
import Glibc
import Platform
import ProcessSupervision
import WSGICore

/// A process that loads the scripts of a group's main interpreter, and is then forked for each worker of the group.
///
/// It has one thread, and starts no other: one that a fork leaves behind may hold a lock for ever. So it receives orders on the
/// main thread, when the scripts have loaded.
final class Preloader {
  /// How `run` ends, which it may do in either process.
  enum Outcome {
    case ended(Int32)
    /// In a worker, whose settings these are.
    case forked(WorkerSettings)
  }

  private let settings: WorkerSettings
  private let engine: Engine
  private let log: ProcessLog
  private let control: ControlChannel

  init(_ settings: WorkerSettings, _ engine: Engine, _ log: ProcessLog, _ control: ControlChannel) {
    self.settings = settings
    self.engine = engine
    self.log = log
    self.control = control
  }

  static let processName = "wsgi-preloader"

  /// Has the process end with its supervisor, whose successor starts another, and pass over the signals that workers heed.
  static func prepareProcess() {
    _ = wsgi_posix_end_with_parent()
    _ = wsgi_posix_catch_early_signals(-1)
  }

  func run() -> Outcome {
    for script in settings.imports where script.applicationGroup.isEmpty {
      var failure: UInt32 = 0
      guard engine.load(script.script, into: [], failure: &failure) else { return .ended(WorkerExit.scriptFailed.rawValue) }
    }
    guard let names = engine.settle() else {
      log.write(
        .warning,
        "WSGI0712: preload=On has no effect in process group '\(settings.groupName)': its Python has no GIL, and cannot be forked"
          + " safely. Its processes load their scripts themselves.")
      return .ended(WorkerExit.notForkable.rawValue)
    }
    if reportThreads(names) { return .ended(WorkerExit.notForkable.rawValue) }
    log.write(.info, "The scripts of process group '\(settings.groupName)' are loaded for its processes (pid=\(getpid())).")
    control.tell(.loaded)
    while true {
      guard control.wait(milliseconds: -1) else { continue }
      switch control.receive() {
      case .message(.fork, let parcel) where parcel >= 0:
        // Hooks of the application's may have started one since.
        if reportThreads([]) { return .ended(WorkerExit.notForkable.rawValue) }
        if let settings = fork(parcel) { return .forked(settings) }
      case .message(_, let descriptor): if descriptor >= 0 { close(descriptor) }
      case .malformed, .nothing: continue
      case .ended: return .ended(0)
      }
    }
  }

  /// The settings of a worker, in the new process.
  private func fork(_ parcel: Int32) -> WorkerSettings? {
    var own: WorkerSettings?
    let result = engine.fork {
      guard ForkOrder.unpack(parcel) else { return false }
      setsid()
      wsgi_posix_set_name("wsgi-worker")
      Preloader.removeMark()
      own = WorkerSettings.read()?.settings
      // Nobody waits for a process that comes too late.
      return own != nil && self.control.tell(.forked(getpid()))
    }
    if result == 0 { return own }
    close(parcel)
    return nil
  }

  /// Lists of processes show the arguments that the process was started with: the last one is the preloader's alone.
  private static func removeMark() {
    let last = Int(CommandLine.argc) - 1
    guard last > 0, let mark = CommandLine.unsafeArgv[last], strcmp(mark, Preloading.mark) == 0 else { return }
    memset(mark, 0, strlen(mark))
  }

  // MARK: threads

  /// Whether there are threads beside this one, after saying so. `names`: those that Python knows of.
  private func reportThreads(_ names: [String]) -> Bool {
    var others = Preloader.otherThreads()
    // A thread that was joined may take a moment to go.
    for _ in 0..<20 where !others.isEmpty && names.isEmpty {
      usleep(5_000)
      others = Preloader.otherThreads()
    }
    guard !others.isEmpty || !names.isEmpty else { return false }
    let shown = (names.isEmpty ? others : names).prefix(10).map { "'\($0.prefix(60))'" }.joined(separator: ", ")
    log.write(
      .warning,
      "WSGI0711: preload=On has no effect in process group '\(settings.groupName)': its scripts have started threads while they"
        + " were imported (\(shown)), which a fork would leave behind. Its processes load their scripts themselves. Start threads"
        + " when the first request comes, or in a hook of os.register_at_fork(after_in_child=…).")
    return true
  }

  /// The names that the kernel knows of the other threads of this process; none where there is no /proc.
  private static func otherThreads() -> [String] {
    guard let directory = opendir("/proc/self/task") else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let thread = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      guard let number = Int32(thread), number != getpid() else { continue }
      names.append(name(ofThread: number))
    }
    return names
  }

  private static func name(ofThread number: Int32) -> String {
    let file = open("/proc/self/task/\(number)/comm", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return "\(number)" }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: 64)
    let count = read(file, &bytes, bytes.count)
    return String(decoding: bytes.prefix(max(count, 0)).prefix { $0 != 0x0A }, as: UTF8.self)
  }
}
