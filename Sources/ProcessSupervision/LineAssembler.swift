import WSGICore

/// Makes lines of the bytes that come from a worker's output. A line that does not end is given in pieces; an empty
/// one is left out, NUL and carriage returns at the end too.
struct LineAssembler {
  private var partial: [UInt8] = []

  /// Takes bytes in, and gives each line that they complete.
  mutating func add(_ bytes: some Sequence<UInt8>, _ emit: ([UInt8]) -> Void) {
    for byte in bytes {
      if byte == 0x0A {
        finish(emit)
      } else {
        partial.append(byte == 0 ? 0x20 : byte)
        if partial.count > LogPieces.limit { emitPieces(emit) }
      }
    }
  }

  /// Gives what no longer has room in one record.
  private mutating func emitPieces(_ emit: ([UInt8]) -> Void) {
    partial = partial.withUnsafeBytes { LogPieces.last(of: $0) { emit(Array($0)) } }
  }

  /// Gives what is there, at the end of the output.
  mutating func finish(_ emit: ([UInt8]) -> Void) {
    while partial.last == 0x0D { partial.removeLast() }
    if !partial.isEmpty { emit(partial) }
    partial.removeAll(keepingCapacity: true)
  }
}
