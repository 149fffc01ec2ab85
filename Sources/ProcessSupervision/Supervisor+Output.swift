import CPosix
import Platform
import WSGICore

extension Supervisor {
  /// Ended workers of a group whose output is kept for processes that inherited it.
  private static let mostLeftovers = 16

  /// Relays what came through a worker's standard output and error, to the log of its group's server.
  func relay(_ output: WorkerOutput) {
    let now = Clock.monotonicMicroseconds()
    for line in output.readLines() where output.group.mayLog(bytes: line.count, of: output, now: now) {
      output.group.plan.log(LogRecord(level: .error, text: line))
    }
    if output.isAtEnd { giveUp(output) }
  }

  /// The worker has ended; processes that it started may still hold its output.
  func leave(_ output: WorkerOutput) {
    relay(output)
    for line in output.finishLine() { output.group.plan.log(LogRecord(level: .error, text: line)) }
    guard output.descriptor >= 0 else { return }
    output.group.leftovers.append(output)
    if output.group.leftovers.count > Self.mostLeftovers { giveUp(output.group.leftovers[0]) }
  }

  /// The group leaves: what processes of its workers still write is not waited for.
  func giveUpLeftovers(_ group: Group) {
    for output in group.leftovers {
      relay(output)
      giveUp(output)
    }
  }

  /// A process that still writes there gets an error from the kernel.
  private func giveUp(_ output: WorkerOutput) {
    guard output.descriptor >= 0 else { return }
    poller.forget(output.descriptor)
    output.closeDescriptor()
    output.group.leftovers.removeAll { $0 === output }
    reportMissing(of: output, now: Clock.monotonicMicroseconds(), isLast: true)
    if output.relay > 0, !unattended.contains(output.relay) { unattended.append(output.relay) }
  }

  /// Relays a record that a worker sent.
  func relay(_ record: LogRecord, from worker: Worker) {
    let size = record.text.count &+ record.file.count
    guard worker.group.mayLog(bytes: size, of: worker.output, now: Clock.monotonicMicroseconds()) else { return }
    worker.group.plan.log(record)
  }

  /// Tells of what was not passed on, once a second; at the end of all, of whatever has not been told.
  func reportMissing(_ group: Group, now: Int64, isLast: Bool = false) {
    for output in outputs(of: group) { reportMissing(of: output, now: now, isLast: isLast) }
    guard let missing = group.outputLimit.takeMissing(now: now, isLast: isLast) else { return }
    log(
      group, .warning,
      "WSGI0644: Dropped \(missing.lines) log lines (\(missing.bytes) bytes) of the processes of group '\(group.plan.name)': "
        + "outside requests they may together write \(LogRate.processes.sentence).")
  }

  func outputs(of group: Group) -> [WorkerOutput] { group.processes.map(\.output) + group.leftovers }

  private func reportMissing(of output: WorkerOutput, now: Int64, isLast: Bool) {
    guard let missing = output.limit.takeMissing(now: now, isLast: isLast) else { return }
    let group = output.group
    log(
      group, .warning,
      "WSGI0458: Dropped \(missing.lines) log lines (\(missing.bytes) bytes) of process \(output.pid) of process group "
        + "'\(group.plan.name)': outside requests a process may write \(LogRate.process.sentence).")
  }

  /// When the next such line is due; nil: nothing is missing.
  func missingDue(_ group: Group) -> Int64? {
    ([group.outputLimit.due] + outputs(of: group).map(\.limit.due)).compactMap(\.self).min()
  }
}
