import Synchronization

/// The room in files that one request's body or response takes, counted against spool-limit of its process group and against
/// WSGISpoolLimit of the server. What it has is given back with it; what a child had when it died, by `RequestBook.vacate`.
public struct SpoolSpace: ~Copyable {
  /// Which limit leaves no more room.
  public enum Bound: Equatable, Sendable {
    case group, server
  }

  /// It is taken in pieces of this size, for writes are small and the counts are shared.
  static let piece = 64 << 10

  private let seat: ChildSeat
  private let row: RequestBook.Row
  private let limit: Int
  private var taken = 0

  /// `limit`: the group's, in bytes; 0: none.
  public init(_ seat: ChildSeat, _ row: RequestBook.Row, limit: Int) {
    self.seat = seat
    self.row = row
    self.limit = limit
  }

  deinit { seat.giveSpoolBack(row, taken) }

  /// Takes as much as a file of `size` bytes needs. The result is what forbids it; then nothing has changed.
  public mutating func grow(to size: Int) -> Bound? {
    guard size > taken else { return nil }
    let (upTo, overflows) = size.addingReportingOverflow(SpoolSpace.piece - 1)
    guard !overflows else { return .group }
    let more = upTo / SpoolSpace.piece * SpoolSpace.piece - taken
    if let bound = seat.takeSpool(row, more, limit: limit) { return bound }
    taken += more
    return nil
  }
}

extension ChildSeat {
  fileprivate func takeSpool(_ row: RequestBook.Row, _ bytes: Int, limit: Int) -> SpoolSpace.Bound? {
    // The child's own count first, as in `enter`.
    spooled(row).pointee.wrappingAdd(bytes, ordering: .relaxed)
    let ofGroup = row.spooled.pointee.wrappingAdd(bytes, ordering: .relaxed).newValue
    let ofAll = book.spooledOfAll.pointee.wrappingAdd(bytes, ordering: .relaxed).newValue
    let isTooMuch = limit > 0 && ofGroup > limit
    if !isTooMuch, book.spoolLimit == 0 || ofAll <= book.spoolLimit { return nil }
    giveSpoolBack(row, bytes)
    return isTooMuch ? .group : .server
  }

  fileprivate func giveSpoolBack(_ row: RequestBook.Row, _ bytes: Int) {
    guard bytes > 0 else { return }
    book.spooledOfAll.pointee.wrappingSubtract(bytes, ordering: .relaxed)
    row.spooled.pointee.wrappingSubtract(bytes, ordering: .relaxed)
    spooled(row).pointee.wrappingSubtract(bytes, ordering: .relaxed)
  }
}
