import CEngine
import CHTTPD
import Glibc
import WSGIConfig
import WSGICore

/// The return value of a function of an auth, access or dispatch script.
enum ServiceAnswer {
  case none, yes, no
  case text([UInt8])
  case bytes([UInt8])
  /// Of an iterable; it is not whole where an exception ended it, which the log has been told.
  case list([[UInt8]], isWhole: Bool)
  /// Of several functions, those that the script has, in order; nil for None.
  case choices([(function: [UInt8], value: [UInt8]?)])
  /// An object of some other type, which is named.
  case other(String)
  /// An item of an iterable is of some other type, or a str that latin-1 cannot hold.
  case otherItem(String)
  case wideItem
  /// The script has no such function.
  case missing
  /// The script could not be loaded, and the log has said why.
  case unloadable
  /// There is no answer, and the log has said why.
  case failed
  /// There is no Python in this process, or no such interpreter; why, as the end of a sentence.
  case unavailable(String)
}

/// A call of a function in a script that runs in the httpd child, whatever process group serves the request.
struct ServiceCall {
  let request: OpaquePointer
  let script: ServiceScript
  /// Settings of the request; every flag has a value.
  let flags: ScopeFlags

  /// The most that an answer may hold. A user of a large directory may be in thousands of groups.
  private static let textLimit = 64 << 10
  private static let listLimit = 4 << 20

  /// Calls `function` with an environ, which `environ` appends and counts, and `arguments`, which are latin-1.
  func call(
    _ function: StaticString, _ arguments: [UnsafePointer<CChar>], _ options: CallFlags,
    environ: (wsgi_httpd_request, inout FlatWriter) -> Int
  ) -> ServiceAnswer {
    ThreadState.withHeadWriter { writer in
      guard let head = encode(&writer, environ) else {
        report("WSGI0550: The request's headers are too large to pass to a script.")
        return .failed
      }
      let answer = run(function, encode(arguments), options, head)
      guard let answer else {
        report("WSGI0551: The value that \(function)() returned is too long.")
        return .failed
      }
      return answer
    }
  }

  /// Writes a line about the script to the request's log.
  func report(_ message: String) { log(.error, request: request, script: path, message) }

  /// The script's path as a C string that lives as long as the request.
  private var path: UnsafePointer<CChar> {
    script.path.withUnsafeBytes { UnsafePointer(poolCopy($0, wsgi_httpd_request_pool(request))) }
  }

  // MARK: the call

  private func encode(
    _ writer: inout RequestHeadWriter, _ environ: (wsgi_httpd_request, inout FlatWriter) -> Int
  ) -> UnsafeRawBufferPointer? {
    let view = wsgi_httpd_look_at(request)
    let fields = wsgi_httpd_get_request(request)
    guard fields.headers.count + fields.variables.count + Environ.ownPairs < RequestHead.pairLimit else { return nil }
    var head = RequestHead.Flags(flags).union(.serviceCall)
    guard let configuration = Generation.current?.configuration else { return nil }
    let (group, isOpen) = configuration.applicationGroup(
      script.applicationGroup, for: .scriptInterpreter, RequestNames(request: request, view: view))
    if isOpen { head.insert(.openName) }
    group.withUnsafeBytes { group in
      script.path.withUnsafeBytes { path in
        writer.begin(
          flags: head, contentLength: -1, scriptModified: withCString(script.path) { ScriptTime.now($0) },
          requestStart: view.time, processGroup: nothing, applicationGroup: group, script: path, callable: nothing)
      }
    }
    let encoded = writer.finish(pairs: environ(fields, &writer.writer))
    return encoded.count <= RequestHead.limit ? encoded : nil
  }

  private func encode(_ arguments: [UnsafePointer<CChar>]) -> [UInt8] {
    var writer = FlatWriter(capacity: 256)
    writer.append(UInt32(clamping: arguments.count))
    for argument in arguments { writer.appendPair(rawBytes(of: argument), nothing) }
    return [UInt8](writer.bytes)
  }

  /// nil: the answer is too long.
  private func run(
    _ function: StaticString, _ arguments: [UInt8], _ options: CallFlags, _ head: UnsafeRawBufferPointer
  ) -> ServiceAnswer? {
    guard let python = HTTPDChild.current?.python else { return .unavailable("it has not been initialised") }
    var exchange = EmbeddedExchange(
      request, script: path, response: ClientResponse(request, overridesErrors: false, allowsSendfile: false))
    let limit = options.contains(.list) ? ServiceCall.listLimit : ServiceCall.textLimit
    return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: limit) { buffer in
      arguments.withUnsafeBufferPointer { arguments -> ServiceAnswer? in
        var call = wsgi_call()
        // SAFETY: a StaticString ends in a NUL byte.
        call.function = UnsafeRawPointer(function.utf8Start).assumingMemoryBound(to: CChar.self)
        call.arguments = arguments.baseAddress
        call.arguments_length = arguments.count
        call.flags = options.rawValue
        call.buffer = buffer.baseAddress
        call.capacity = buffer.count
        let kind = python.withEngine { engine in
          withUnsafeMutablePointer(to: &exchange) { exchange in
            engine.call(exchange, EmbeddedExchange.functions, head, &call)
          }
        }
        guard let kind else { return .unavailable(python.reason) }
        guard kind != .tooLong else { return nil }
        let answer = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer).prefix(call.length))
        return ServiceAnswer(kind, answer, isChoices: options.contains(.each))
      }
    }
  }
}

extension ServiceAnswer {
  /// Reads the result of `wsgi_engine.call`; an unknown kind counts as failed.
  fileprivate init(_ kind: AnswerKind, _ bytes: UnsafeRawBufferPointer, isChoices: Bool) {
    self =
      switch kind {
      case .none: .none
      case .yes: .yes
      case .no: .no
      case .string: .text([UInt8](bytes))
      case .bytes: .bytes([UInt8](bytes))
      case .list: ServiceAnswer(pairs: bytes, isChoices: isChoices, isWhole: true)
      case .cutList: ServiceAnswer(pairs: bytes, isChoices: isChoices, isWhole: false)
      case .other: .other(String(decoding: bytes, as: UTF8.self))
      case .badItem: .otherItem(String(decoding: bytes, as: UTF8.self))
      case .notLatin1: .wideItem
      case .missing: .missing
      case .unloadable: .unloadable
      case .noInterpreter: .unavailable("its interpreter cannot be used, as the line before this one says")
      default: .failed
      }
  }

  private init(pairs bytes: UnsafeRawBufferPointer, isChoices: Bool, isWhole: Bool) {
    var reader = FlatReader(bytes)
    var choices: [(function: [UInt8], value: [UInt8]?)] = []
    var items: [[UInt8]] = []
    do throws(FlatFailure) {
      for _ in 0..<(try reader.readUInt32()) {
        let (key, value) = try reader.readPair()
        if isChoices { choices.append(([UInt8](key), value.map { [UInt8]($0) })) } else { items.append([UInt8](key)) }
      }
      self = isChoices ? .choices(choices) : .list(items, isWhole: isWhole)
    } catch {
      self = .failed
    }
  }
}
