import WSGICore

/// httpd's scoreboard, as a host of the engine gives it.
///
/// The host writes pairs, in this order; numbers are decimal, times are microseconds since the epoch (0: none), words are
/// separated by one space:
///
///     server   server_limit thread_limit running_generation restart_time
///     process  pid generation quiescing        one for each process slot, empty ones included; quiescing: 0 or 1
///     worker   status generation access_count bytes_served start_time stop_time last_used, a tab, client, a tab, vhost, a
///              tab, request                     one for each thread slot, after the process that it belongs to
///
/// `status` is one of httpd's characters (`.` dead, `_` ready, `S R W K L D C G I`). A worker whose value is empty is a slot
/// that has never been used.
public struct ServerMetrics: Equatable {
  public struct Process: Equatable {
    public var pid = 0
    public var generation = 0
    public var isQuiescing = false
    public var workers: [WorkerScore] = []
  }

  public struct WorkerScore: Equatable {
    public var status = "."
    public var generation = 0
    public var accessCount = 0
    public var bytesServed = 0
    /// Microseconds since the epoch.
    public var startTime: Int64 = 0
    public var stopTime: Int64 = 0
    public var lastUsed: Int64 = 0
    public var client: [UInt8] = []
    public var vhost: [UInt8] = []
    public var request: [UInt8] = []
  }

  public private(set) var serverLimit = 0
  public private(set) var threadLimit = 0
  public private(set) var generation = 0
  public private(set) var restartTime: Int64 = 0
  public private(set) var processes: [Process] = []

  /// Decodes a host's pairs.
  public init(decoding bytes: [UInt8]) throws(FlatFailure) {
    let result = bytes.withUnsafeBytes { buffer in Result { () throws(FlatFailure) in try ServerMetrics(decoding: buffer) } }
    self = try result.get()
  }

  /// Decodes a host's pairs; unknown keys are passed over.
  init(decoding bytes: UnsafeRawBufferPointer) throws(FlatFailure) {
    var reader = FlatReader(bytes)
    for _ in 0..<(try reader.readUInt32()) {
      let pair = try reader.readPair()
      let value = pair.value ?? UnsafeRawBufferPointer(start: nil, count: 0)
      if pair.key.elementsEqual("worker".utf8) {
        guard !processes.isEmpty else { throw .trailingBytes }
        processes[processes.count - 1].workers.append(WorkerScore(value))
      } else if pair.key.elementsEqual("process".utf8) {
        let words = ServerMetrics.words(value)
        processes.append(
          Process(pid: number(words, 0), generation: number(words, 1), isQuiescing: number(words, 2) != 0))
      } else if pair.key.elementsEqual("server".utf8) {
        let words = ServerMetrics.words(value)
        serverLimit = number(words, 0)
        threadLimit = number(words, 1)
        generation = number(words, 2)
        restartTime = Int64(number(words, 3))
      }
    }
  }

  fileprivate static func words(_ text: some Collection<UInt8>) -> [String] {
    text.split(separator: UInt8(ascii: " ")).map { String(decoding: $0, as: UTF8.self) }
  }
}

private func number(_ words: [String], _ index: Int) -> Int { index < words.count ? Int(words[index]) ?? 0 : 0 }

extension ServerMetrics.WorkerScore {
  fileprivate init(_ value: UnsafeRawBufferPointer) {
    // A request line may hold tabs itself; it is the last part.
    let parts = value.split(separator: UInt8(ascii: "\t"), maxSplits: 3, omittingEmptySubsequences: false)
    let words = ServerMetrics.words(parts.first ?? value[...])
    func text(_ index: Int) -> [UInt8] { index < parts.count ? Array(parts[index]) : [] }
    status = words.first ?? "."
    generation = number(words, 1)
    accessCount = number(words, 2)
    bytesServed = number(words, 3)
    startTime = Int64(number(words, 4))
    stopTime = Int64(number(words, 5))
    lastUsed = Int64(number(words, 6))
    client = text(1)
    vhost = text(2)
    request = text(3)
  }
}
