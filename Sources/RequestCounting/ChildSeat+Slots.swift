import Synchronization

// Requests that were taken back from the queue of a session slot, where the message lies until a process comes to it.

extension ChildSeat {
  /// A request was taken back.
  @inline(never)
  public func leaveInSlot(_ row: RequestBook.Row) {
    row.leftInSlots.pointee.wrappingAdd(1, ordering: .relaxed)
    book.givenUpOfAll.pointee.wrappingAdd(1, ordering: .relaxed)
  }

  /// Whether requests of the group may be put into the queues of its slots. Each that no process takes from there has descriptors
  /// under way, of which all groups together have a share: a group that has some does without slots while much is given up.
  /// `mostLeft`: more than can lie in those queues.
  public func mayUseSlots(_ row: RequestBook.Row, mostLeft: () -> Int) -> Bool {
    let left = row.leftInSlots.pointee.load(ordering: .relaxed)
    guard left > 0 else { return true }
    let possible = mostLeft()
    if left > possible, row.leftInSlots.pointee.compareExchange(expected: left, desired: possible, ordering: .relaxed).exchanged {
      book.givenUpOfAll.pointee.wrappingSubtract(left &- possible, ordering: .relaxed)
    }
    return min(left, possible) == 0 || !hasMuchGivenUp
  }
}
