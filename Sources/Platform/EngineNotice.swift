import Glibc
import Synchronization

/// The notice of a process group's engines: which Python they run, and how the last load of a script went. It stands at the
/// end of the memory that they share (`wsgi_host.board`), where httpd's children read it for the status page.
///
/// A tenant can write there whatever it wants: it is shown, as text, and nothing of the server depends on it. Processes that
/// write at the same time may mix up their texts.
public struct EngineNotice: @unchecked Sendable {
  /// In bytes.
  public static let size = 512
  private static let firstOfText = 5
  private static let textLimit = size - firstOfText * 8

  // SAFETY: shared memory that outlives its users; only reached through atomics. The Python, then of the load: its outcome with
  // the length of the text, which is 0 while the rest is written, its time, its process, its script, and the text.
  private let words: UnsafeMutablePointer<SharedWord>

  /// `board`: memory of `size` bytes, the last of which are the notice's.
  public init(board: UnsafeMutableRawPointer, size: Int) {
    words = (board + (size - EngineNotice.size)).assumingMemoryBound(to: SharedWord.self)
  }

  /// How the load of a script went.
  public struct Load: Equatable, Sendable {
    public enum Outcome: UInt64, Sendable {
      case loaded = 1
      case failed
      /// The code that the process had goes on serving.
      case failedAndKept
    }

    public var outcome: Outcome
    /// Microseconds since the epoch.
    public var time: Int64
    /// The process in which it was loaded.
    public var pid: Int32
    /// Why it failed.
    public var text: String
  }

  // MARK: in a process with an engine

  /// `python`: "3.11.2".
  public func announce(python: String) {
    let numbers = python.split(separator: ".").prefix(3).map { UInt64($0.prefix { $0.isNumber }) ?? 0 }
    words.pointee.store(numbers.reduce(0) { $0 << 8 | min($1, 0xFF) } | UInt64(numbers.count) << 24, ordering: .relaxed)
  }

  /// A failed load of another script stands until that script loads, or yet another fails.
  public func noteLoaded(script: [UInt8]) {
    if let last = Load.Outcome(rawValue: words[1].load(ordering: .acquiring) & 0xFF), last != .loaded,
      words[4].load(ordering: .relaxed) != EngineNotice.name(script)
    {
      return
    }
    write(.loaded, pid: getpid(), script, "")
  }

  public func noteFailed(script: [UInt8], _ text: String) {
    var pid = getpid()
    if words[1].load(ordering: .acquiring) & 0xFF == Load.Outcome.failed.rawValue,
      words[4].load(ordering: .relaxed) == EngineNotice.name(script)
    {
      // A process that serves without the script stays the one to name: this may be another that only tries the script.
      let earlier = Int32(truncatingIfNeeded: words[3].load(ordering: .relaxed))
      if earlier > 0, kill(earlier, 0) == 0 { pid = earlier }
    }
    write(.failed, pid: pid, script, text)
  }

  /// The load that failed last in this process leaves its earlier code in place.
  public func noteKept(script: [UInt8]) {
    let header = words[1].load(ordering: .acquiring)
    guard header & 0xFF == Load.Outcome.failed.rawValue, words[4].load(ordering: .relaxed) == EngineNotice.name(script) else {
      return
    }
    words[1].store(header & ~0xFF | Load.Outcome.failedAndKept.rawValue, ordering: .releasing)
  }

  private func write(_ outcome: Load.Outcome, pid: Int32, _ script: [UInt8], _ text: String) {
    words[1].store(0, ordering: .relaxed)
    atomicMemoryFence(ordering: .releasing)
    words[2].store(UInt64(clamping: Clock.epochMicroseconds()), ordering: .relaxed)
    words[3].store(UInt64(clamping: pid), ordering: .relaxed)
    words[4].store(EngineNotice.name(script), ordering: .relaxed)
    let bytes = Array(text.utf8.prefix(EngineNotice.textLimit))
    for first in stride(from: 0, to: bytes.count, by: 8) {
      let word = bytes[first..<min(first + 8, bytes.count)].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      words[EngineNotice.firstOfText + first / 8].store(word, ordering: .relaxed)
    }
    words[1].store(UInt64(bytes.count) << 8 | outcome.rawValue, ordering: .releasing)
  }

  /// FNV-1a.
  private static func name(_ script: [UInt8]) -> UInt64 {
    script.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
  }

  // MARK: in an httpd child

  /// nil: no Python has started.
  public var python: String? {
    let version = words.pointee.load(ordering: .relaxed)
    return version >> 24 == 3 ? "\(version >> 16 & 0xFF).\(version >> 8 & 0xFF).\(version & 0xFF)" : nil
  }

  /// nil: no script has been loaded, or one is being noted now.
  public var lastLoad: Load? {
    let header = words[1].load(ordering: .acquiring)
    guard let outcome = Load.Outcome(rawValue: header & 0xFF) else { return nil }
    let length = min(Int(clamping: header >> 8), EngineNotice.textLimit)
    let bytes = (0..<length).map { index in
      UInt8(truncatingIfNeeded: words[EngineNotice.firstOfText + index / 8].load(ordering: .relaxed) >> (index % 8 * 8))
    }
    let load = Load(
      outcome: outcome, time: Int64(clamping: words[2].load(ordering: .relaxed)),
      pid: Int32(truncatingIfNeeded: words[3].load(ordering: .relaxed)), text: String(decoding: bytes, as: UTF8.self))
    atomicMemoryFence(ordering: .acquiring)
    return words[1].load(ordering: .relaxed) == header ? load : nil
  }
}
