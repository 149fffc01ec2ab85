import WSGICore

/// A part of the answer to a `CommandRequest`. Answers are a row of these, of which the last is an outcome. Layout of each, in
/// host order: u32 kind, u32 length of what follows, and the fields.
public enum CommandAnswer: Equatable, Sendable {
  case group(Group)
  /// A process of the group before it.
  case process(Process)
  /// Comes with a descriptor, a socket on which the process of that number writes what it was asked for.
  case report(Int32)
  case outcome(Outcome)

  public enum Outcome: Equatable, Sendable {
    case done
    /// The sentence says why.
    case refused(String)
    /// There is none, or it is none of the caller's business.
    case noGroup
  }

  /// How a process group stands.
  public struct Group: Equatable, Sendable {
    public var name: [UInt8]
    public var user: UInt32
    public var threads: UInt32
    /// Processes that it is to have, those that take requests, and those that start.
    public var wanted: UInt32
    public var ready: UInt32
    public var starting: UInt32
    /// Starts that failed in a row.
    public var failures: UInt32
    public var flags: Flags
    /// The version of its Python, as its processes say; empty: none has started.
    public var python: [UInt8] = []

    public struct Flags: OptionSet, Sendable {
      public let rawValue: UInt32
      public init(rawValue: UInt32) { self.rawValue = rawValue }

      /// It runs service scripts, and takes no requests.
      public static let isService = Flags(rawValue: 1)
      public static let isStopped = Flags(rawValue: 2)
      /// It could not be made at all.
      public static let isImpossible = Flags(rawValue: 4)
      /// A request lies in its queue.
      public static let hasWaiting = Flags(rawValue: 8)
      /// A process takes requests, or is about to, as far as is known.
      public static let isServed = Flags(rawValue: 16)
    }
  }

  public struct Process: Equatable, Sendable {
    public var pid: Int32
    public var state: WorkerState
    /// Requests that it has run.
    public var requests: UInt64
    public var busy: UInt32
    /// It takes no further request at the moment, whatever threads it has.
    public var isSaturated: Bool
    /// How long the request runs that has run longest, in milliseconds; -1: none runs.
    public var oldest: Int64
    /// In microseconds since the epoch.
    public var started: Int64
  }

  /// The longest part; what is longer is cut.
  public static let limit = 4096
  static let header = 8

  private enum Kind: UInt32 {
    case group = 1
    case process, done, refused, noGroup, report
  }

  // MARK: writing

  public func append(to writer: inout FlatWriter) {
    let start = writer.count
    writer.append(kind.rawValue)
    writer.append(UInt32(0))
    switch self {
    case .group(let group):
      for number in [
        group.user, group.threads, group.wanted, group.ready, group.starting, group.failures, group.flags.rawValue,
      ] { writer.append(number) }
      group.python.prefix(32).withUnsafeBytes { writer.appendCounted($0) }
      writer.append(Array(group.name.prefix(Self.limit - 64)))
    case .process(let process):
      writer.append(UInt32(bitPattern: process.pid))
      writer.append(process.state.rawValue)
      writer.append(process.busy)
      writer.append(process.isSaturated ? UInt32(1) : 0)
      writer.append(process.requests)
      writer.append(process.oldest)
      writer.append(process.started)
    case .report(let pid): writer.append(UInt32(bitPattern: pid))
    case .outcome(.refused(let sentence)): writer.append(Array(sentence.utf8.prefix(Self.limit - 64)))
    case .outcome: break
    }
    writer.patch(UInt32(clamping: writer.count - start - Self.header), at: start + 4)
  }

  private var kind: Kind {
    switch self {
    case .group: .group
    case .process: .process
    case .report: .report
    case .outcome(.done): .done
    case .outcome(.refused): .refused
    case .outcome(.noGroup): .noGroup
    }
  }

  // MARK: reading

  public enum Next: Equatable, Sendable {
    /// A part, and how many bytes it takes.
    case part(CommandAnswer, count: Int)
    case incomplete
    /// Not an answer.
    case malformed
  }

  /// The first part in `bytes`.
  public static func next(in bytes: UnsafeRawBufferPointer) -> Next {
    var reader = FlatReader(bytes)
    guard let number = try? reader.readUInt32(), let length = try? reader.readUInt32() else { return .incomplete }
    guard let kind = Kind(rawValue: number), length <= UInt32(limit) else { return .malformed }
    guard let fields = try? reader.read(length) else { return .incomplete }
    guard let part = try? read(kind, fields) else { return .malformed }
    return .part(part, count: header + fields.count)
  }

  private static func read(_ kind: Kind, _ fields: UnsafeRawBufferPointer) throws(FlatFailure) -> CommandAnswer? {
    var reader = FlatReader(fields)
    switch kind {
    case .group:
      var group = Group(
        name: [], user: try reader.readUInt32(), threads: try reader.readUInt32(), wanted: try reader.readUInt32(),
        ready: try reader.readUInt32(), starting: try reader.readUInt32(), failures: try reader.readUInt32(),
        flags: .init(rawValue: try reader.readUInt32()))
      group.python = Array(try reader.readCounted())
      group.name = Array(reader.rest)
      return .group(group)
    case .process:
      let pid = Int32(bitPattern: try reader.readUInt32())
      guard let state = WorkerState(rawValue: try reader.readUInt32()) else { return nil }
      let busy = try reader.readUInt32()
      let isSaturated = try reader.readUInt32() != 0
      return .process(
        Process(
          pid: pid, state: state, requests: try reader.readUInt64(), busy: busy, isSaturated: isSaturated,
          oldest: try reader.readInt64(), started: try reader.readInt64()))
    case .report: return .report(Int32(bitPattern: try reader.readUInt32()))
    case .done: return .outcome(.done)
    case .refused: return .outcome(.refused(String(decoding: fields, as: UTF8.self)))
    case .noGroup: return .outcome(.noGroup)
    }
  }
}
