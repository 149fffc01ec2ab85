import Platform
import PythonRuntime
import WSGICore

/// httpd's scoreboard as Python sees it, made of the pairs that a host of the engine writes.
///
/// They come in this order; numbers are decimal, times are microseconds since the epoch (0: none), words are separated by one
/// space:
///
///     server   server_limit thread_limit running_generation restart_time
///     process  pid generation quiescing        one for each process slot, empty ones included; quiescing: 0 or 1
///     worker   status generation access_count bytes_served start_time stop_time last_used, a tab, client, a tab, vhost, a
///              tab, request                     one for each thread slot, after the process that it belongs to
///
/// `status` is one of httpd's characters (`.` dead, `_` ready, `S R W K L D C G I`). A worker whose value is empty is a slot
/// that has never been used.
enum ServerMetrics {
  /// The words of a value; those that are missing are 0.
  private struct Words {
    private let words: [String]

    init(_ text: some Collection<UInt8>) {
      words = text.split(separator: UInt8(ascii: " ")).map { String(decoding: $0, as: UTF8.self) }
    }

    var status: String { words.first ?? "." }
    subscript(index: Int) -> Int { index < words.count ? Int(words[index]) ?? 0 : 0 }
    func seconds(_ index: Int) -> Double { Clock.seconds(microseconds: Int64(self[index])) }
  }

  /// Fills the dict of `server_metrics()`; unknown keys are passed over. Attached.
  static func fill(_ metrics: PyObj, from bytes: UnsafeRawBufferPointer) throws {
    let processes = try PyRef.list()
    // Those of the process that came last, which keeps them.
    var workers: PyObj?
    var reader = FlatReader(bytes)
    for _ in 0..<(try reader.readUInt32()) {
      let pair = try reader.readPair()
      let value = pair.value ?? UnsafeRawBufferPointer(start: nil, count: 0)
      if pair.key.elementsEqual("worker".utf8) {
        guard let workers else { throw FlatFailure.trailingBytes }
        try workers.append(try worker(value, number: workers.listCount))
      } else if pair.key.elementsEqual("process".utf8) {
        let list = try PyRef.list()
        try processes.object.append(try process(Words(value), number: processes.object.listCount, workers: list.object))
        workers = list.object
      } else if pair.key.elementsEqual("server".utf8) {
        try set(server: Words(value), in: metrics)
      }
    }
    try metrics.setItem("processes", processes)
  }

  private static func set(server words: Words, in metrics: PyObj) throws(Raised) {
    let now = Clock.epochMicroseconds()
    try metrics.setItem("server_limit", words[0])
    try metrics.setItem("thread_limit", words[1])
    try metrics.setItem("running_generation", words[2])
    try metrics.setItem("restart_time", words.seconds(3))
    try metrics.setItem("current_time", Clock.seconds(microseconds: now))
    try metrics.setItem("running_time", Int(max(0, now &- Int64(words[3])) / 1_000_000))
  }

  private static func process(_ words: Words, number: Int, workers: PyObj) throws(Raised) -> PyRef {
    let process = try PyRef.dict()
    let dict = process.object
    try dict.setItem("process_num", number)
    try dict.setItem("pid", words[0])
    try dict.setItem("generation", words[1])
    try dict.setItem("quiescing", words[2] != 0)
    try dict.setItem("workers", workers)
    return process
  }

  private static func worker(_ value: UnsafeRawBufferPointer, number: Int) throws(Raised) -> PyRef {
    // A request line may hold tabs itself; it is the last part.
    let parts = value.split(separator: UInt8(ascii: "\t"), maxSplits: 3, omittingEmptySubsequences: false)
    let words = Words(parts.first ?? value[...])
    let worker = try PyRef.dict()
    let dict = worker.object
    try dict.setItem("thread_num", number)
    try dict.setItem("generation", words[1])
    try dict.setItem("status", words.status)
    try dict.setItem("access_count", words[2])
    try dict.setItem("bytes_served", words[3])
    try dict.setItem("start_time", words.seconds(4))
    try dict.setItem("stop_time", words.seconds(5))
    try dict.setItem("last_used", words.seconds(6))
    for (key, index) in [("client", 1), ("request", 3), ("vhost", 2)] as [(StaticString, Int)] {
      try dict.setItem(key, try PyRef.latin1(index < parts.count ? Array(parts[index]) : []))
    }
    return worker
  }
}

extension Adapter {
  /// server_metrics(). The host, which may have to ask another process, is asked without the GIL.
  func serverMetrics(_ gil: borrowing GILToken) throws(Raised) -> PyRef {
    guard settings.serverMetrics, let bytes = Python.detached(gil, { host.serverMetrics() }) else { return .none() }
    let metrics = try PyRef.dict()
    let dict = metrics.object
    do { try bytes.withUnsafeBytes { try ServerMetrics.fill(dict, from: $0) } } catch {
      if let raised = error as? Raised { throw raised }
      host.log(.error, "WSGI0512: Cannot decode the server's metrics: \(error).")
      return .none()
    }
    return metrics
  }
}
