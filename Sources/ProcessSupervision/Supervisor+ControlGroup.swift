import Glibc
import Platform
import WSGICore

extension Supervisor {
  /// Says at the start what is wrong with control groups of groups that start their processes later; once for each directory that
  /// they are to be made in.
  func checkControlGroups() {
    var checked: Set<ArraySlice<[UInt8]>> = []
    for plan in plans where plan.makeFiles != nil {
      guard let path = plan.settings.controlGroup else { continue }
      let controlGroup = ControlGroup(path)
      guard !controlGroup.place.joined().contains(UInt8(ascii: "%")), checked.insert(controlGroup.place).inserted,
        let problem = controlGroup.problem
      else { continue }
      plan.log(LogRecord(level: .warning, text: Array(unusable(path, of: plan, problem).utf8)))
    }
  }

  private func unusable(_ path: [UInt8], of plan: GroupPlan, _ reason: String) -> String {
    "WSGI0702: Cannot use cgroup=\(path.text) of process group '\(plan.name)': \(reason). Its processes run outside of it,"
      + " without its limits."
  }

  /// Has the control group of a process that is about to start ready. nil: the process runs without one.
  func prepareControlGroup(of group: Group) -> [UInt8]? {
    guard let path = group.plan.settings.controlGroup else { return nil }
    let isFirst = !group.hasControlGroup
    do throws(ControlGroup.Failure) {
      leftControlGroups.forget(path)
      let isNew = try ControlGroup(path).make()
      group.hasControlGroup = true
      if isNew || isFirst { setValues(ControlGroup(path), group, reports: isFirst) }
      return path
    } catch {
      guard !group.lacksControlGroup else { return nil }
      group.lacksControlGroup = true
      log(group, .warning, unusable(path, of: group.plan, error.reason))
      return nil
    }
  }

  private func setValues(_ controlGroup: ControlGroup, _ group: Group, reports: Bool) {
    for value in group.plan.controlGroupValues {
      do throws(ControlGroup.Failure) {
        try controlGroup.set(value)
      } catch {
        guard reports else { continue }
        log(
          group, .warning,
          "WSGI0703: Cannot set cgroup-set=\(value.file.text):\(value.value.text) of process group '\(group.plan.name)':"
            + " \(error.reason). Its processes run without this setting.")
      }
    }
  }

  /// Removes the control group of a group that leaves. Where its processes have left others running it stays until these have
  /// ended, or the group is made again.
  func removeControlGroup(of group: Group) {
    guard group.hasControlGroup, let path = group.plan.settings.controlGroup else { return }
    if !ControlGroup(path).remove() { leftControlGroups.add(path, now: Clock.monotonicMicroseconds()) }
  }

  /// Removes control groups that could not be removed earlier.
  func removeLeftControlGroups(now: Int64) { leftControlGroups.tryDue(now: now) { ControlGroup($0).remove() } }

  /// Removes the control groups of groups that are over. What their processes have left running may take a moment to end.
  func removeControlGroups() {
    let paths = groups.filter(\.hasControlGroup).compactMap { $0.plan.settings.controlGroup } + leftControlGroups.paths
    var left = paths.map { ControlGroup($0) }
    let deadline = Clock.monotonicMilliseconds() &+ 500
    while true {
      left.removeAll { $0.remove() }
      guard !left.isEmpty, Clock.monotonicMilliseconds() < deadline else { return }
      poll(nil, 0, 10)
    }
  }
}
