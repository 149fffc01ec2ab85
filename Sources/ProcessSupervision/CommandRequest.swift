import WSGICore

/// A command for the supervisor, as `wsgictl` sends it through the control socket: one on each connection, always of the same
/// size. Layout, in host order: u32 magic, u32 version, u32 verb, u32 pid, then the counted names, and zeros.
public struct CommandRequest: Equatable, Sendable {
  public enum Verb: UInt32, CaseIterable, Sendable {
    case status = 1
    case reload, restart, stop, start, drain, requests, stacks
  }

  public var verb: Verb
  /// The group that it is about; empty: all that the caller may see, or that of `pid`.
  public var group: [UInt8]
  /// nil: all of the group's.
  public var applicationGroup: [UInt8]?
  /// The process that it is about, where no group has that name; 0: none.
  public var pid: Int32

  public static let size = 640
  public static let nameLimit = 255
  private static let magic: UInt32 = 0x6C74_6377
  private static let version: UInt32 = 1

  public init(_ verb: Verb, group: [UInt8] = [], applicationGroup: [UInt8]? = nil, pid: Int32 = 0) {
    self.verb = verb
    self.group = group
    self.applicationGroup = applicationGroup
    self.pid = pid
  }

  /// nil: a name is too long.
  public func encoded() -> [UInt8]? {
    guard group.count <= Self.nameLimit, applicationGroup?.count ?? 0 <= Self.nameLimit else { return nil }
    var writer = FlatWriter(capacity: Self.size)
    writer.append(Self.magic)
    writer.append(Self.version)
    writer.append(verb.rawValue)
    writer.append(UInt32(bitPattern: pid))
    group.withUnsafeBytes { writer.appendCounted($0) }
    if let applicationGroup {
      applicationGroup.withUnsafeBytes { writer.appendCounted($0) }
    } else {
      writer.append(flatNull)
    }
    writer.append([UInt8](repeating: 0, count: Self.size - writer.count))
    return Array(writer.bytes)
  }

  /// nil: it is not a command. Nothing in it is believed beyond its end.
  public init?(decoding bytes: UnsafeRawBufferPointer) {
    guard bytes.count == Self.size, let request = try? Self.read(bytes) else { return nil }
    self = request
  }

  private static func read(_ bytes: UnsafeRawBufferPointer) throws(FlatFailure) -> CommandRequest? {
    var reader = FlatReader(bytes)
    guard try reader.readUInt32() == magic, try reader.readUInt32() == version,
      let verb = Verb(rawValue: try reader.readUInt32())
    else { return nil }
    let pid = Int32(bitPattern: try reader.readUInt32())
    let group = Array(try reader.readCounted())
    let length = try reader.readUInt32()
    let applicationGroup = length == flatNull ? nil : Array(try reader.read(length))
    guard group.count <= nameLimit, applicationGroup?.count ?? 0 <= nameLimit, reader.rest.allSatisfy({ $0 == 0 }) else {
      return nil
    }
    return CommandRequest(verb, group: group, applicationGroup: applicationGroup, pid: pid)
  }
}
