import Glibc

/// One open descriptor, closed exactly once; a negative number stands for none.
public struct Descriptor: ~Copyable, Sendable {
  public let number: Int32

  /// Adopts a descriptor that nothing else will close.
  public init(owning number: Int32) { self.number = number }

  /// None yet, or none any more.
  public init() { number = -1 }

  /// Closes it now.
  public mutating func close() { self = Descriptor() }

  /// Gives the descriptor up: the caller closes it.
  public consuming func release() -> Int32 {
    let number = number
    discard self
    return number
  }

  deinit {
    if number >= 0 { _ = Glibc.close(number) }
  }
}
