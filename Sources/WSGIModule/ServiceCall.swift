import CEngine
import CHTTPD
import Glibc
import WSGIConfig
import WSGICore

/// What a function of an auth, access or dispatch script answered.
enum ServiceAnswer {
  case none, yes, no
  case text([UInt8])
  /// Of an iterable; `isWhole` is false where an item was neither str nor bytes.
  case list([[UInt8]], isWhole: Bool)
  /// An object of some other type, which is named.
  case other(String)
  case tooLong
  /// The script has no such function.
  case missing
  /// It raised, or the script could not be loaded; the log has said why.
  case raised, unloadable
  /// There is no Python in this process.
  case unavailable(String)
}

/// A call of a function in a script that runs in the httpd child, whatever process group serves the request.
struct ServiceCall {
  let request: OpaquePointer
  let generation: Generation
  let script: ServiceScript
  let flags: ScopeFlags

  init(_ request: OpaquePointer, _ generation: Generation, _ script: ServiceScript, _ flags: ScopeFlags) {
    self.request = request
    self.generation = generation
    self.script = script
    self.flags = flags
  }

  enum Result {
    /// One object; a str is given in UTF-8 or latin-1.
    case single(utf8: Bool)
    case list
  }

  /// The most that an answer may hold.
  private static let answerLimit = 64 << 10

  /// Calls `function` with an environ, which `environ` appends and counts, and `arguments`, which are latin-1.
  func call(
    _ function: StaticString, _ arguments: [[UInt8]] = [], result: Result,
    environ: (wsgi_httpd_request, inout FlatWriter) -> Int
  ) -> ServiceAnswer {
    ThreadState.withHeadWriter { writer in
      guard let head = encode(&writer, environ) else { return .tooLong }
      return run(function, encode(arguments), result, head)
    }
  }

  private func encode(
    _ writer: inout RequestHeadWriter, _ environ: (wsgi_httpd_request, inout FlatWriter) -> Int
  ) -> UnsafeRawBufferPointer? {
    let fields = wsgi_httpd_get_request(request)
    guard fields.headers.count + fields.variables.count + Environ.ownPairs < RequestHead.pairLimit else { return nil }
    var head: RequestHead.Flags = .serviceCall
    if flags.isOn(.scriptReloading) { head.insert(.scriptReloading) }
    if flags.isOn(.passApacheRequest) { head.insert(.passRequest) }
    let group = script.applicationGroup.name(for: .scriptInterpreter, RequestNames(request: request))
    group.withUnsafeBytes { group in
      script.path.withUnsafeBytes { path in
        writer.begin(
          flags: head, contentLength: -1, scriptModified: withCString(script.path) { ScriptFile.modified($0) },
          requestStart: fields.request_time, queueStart: 0, processGroup: nothing, applicationGroup: group, script: path,
          callable: nothing)
      }
    }
    let encoded = writer.finish(pairs: environ(fields, &writer.writer))
    return encoded.count <= RequestHead.limit ? encoded : nil
  }

  private func encode(_ arguments: [[UInt8]]) -> [UInt8] {
    var writer = FlatWriter(capacity: 256)
    writer.append(UInt32(clamping: arguments.count))
    for argument in arguments { argument.withUnsafeBytes { writer.appendPair($0, nothing) } }
    return [UInt8](writer.bytes)
  }

  private func run(
    _ function: StaticString, _ arguments: [UInt8], _ result: Result, _ head: UnsafeRawBufferPointer
  ) -> ServiceAnswer {
    guard let python = Child.current?.python else { return .unavailable("it has not been initialised") }
    let path = script.path.withUnsafeBytes { poolCopy($0, wsgi_httpd_request_pool(request)) }
    var exchange = EmbeddedExchange(
      request, script: path, response: ClientResponse(request, overridesErrors: false, allowsSendfile: false))
    let answer = withUnsafeTemporaryAllocation(of: UInt8.self, capacity: ServiceCall.answerLimit) { buffer in
      arguments.withUnsafeBufferPointer { arguments in
        var call = wsgi_call()
        // SAFETY: a StaticString ends in a NUL byte.
        call.function = UnsafeRawPointer(function.utf8Start).assumingMemoryBound(to: CChar.self)
        call.arguments = arguments.baseAddress
        call.arguments_length = arguments.count
        call.buffer = buffer.baseAddress
        call.capacity = buffer.count
        switch result {
        case .list: call.flags = UInt32(WSGI_CALL_WANTS_LIST)
        case .single(let isUTF8): call.flags = isUTF8 ? UInt32(WSGI_CALL_UTF8) : 0
        }
        return python.withEngine { engine in
          let kind = withUnsafeMutablePointer(to: &exchange) { exchange in
            engine.table.pointee.call(exchange, EmbeddedExchange.functions, start(of: head), head.count, &call)
          }
          return ServiceAnswer(kind, UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer).prefix(call.length)))
        }
      }
    }
    return answer ?? .unavailable(python.reason)
  }
}

extension ServiceAnswer {
  /// Reads what `wsgi_engine.call` gave.
  fileprivate init(_ kind: Int32, _ bytes: UnsafeRawBufferPointer) {
    self =
      switch Int(kind) {
      case WSGI_ANSWER_NONE: .none
      case WSGI_ANSWER_TRUE: .yes
      case WSGI_ANSWER_FALSE: .no
      case WSGI_ANSWER_STRING, WSGI_ANSWER_BYTES: .text([UInt8](bytes))
      case WSGI_ANSWER_LIST: .list(ServiceAnswer.items(bytes), isWhole: true)
      case WSGI_ANSWER_BAD_ITEM: .list(ServiceAnswer.items(bytes), isWhole: false)
      case WSGI_ANSWER_OTHER: .other(String(decoding: bytes, as: UTF8.self))
      case WSGI_ANSWER_RAISED: .raised
      case WSGI_ANSWER_MISSING: .missing
      case WSGI_ANSWER_TOO_LONG: .tooLong
      default: .unloadable
      }
  }

  private static func items(_ bytes: UnsafeRawBufferPointer) -> [[UInt8]] {
    var reader = FlatReader(bytes)
    var items: [[UInt8]] = []
    do throws(FlatFailure) {
      for _ in 0..<(try reader.readUInt32()) { items.append([UInt8](try reader.readPair().key)) }
    } catch {
      // The engine's own encoding: what could be read of it counts.
    }
    return items
  }
}

/// A script's file.
enum ScriptFile {
  /// When it was last modified, in microseconds since the epoch; 0 where that cannot be told.
  static func modified(_ path: UnsafePointer<CChar>) -> Int64 {
    var about = stat()
    guard stat(path, &about) == 0 else { return 0 }
    return Int64(about.st_mtim.tv_sec) &* 1_000_000 &+ Int64(about.st_mtim.tv_nsec / 1000)
  }
}
