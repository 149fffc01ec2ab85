import Glibc
import Platform
import PythonRuntime
import WSGICore
import WSGIMeasurement

// The events of a request, and its account.

extension RequestRunner {
  /// Publishes request_started; gives the callable that a subscriber sets in place of the application.
  func publishStarted(_ request: RequestHead, _ application: PyObj, _ environ: PyObj, _ started: Int64) -> PyRef? {
    do throws(Raised) {
      let payload = try makePayload()
      let dict = payload.object
      try setProcess(dict)
      // A request is queued again when the process that took it turned it down, for its script had changed.
      try dict.setItem("daemon_connects", Int(request.attempt))
      try dict.setItem("daemon_restarts", max(0, Int(request.attempt) - 1))
      try setTimes(request, dict)
      try dict.setItem("application_start", Clock.seconds(microseconds: started))
      try dict.setItem("application_object", application)
      try dict.setItem("callable_object", try PyRef.utf8(request.callable))
      try dict.setItem("request_environ", environ)
      contents.publish("request_started", dict)
      guard let wanted = try dict.item("application_object"), wanted != application else { return nil }
      return wanted.retained()
    } catch {
      contents.logException("WSGI0104: Cannot publish event 'request_started'")
      return nil
    }
  }

  func publishResponseStarted(_ status: PyObj, _ headers: PyObj, _ excInfo: PyObj?) {
    publish("response_started") { dict throws(Raised) in
      try dict.setItem("response_status", status)
      try dict.setItem("response_headers", headers)
      try dict.setItem("exception_info", excInfo ?? .none)
    }
  }

  func publishException(_ exception: PyObj) {
    guard contents.hasEventSubscribers else { return }
    publish("request_exception") { dict throws(Raised) in try dict.setItem("exception_info", try PyRef(excInfoOf: exception)) }
  }

  func publishFinished(_ request: RequestHead, _ outcome: RequestOutcome) {
    guard contents.hasEventSubscribers else { return }
    publish("request_finished") { dict throws(Raised) in
      try setProcess(dict)
      try setTimes(request, dict)
      let wait = meter.gilWait
      let seconds = Clock.seconds(microseconds: max(0, meter.applicationFinish &- meter.applicationStart))
      try dict.setItem("input_reads", traffic.inputReads)
      try dict.setItem("input_length", traffic.inputBytes)
      try dict.setItem("output_length", traffic.outputBytes)
      try dict.setItem("output_writes", traffic.outputWrites)
      try dict.setItem("gil_wait_count", wait.count)
      try dict.setItem("input_time", Double(meter.inputTime) / 1e9)
      try dict.setItem("output_time", Double(meter.outputTime) / 1e9)
      try dict.setItem("application_finish", Clock.seconds(microseconds: meter.applicationFinish))
      try dict.setItem("application_time", seconds)
      try dict.setItem("gil_wait_time", Double(wait.time) / 1e9)
      try dict.setItem("status", Int(outcome.status))
      guard let processor = meter.processor else { return }
      try dict.setItem("cpu_user_time", Double(processor.user) / 1e9)
      try dict.setItem("cpu_system_time", Double(processor.system) / 1e9)
      try dict.setItem("cpu_time", min(Double(processor.total) / 1e9, seconds))
    }
  }

  private func publish(_ event: StaticString, _ fill: (PyObj) throws(Raised) -> Void) {
    do throws(Raised) {
      let payload = try makePayload()
      try fill(payload.object)
      contents.publish(event, payload.object)
    } catch { contents.logException("WSGI0104: Cannot publish event '\(event)'") }
  }

  /// The fields common to all events of a request.
  private func makePayload() throws(Raised) -> PyRef {
    let payload = try PyRef.dict()
    if let id = requestID.object { try payload.object.setItem("request_id", id) }
    if let data = requestData.object { try payload.object.setItem("request_data", data) }
    return payload
  }

  private func setProcess(_ dict: PyObj) throws(Raised) {
    try dict.setItem("thread_id", threadOrdinal)
    let server = value(of: "mod_wsgi.server_pid").flatMap { Int(String(decoding: $0, as: UTF8.self)) }
    try dict.setItem("server_pid", server ?? Int(getpid()))
  }

  private func setTimes(_ request: RequestHead, _ dict: PyObj) throws(Raised) {
    let isDaemon = adapter.settings.isDaemon
    try dict.setItem("request_start", Clock.seconds(microseconds: request.requestStart))
    try dict.setItem("queue_start", isDaemon ? Clock.seconds(microseconds: request.queueStart) : 0)
    try dict.setItem("daemon_start", isDaemon ? Clock.seconds(microseconds: takenUp) : 0)
  }

  /// Adds a measured request that has ended to the thread's account, and says where it was slow. Not attached.
  func account(for request: RequestHead, _ outcome: RequestOutcome) {
    guard outcome.end != .stale else { return meter.abandon() }
    let record = meter.end(request, status: outcome.status, traffic: traffic)
    guard let record, let slow = adapter.slowRequests else { return }
    slow.add(record)
    exchange.log(.warning, "WSGI0511: " + record.summary(threshold: slow.threshold))
  }
}
