import WSGICore

extension ControlMessage {
  private enum Kind: UInt32 {
    case ready = 1
    case loaded, loadFailed, startFailed, draining, ended, reloadWanted, log, metricsWanted
    case begin, drain, stop, handOver, takeOver, reloading, reloadRefused, metrics
    case passedOn, passOn, answered
    case importFailed, takenOver
    case forked, fork
    case stacks, requests
  }

  /// Messages that hold nothing beside their kind.
  private static let bare: [Kind: ControlMessage] = [
    .ready: .ready, .loaded: .loaded, .importFailed: .importFailed, .answered: .answered, .passedOn: .passedOn, .passOn: .passOn,
    .begin: .begin, .stop: .stop, .handOver: .handOver, .takeOver: .takeOver, .takenOver: .takenOver,
    .fork: .fork, .stacks: .stacks, .requests: .requests,
  ]

  /// Writes the packet into `writer`, dropping what was there. Texts that are too long are cut.
  public func encode(into writer: inout FlatWriter) {
    switch self {
    case .forked(let pid): Self.begin(&writer, .forked, number: UInt32(bitPattern: pid))
    case .loadFailed(let failure): Self.begin(&writer, .loadFailed, number: failure)
    case .startFailed(let sentence):
      Self.begin(&writer, .startFailed)
      writer.append(Array(sentence.utf8.prefix(Self.textLimit)))
    case .draining(let reason): Self.begin(&writer, .draining, number: reason.rawValue)
    case .ended(let reason): Self.begin(&writer, .ended, number: reason.rawValue)
    case .reloadWanted(let change): Self.append(change, .reloadWanted, to: &writer)
    case .log(let record):
      Self.begin(&writer, .log, number: UInt32(bitPattern: record.level.rawValue), value: UInt64(record.line))
      let file = record.file.prefix(Self.fileLimit)
      writer.append(UInt32(clamping: file.count))
      writer.append(Array(file))
      writer.append(Array(record.text.prefix(Self.textLimit)))
    case .metricsWanted(let ticket): Self.begin(&writer, .metricsWanted, value: ticket)
    case .drain(let reason): Self.begin(&writer, .drain, number: reason.rawValue)
    case .reloading(let change): Self.append(change, .reloading, to: &writer)
    case .reloadRefused(let change): Self.append(change, .reloadRefused, to: &writer)
    case .metrics(let ticket): Self.begin(&writer, .metrics, value: ticket)
    default: if let kind = Self.bare.first(where: { $0.value == self })?.key { Self.begin(&writer, kind) }
    }
  }

  /// Reads a packet; nil for one that is none of ours. Nothing in it is believed beyond its end.
  public init?(decoding packet: UnsafeRawBufferPointer) {
    guard packet.count <= Self.limit else { return nil }
    var reader = FlatReader(packet)
    guard let message = try? Self.read(&reader) else { return nil }
    self = message
  }

  private static func read(_ reader: inout FlatReader) throws(FlatFailure) -> ControlMessage? {
    guard let kind = Kind(rawValue: try reader.readUInt32()) else { return nil }
    let number = try reader.readUInt32()
    let value = try reader.readUInt64()
    switch kind {
    case .forked: return .forked(Int32(bitPattern: number))
    case .loadFailed: return .loadFailed(number)
    case .startFailed: return .startFailed(String(decoding: try rest(&reader), as: UTF8.self))
    case .draining: return ShutdownReason(rawValue: number).map { .draining($0) }
    case .ended: return ShutdownReason(rawValue: number).map { .ended($0) }
    case .reloadWanted: return .reloadWanted(try readChange(&reader, number, value))
    case .log:
      let file = Array(try reader.readCounted())
      let text = Array(try rest(&reader))
      let level = LogLevel(clamping: Int32(bitPattern: number))
      return .log(LogRecord(level: level, file: file, line: UInt32(truncatingIfNeeded: value), text: text))
    case .metricsWanted: return .metricsWanted(ticket: value)
    case .drain: return ShutdownReason(rawValue: number).map { .drain($0) }
    case .reloading: return .reloading(try readChange(&reader, number, value))
    case .reloadRefused: return .reloadRefused(try readChange(&reader, number, value))
    case .metrics: return .metrics(ticket: value)
    default: return bare[kind]
    }
  }

  private static func begin(_ writer: inout FlatWriter, _ kind: Kind, number: UInt32 = 0, value: UInt64 = 0) {
    writer.reset()
    writer.append(kind.rawValue)
    writer.append(number)
    writer.append(value)
  }

  private static func append(_ change: ScriptChange, _ kind: Kind, to writer: inout FlatWriter) {
    begin(&writer, kind, number: change.failure, value: UInt64(bitPattern: change.modified))
    // A path or a name that long cannot be: PATH_MAX is 4096 with its NUL, and what is cut merely matches nothing.
    let script = Array(change.script.prefix(textLimit / 2))
    let group = Array(change.applicationGroup.prefix(textLimit / 2 - 16))
    writer.append(UInt32(clamping: script.count))
    writer.append(script)
    writer.append(UInt32(clamping: group.count))
    writer.append(group)
  }

  private static func readChange(
    _ reader: inout FlatReader, _ failure: UInt32, _ value: UInt64
  ) throws(FlatFailure) -> ScriptChange {
    let script = Array(try reader.readCounted())
    let group = Array(try reader.readCounted())
    return ScriptChange(script: script, applicationGroup: group, modified: Int64(bitPattern: value), failure: failure)
  }

  private static func rest(_ reader: inout FlatReader) throws(FlatFailure) -> UnsafeRawBufferPointer {
    try reader.read(UInt32(clamping: reader.remaining))
  }
}
