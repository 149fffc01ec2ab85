import Platform
import PythonRuntime
import WSGICore
import WSGIMeasurement

// httpd's scoreboard as Python sees it.

extension ServerMetrics {
  /// The dict of `server_metrics()`. Attached.
  func makeDict() throws(Raised) -> PyRef {
    let now = Clock.epochMicroseconds()
    let made = try PyRef.dict()
    let dict = DictWriter(dict: made.object)
    try dict.set("server_limit", serverLimit)
    try dict.set("thread_limit", threadLimit)
    try dict.set("running_generation", generation)
    try dict.set("restart_time", Clock.seconds(microseconds: restartTime))
    try dict.set("current_time", Clock.seconds(microseconds: now))
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

extension ServerMetrics.WorkerScore {
  fileprivate func makeDict(_ index: Int) throws(Raised) -> PyRef {
    let made = try PyRef.dict()
    let dict = DictWriter(dict: made.object)
    try dict.set("thread_num", index)
    try dict.set("generation", generation)
    try dict.set("status", try PyRef.string(status))
    try dict.set("access_count", accessCount)
    try dict.set("bytes_served", bytesServed)
    try dict.set("start_time", Clock.seconds(microseconds: startTime))
    try dict.set("stop_time", Clock.seconds(microseconds: stopTime))
    try dict.set("last_used", Clock.seconds(microseconds: lastUsed))
    try dict.set("client", try PyRef(latin1: client))
    try dict.set("request", try PyRef(latin1: request))
    try dict.set("vhost", try PyRef(latin1: vhost))
    return made
  }
}

extension Adapter {
  /// server_metrics(). The host, which may have to ask another process, is asked without the GIL.
  func serverMetrics(_ gil: borrowing GILToken) throws(Raised) -> PyRef {
    guard settings.serverMetrics else { return .none() }
    guard let bytes = Python.detached(gil, { host.serverMetrics() }) else { return .none() }
    let metrics: ServerMetrics
    do throws(FlatFailure) {
      metrics = try ServerMetrics(decoding: bytes)
    } catch {
      host.log(.error, "WSGI0512: Cannot decode the server's metrics: \(error).")
      return .none()
    }
    return try metrics.makeDict()
  }
}
