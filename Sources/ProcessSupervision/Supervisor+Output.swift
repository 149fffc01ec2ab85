import CPosix

extension Supervisor {
  /// Of so many ended workers of each group the output is kept for those whom it was passed on to.
  private static let mostLeftovers = 16

  /// Relays what came through a worker's standard output and error, to the log of its group's server.
  func relay(_ output: WorkerOutput) {
    let lines = output.readLines()
    if output.descriptor < 0 { expectEnd(of: output) }
    if !lines.isEmpty { reportSuppressed(output) }
    for line in lines { host.log(SupervisorLog(group: output.group, level: SupervisorLog.error, text: line)) }
  }

  /// The worker has ended; processes that it started may still hold its output.
  func leave(_ output: WorkerOutput) {
    relay(output)
    for line in output.finishLine() { host.log(SupervisorLog(group: output.group, level: SupervisorLog.error, text: line)) }
    reportSuppressed(output)
    guard output.descriptor >= 0 else { return }
    leftovers.append(output)
    guard leftovers.count(where: { $0.group == output.group }) > Self.mostLeftovers,
      let oldest = leftovers.firstIndex(where: { $0.group == output.group })
    else { return }
    giveUp(leftovers.remove(at: oldest))
  }

  /// Whoever still writes there is told so by the kernel.
  func giveUp(_ output: WorkerOutput) {
    output.closeDescriptor()
    expectEnd(of: output)
  }

  /// Its relay has nothing left to do.
  private func expectEnd(of output: WorkerOutput) {
    if output.relay > 0, !unattended.contains(output.relay) { unattended.append(output.relay) }
  }

  /// These may take their time, for ever if a tenant sees to that: nothing waits for them.
  func reapUnattended() {
    var end = wsgi_posix_end()
    unattended.removeAll { wsgi_posix_reap($0, &end) != 0 }
  }

  /// Relays a record that a worker sent.
  func relay(_ record: ControlLog, from worker: Worker) {
    guard worker.output.mayPass() else { return }
    reportSuppressed(worker.output)
    // A worker is no authority on emergencies.
    let level = min(max(record.level, SupervisorLog.alert), 15)
    let text = record.text.map { $0 == 0 ? 0x20 : $0 }
    host.log(SupervisorLog(group: worker.group, level: level, file: record.file, line: record.line, text: text))
  }

  func reportSuppressed(_ output: WorkerOutput) {
    let suppressed = output.takeSuppressed()
    guard suppressed > 0, groups.indices.contains(output.group) else { return }
    let group = groups[output.group]
    log(
      group, SupervisorLog.warning,
      "WSGI0458: \(suppressed) lines of process \(output.pid) of process group '\(group.plan.name)' are missing here: it wrote "
        + "more than \(RateLimit.perSecond) a second outside of requests.")
  }
}
