import Glibc
import Platform
import PythonRuntime
import WSGIMeasurement

extension RequestPhase {
  /// Its name in the dict's keys.
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
    let dict = made.object
    try dict.setItem("pid", Int(getpid()))
    // Where the period really began; mod_wsgi 6.1.1 gives its end here.
    try dict.setItem("start_time", Clock.seconds(microseconds: start))
    try dict.setItem("stop_time", Clock.seconds(microseconds: stop))
    try dict.setItem("sample_period", seconds)
    for (name, value) in [
      ("cpu_user", userUtilization), ("cpu_system", systemUtilization), ("cpu", userUtilization + systemUtilization),
    ] {
      try dict.setItem(named: name + "_utilization", value)
      try dict.setItem(named: name + "_time", value)  // deprecated, and a share here as well
    }
    try dict.setItem("memory_rss", memory.resident)
    try dict.setItem("memory_max_rss", memory.largest)
    try dict.setItem("request_threads_maximum", threadsMaximum)
    try dict.setItem("request_threads_started", threadsStarted)
    try dict.setItem("request_threads_active", threadsActive)
    try dict.setItem("capacity_utilization", capacityUtilization)
    try dict.setItem("request_count", requests)
    try dict.setItem("request_throughput", throughput)
    for (index, count) in statusClasses.enumerated() { try dict.setItem(named: "status_\(index + 1)xx", count) }
    try dict.setItem("input_bytes", traffic.inputBytes)
    try dict.setItem("input_reads", traffic.inputReads)
    try dict.setItem("output_bytes", traffic.outputBytes)
    try dict.setItem("output_writes", traffic.outputWrites)
    for phase in RequestPhase.allCases { try write(phase, to: dict, isDaemon: isDaemon) }
    try dict.setItem("gil_wait_count", gilWaits)
    let completed = slots.map { $0.ended }
    try dict.setItem("request_threads_completed", completed)
    try dict.setItem("request_threads_buckets", completed)  // deprecated
    try dict.setItem("request_threads_busy_time", slots.map { Double($0.busy) / 1e9 })
    try dict.setItem("request_threads_cpu_time", slots.map { Double($0.processor) / 1e9 })
    try dict.setItem("request_threads_current_elapsed", slots.map { Double($0.elapsed) / 1e9 })
    try dict.setItem("request_threads_max_duration", slots.map { Double($0.longest) / 1e9 })
    return made
  }

  private func write(_ phase: RequestPhase, to dict: PyObj, isDaemon: Bool) throws(Raised) {
    let times = phases[phase.rawValue]
    let applies = isDaemon || !phase.isDaemonOnly
    try dict.setItem(named: phase.key, applies ? mean(phase) : nil)
    try dict.setItem(named: phase.key + "_min_us", applies ? times.smallest.map { $0 / 1000 } : nil)
    try dict.setItem(named: phase.key + "_max_us", applies ? times.largest.map { $0 / 1000 } : nil)
    let none = [UInt64](repeating: 0, count: times.buckets.count)
    try dict.setItem(named: phase.key + "_buckets", applies ? times.buckets : none)
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
    let dict = made.object
    try dict.setItem("pid", Int(getpid()))
    try dict.setItem("request_busy_time", accounts.reduce(0) { $0 + $1.busySeconds(now) })
    try dict.setItem("request_count", accounting.endedRequests)
    try dict.setItem("memory_rss", memory.resident)
    try dict.setItem("memory_max_rss", memory.largest)
    try dict.setItem("cpu_user_time", Double(processor.user) / 1e9)
    try dict.setItem("cpu_system_time", Double(processor.system) / 1e9)
    try dict.setItem("cpu_time", Double(processor.total) / 1e9)
    try dict.setItem("restart_time", Clock.seconds(microseconds: accounting.processStart))
    try dict.setItem("current_time", Clock.seconds(microseconds: now))
    try dict.setItem("running_time", Int(clamping: (now &- accounting.processStart) / 1_000_000))
    try dict.setItem("request_threads", accounts.count)
    try dict.setItem("active_requests", running.count)
    let threads = try PyRef.list()
    for account in accounts {
      let thread = try PyRef.dict()
      try thread.object.setItem("thread_id", account.ordinal)
      try thread.object.setItem("request_count", account.endedRequests)
      try threads.object.append(thread)
    }
    try dict.setItem("threads", threads)
    return made
  }
}
