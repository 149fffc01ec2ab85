import Glibc
import Platform
import PythonRuntime
import WSGIMeasurement

/// Fills a Python dict. Attached.
struct DictWriter {
  let dict: PyObj

  func set(_ key: String, _ value: PyObj) throws(Raised) {
    let name = try PyRef.string(key)
    try dict.setItem(name.object, value)
  }

  func set(_ key: String, _ value: borrowing PyRef) throws(Raised) { try set(key, value.object) }
  func set(_ key: String, _ value: Int) throws(Raised) { try set(key, try PyRef.int(value)) }
  func set(_ key: String, _ value: UInt64) throws(Raised) { try set(key, try PyRef.int(Int(clamping: value))) }
  func set(_ key: String, _ value: Double) throws(Raised) { try set(key, try PyRef.float(value)) }
  func set(_ key: String, _ value: Bool) throws(Raised) { try set(key, value ? .true : .false) }

  func set(_ key: String, _ values: [UInt64]) throws(Raised) {
    let list = try PyRef.list()
    for value in values { try list.object.append(try PyRef.int(Int(clamping: value))) }
    try set(key, list)
  }

  func set(_ key: String, _ values: [Double]) throws(Raised) {
    let list = try PyRef.list()
    for value in values { try list.object.append(try PyRef.float(value)) }
    try set(key, list)
  }
}

extension RequestPhase {
  /// How the dict's keys call it.
  var key: String {
    switch self {
    case .server: "server_time"
    case .queue: "queue_time"
    case .daemon: "daemon_time"
    case .application: "application_time"
    case .request: "request_time"
    case .gilWait: "gil_wait_time"
    case .inputRead: "input_read_time"
    case .outputWrite: "output_write_time"
    }
  }
}

extension MetricsSample {
  /// The dict of `request_metrics()`. Attached.
  func makeDict(isDaemon: Bool) throws(Raised) -> PyRef {
    let made = try PyRef.dict()
    let dict = DictWriter(dict: made.object)
    try dict.set("pid", Int(getpid()))
    // Where the period really began; mod_wsgi 6.1.1 gives its end here.
    try dict.set("start_time", Clock.seconds(microseconds: start))
    try dict.set("stop_time", Clock.seconds(microseconds: stop))
    try dict.set("sample_period", seconds)
    for (name, value) in [
      ("cpu_user", userUtilization), ("cpu_system", systemUtilization), ("cpu", userUtilization + systemUtilization),
    ] {
      try dict.set(name + "_utilization", value)
      try dict.set(name + "_time", value)  // deprecated, and a share here as well
    }
    try dict.set("memory_rss", memory.resident)
    try dict.set("memory_max_rss", memory.largest)
    try dict.set("request_threads_maximum", threadsMaximum)
    try dict.set("request_threads_started", threadsStarted)
    try dict.set("request_threads_active", threadsActive)
    try dict.set("capacity_utilization", capacityUtilization)
    try dict.set("request_count", requests)
    try dict.set("request_throughput", throughput)
    for (index, count) in statusClasses.enumerated() { try dict.set("status_\(index + 1)xx", count) }
    try dict.set("input_bytes", inputBytes)
    try dict.set("input_reads", inputReads)
    try dict.set("output_bytes", outputBytes)
    try dict.set("output_writes", outputWrites)
    for phase in RequestPhase.allCases { try write(phase, to: dict, isDaemon: isDaemon) }
    try dict.set("gil_wait_count", gilWaits)
    let completed = slots.map { $0.ended }
    try dict.set("request_threads_completed", completed)
    try dict.set("request_threads_buckets", completed)  // deprecated
    try dict.set("request_threads_busy_time", slots.map { Double($0.busy) / 1e9 })
    try dict.set("request_threads_cpu_time", slots.map { Double($0.processor) / 1e9 })
    try dict.set("request_threads_current_elapsed", slots.map { Double($0.elapsed) / 1e9 })
    try dict.set("request_threads_max_duration", slots.map { Double($0.longest) / 1e9 })
    return made
  }

  private func write(_ phase: RequestPhase, to dict: DictWriter, isDaemon: Bool) throws(Raised) {
    let times = phases[phase.rawValue]
    let applies = isDaemon || !phase.isDaemonOnly
    if applies { try dict.set(phase.key, mean(phase)) } else { try dict.set(phase.key, .none) }
    for (name, value) in [("_min_us", times.smallest), ("_max_us", times.largest)] {
      if applies, let value { try dict.set(phase.key + name, value / 1000) } else { try dict.set(phase.key + name, .none) }
    }
    let none = [UInt64](repeating: 0, count: times.buckets.count)
    try dict.set(phase.key + "_buckets", applies ? times.buckets : none)
  }
}

extension Adapter {
  /// start_recording_metrics(): requests are measured from now on, in every interpreter of the process.
  func startRecording() {
    sampler.begin()
    accounting.add(.recording)
  }

  /// Whether applications get metrics: something is recorded, and no telemetry service takes the figures.
  private var givesMetrics: Bool { accounting.interest.contains(.recording) && !hasTelemetry }

  /// request_metrics().
  func requestMetrics(_ gil: borrowing GILToken) throws(Raised) -> PyRef {
    guard givesMetrics, let sample = sampler.sample() else { return .none() }
    return try sample.makeDict(isDaemon: accounting.isDaemon)
  }

  /// process_metrics().
  func processMetrics(_ gil: borrowing GILToken) throws(Raised) -> PyRef {
    guard givesMetrics else { return .none() }
    let accounts = accounting.all
    let now = Clock.epochMicroseconds()
    let processor = ProcessorTime.process()
    let memory = ProcessMemory.now()
    let made = try PyRef.dict()
    let dict = DictWriter(dict: made.object)
    try dict.set("pid", Int(getpid()))
    try dict.set("request_busy_time", accounts.reduce(0) { $0 + $1.busySeconds(now) })
    try dict.set("request_count", accounting.endedRequests)
    try dict.set("memory_rss", memory.resident)
    try dict.set("memory_max_rss", memory.largest)
    try dict.set("cpu_user_time", Double(processor.user) / 1e9)
    try dict.set("cpu_system_time", Double(processor.system) / 1e9)
    try dict.set("cpu_time", Double(processor.total) / 1e9)
    try dict.set("restart_time", Clock.seconds(microseconds: accounting.processStart))
    try dict.set("current_time", Clock.seconds(microseconds: now))
    try dict.set("running_time", Int(clamping: (now &- accounting.processStart) / 1_000_000))
    try dict.set("request_threads", accounts.count)
    try dict.set("active_requests", running.count)
    let threads = try PyRef.list()
    for account in accounts {
      let thread = try PyRef.dict()
      let entry = DictWriter(dict: thread.object)
      try entry.set("thread_id", account.ordinal)
      try entry.set("request_count", account.endedRequests)
      try threads.object.append(thread)
    }
    try dict.set("threads", threads)
    return made
  }
}
