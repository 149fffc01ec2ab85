import CPosix
import Glibc
import Platform
import ProcessSupervision
import Synchronization
import WSGICore

/// Tells what the process does: the stacks of all threads, in the log when SIGQUIT arrives or to those who ask
/// (`wsgictl stacks`), and its requests (`wsgictl requests`); on a thread of its own, as the others may all be stuck.
final class ProcessReports: Sendable {
  enum Kind {
    case stacks, requests
  }

  private struct Asker {
    let socket: Int32
    let kind: Kind
  }

  private let log: ProcessLog
  private let title: String
  /// A byte arrives here with each signal.
  private let signals: Int32
  /// Has the thread look who asks.
  private let bell: Int32
  /// Those who wait for a report.
  private let askers = Mutex<[Asker]>([])
  /// nil: the process takes no requests, or not yet.
  private let inFlight = Mutex<InFlight?>(nil)
  /// Python runs; held while it is asked.
  private let engine = Mutex<Engine?>(nil)

  /// How long the GIL is waited for. Code that keeps it for longer, an extension module's, is stuck as likely as not.
  private static let patience: UInt32 = 1000
  private static let mostAskers = 8
  /// How long one who asks may read nothing, in milliseconds.
  private static let readerPatience: Int64 = 2000

  /// From here on SIGQUIT no longer ends the process. nil: no sockets, or no handlers; errno says why.
  init?(_ settings: WorkerSettings, log: ProcessLog) {
    var ends: [Int32] = [-1, -1]
    guard wsgi_posix_socket_pair(Int32(SOCK_STREAM.rawValue), &ends) == 0, fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0 else {
      return nil
    }
    let failure = wsgi_posix_catch_early_signals(ends[1])
    guard failure == 0 else {
      errno = -failure
      return nil
    }
    self.log = log
    title = settings.title
    signals = ends[0]
    bell = ends[1]
  }

  /// Answers signals that have come and will come. An errno value, or 0.
  func start(_ engine: Engine, stackSize: Int) -> Int32 {
    self.engine.withLock { $0 = engine }
    return DetachedThread.start(named: "wsgi:stacks", stackSize: stackSize, takesSignals: true) { [self] in
      var bytes = [UInt8](repeating: 0, count: 256)
      while true {
        // Signals that came while the last report was written are answered together.
        let count = systemCall { read(signals, &bytes, bytes.count) }
        guard count > 0 else { return }
        if bytes[..<count].contains(where: { $0 != 0 }) { report() }
        for asker in askers.withLock({ waiting in
          defer { waiting = [] }; return waiting
        }) { answer(asker) }
      }
    }
  }

  /// From now on the process can show its requests.
  func show(_ requests: InFlight) { inFlight.withLock { $0 = requests } }

  /// Has a report written to a socket, which is this object's from then on. False: too many ask.
  func want(_ kind: Kind, on socket: Int32) -> Bool {
    let isTaken = askers.withLock { waiting in
      guard waiting.count < Self.mostAskers else { return false }
      waiting.append(Asker(socket: socket, kind: kind))
      return true
    }
    var zero: UInt8 = 0
    if isTaken { _ = Glibc.write(bell, &zero, 1) }
    return isTaken
  }

  /// Waits for a report that is being written, and lets none follow: Python is about to end.
  func end() { engine.withLock { $0 = nil } }

  private func report() {
    engine.withLock { engine in
      guard let engine else { return }
      let (lines, isComplete) = engine.stacks(0, milliseconds: Self.patience)
      var text = "SIGQUIT: stacks of the threads of daemon process \(title)"
      if !isComplete { text += ", read without the GIL, which a thread holds" }
      write(lines.isEmpty ? "\(text): \(isComplete ? "none runs Python code" : "Python cannot show them")." : "\(text):")
      for line in lines { write(line) }
    }
  }

  private func answer(_ asker: Asker) {
    defer { close(asker.socket) }
    switch asker.kind {
    case .stacks: send(Array(stacks.utf8), to: asker.socket)
    case .requests: send(CurrentRequest.encode(inFlight.withLock { $0 }?.current ?? []), to: asker.socket)
    }
  }

  private var stacks: String {
    var text = ""
    engine.withLock { engine in
      guard let engine else { return }
      let (lines, isComplete) = engine.stacks(0, milliseconds: Self.patience)
      if !isComplete { text += "read without the GIL, which a thread holds\n" }
      if lines.isEmpty { text += isComplete ? "no thread runs Python code\n" : "Python cannot show them\n" }
      for line in lines { text += line + "\n" }
    }
    return text.isEmpty ? "Python has not started, or has ended\n" : text
  }

  private func send(_ bytes: [UInt8], to asker: Int32) {
    var sent = 0
    while sent < bytes.count {
      let count = bytes.withUnsafeBytes { bytes in
        var part = iovec(
          iov_base: bytes.baseAddress.map { UnsafeMutableRawPointer(mutating: $0 + sent) }, iov_len: bytes.count - sent)
        return wsgi_posix_send(asker, &part, 1, nil, 0, Int32(MSG_DONTWAIT))
      }
      if count > 0 { sent += count }
      guard count > 0 || count == -Int(EAGAIN),
        waitUntilReady(asker, for: writable, milliseconds: Self.readerPatience).first & writable != 0
      else { return }
    }
  }

  private func write(_ text: String) { log.write(.warning, "WSGI0650: \(text)") }
}
