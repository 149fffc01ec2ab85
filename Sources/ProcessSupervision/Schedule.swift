/// When which group is to be looked at next: a heap, whose cost does not grow with groups that have nothing to wait for.
///
/// A group is looked at no later than it asked for, and may be a little too early when it has asked for a later time since.
struct Schedule {
  private var heap: [(time: Int64, group: Supervisor.Group)] = []

  /// The next time; `.max`: none.
  var next: Int64 { heap.first?.time ?? .max }

  mutating func add(_ group: Supervisor.Group, at time: Int64) {
    guard time < group.scheduled else { return }
    group.scheduled = time
    heap.append((time, group))
    var child = heap.count - 1
    while child > 0, heap[child].time < heap[(child - 1) / 2].time {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  /// A group whose time has come.
  mutating func takeDue(now: Int64) -> Supervisor.Group? {
    while let first = heap.first, first.time <= now {
      let last = heap.removeLast()
      if !heap.isEmpty {
        heap[0] = last
        sink()
      }
      // Others of the group's entries are of times that it has given up.
      guard first.time == first.group.scheduled else { continue }
      first.group.scheduled = .max
      return first.group
    }
    return nil
  }

  private mutating func sink() {
    var parent = 0
    while true {
      let children = [2 * parent + 1, 2 * parent + 2].filter { $0 < heap.count }
      guard let least = children.min(by: { heap[$0].time < heap[$1].time }), heap[least].time < heap[parent].time else { return }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}
