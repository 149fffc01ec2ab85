import PythonRuntime
import WSGICore

/// httpd's scoreboard, as a host gives it (`ProcessHost.serverMetrics`) and as `server_metrics()` shows it.
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
struct ServerMetrics: Equatable {
  struct Process: Equatable {
    var pid = 0
    var generation = 0
    var isQuiescing = false
    var workers: [Worker] = []
  }

  struct Worker: Equatable {
    var status = "."
    var generation = 0
    var accessCount = 0
    var bytesServed = 0
    /// Microseconds since the epoch.
    var startTime: Int64 = 0
    var stopTime: Int64 = 0
    var lastUsed: Int64 = 0
    var client: [UInt8] = []
    var vhost: [UInt8] = []
    var request: [UInt8] = []
  }

  private(set) var serverLimit = 0
  private(set) var threadLimit = 0
  private(set) var generation = 0
  private(set) var restartTime: Int64 = 0
  private(set) var processes: [Process] = []

  /// Decodes a host's pairs.
  init(decoding bytes: [UInt8]) throws(FlatFailure) {
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
        processes[processes.count - 1].workers.append(Worker(value))
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

extension ServerMetrics.Worker {
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

// MARK: - as Python sees it

extension ServerMetrics {
  /// The dict of `server_metrics()`. Attached.
  func makeDict() throws(Raised) -> PyRef {
    let now = Clock.epoch()
    let made = try PyRef.dict()
    let dict = DictWriter(dict: made.object)
    try dict.set("server_limit", serverLimit)
    try dict.set("thread_limit", threadLimit)
    try dict.set("running_generation", generation)
    try dict.set("restart_time", Clock.seconds(restartTime))
    try dict.set("current_time", Clock.seconds(now))
    try dict.set("running_time", Int(clamping: max(0, now &- restartTime) / 1_000_000))
    let list = try PyRef.list()
    for (index, process) in processes.enumerated() { try list.object.append(try process.makeDict(index)) }
    try dict.set("processes", list)
    return made
  }
}

extension ServerMetrics.Process {
  fileprivate func makeDict(_ index: Int) throws(Raised) -> PyRef {
    let made = try PyRef.dict()
    let dict = DictWriter(dict: made.object)
    try dict.set("process_num", index)
    try dict.set("pid", pid)
    try dict.set("generation", generation)
    try dict.set("quiescing", isQuiescing)
    let list = try PyRef.list()
    for (index, worker) in workers.enumerated() { try list.object.append(try worker.makeDict(index)) }
    try dict.set("workers", list)
    return made
  }
}

extension ServerMetrics.Worker {
  fileprivate func makeDict(_ index: Int) throws(Raised) -> PyRef {
    let made = try PyRef.dict()
    let dict = DictWriter(dict: made.object)
    try dict.set("thread_num", index)
    try dict.set("generation", generation)
    try dict.set("status", try PyRef.string(status))
    try dict.set("access_count", accessCount)
    try dict.set("bytes_served", bytesServed)
    try dict.set("start_time", Clock.seconds(startTime))
    try dict.set("stop_time", Clock.seconds(stopTime))
    try dict.set("last_used", Clock.seconds(lastUsed))
    try dict.set("client", try PyRef(latin1: client))
    try dict.set("request", try PyRef(latin1: request))
    try dict.set("vhost", try PyRef(latin1: vhost))
    return made
  }
}

extension Adapter {
  /// server_metrics(). Attached; the host, which may have to ask another process, is asked without the GIL.
  func serverMetrics() throws(Raised) -> PyRef {
    guard settings.flag(EngineSettings.serverMetrics) else { return .none() }
    guard let bytes = Python.detached({ host.serverMetrics() }) else { return .none() }
    let metrics: ServerMetrics
    do throws(FlatFailure) {
      metrics = try ServerMetrics(decoding: bytes)
    } catch {
      host.log(.error, "WSGI0512: The server's metrics cannot be read: \(error).")
      return .none()
    }
    return try metrics.makeDict()
  }
}
