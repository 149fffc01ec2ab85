@testable import DaemonTransport
import Glibc
@testable import ProcessSupervision
@testable import WSGIConfig
import WSGICore

// Readers of whole messages under libFuzzer (`make fuzz`), one a run, as the environment says: what a worker sends its
// supervisor, the settings that a worker is started with, the head of a response, lines of the configuration, and cookies.

/// What a supervisor reads: of a message that is one, the same is read once it was written again.
@Sendable private func readControlMessage(_ bytes: UnsafeRawBufferPointer) {
  guard let message = ControlMessage(decoding: bytes) else { return }
  var writer = FlatWriter(capacity: 256)
  message.encode(into: &writer)
  precondition(writer.count <= ControlMessage.limit, "a message that no line carries")
  if case .startFailed = message { return }  // a text that is no UTF-8 is mended
  precondition(ControlMessage(decoding: writer.bytes) == message, "another message")
}

@Sendable private func readSettings(_ bytes: UnsafeRawBufferPointer) {
  guard let settings = WorkerSettings(decoding: Array(bytes)) else { return }
  precondition(WorkerSettings(decoding: settings.encoded()) == settings, "other settings")
}

@Sendable private func readResponseHead(_ bytes: UnsafeRawBufferPointer) {
  guard let head = try? ResponseHead(decoding: bytes) else { return }
  var headers = head.headers
  for _ in 0..<head.headerCount {
    guard let (name, value) = try? headers.readPair() else { return }
    _ = HeaderSyntax.isToken(name) && value.map { HeaderSyntax.isFieldContent($0) } ?? false
  }
  _ = HeaderSyntax.isFieldContent(head.reason)
}

/// Lines as httpd passes them on: the first byte names the directive, a NUL byte ends a line.
@Sendable private func readConfiguration(_ bytes: UnsafeRawBufferPointer) {
  let user = UserRecord(name: "shop", uid: 1001, gid: 2001, home: "/srv/shop")
  var environment = ParseEnvironment()
  environment.isRoot = true
  environment.userNamed = { $0 == user.name ? user : nil }
  environment.userWithID = { $0 == user.uid ? user : nil }
  environment.groupNamed = { $0 == "www" ? 33 : nil }
  environment.hasGroupWithID = { $0 == 33 }
  environment.compileRegex = { $0.contains("(((") ? nil : 1 }
  environment.supplementaryGroupLimit = 4
  let global = Box(GlobalConfig())
  let server = Box(ServerConfig())
  let directory = Box(DirectoryConfig())
  for (number, line) in bytes.split(separator: 0).prefix(20).enumerated() {
    guard let first = line.first else { continue }
    let directive = Directive.table[Int(first) % Directive.table.count]
    var parse = ConfigParse(
      location: ConfigLocation(file: "f", line: number), server: .main, path: first & 128 != 0 ? "/srv" : nil,
      isAccessFile: false,
      environment: environment, global: global, serverConfig: server, directoryConfig: directory)
    _ = try? directive.apply(ByteText(Array(line.dropFirst())), to: &parse)
  }
  _ = Configuration(global: global.value, servers: [ConfiguredServer(identity: .main, config: server.value)])
  for group in global.value.groups { _ = global.value.settings(for: group, user: user).encoded() }
}

private let cookie = SessionCookie(name: Array("S".utf8), group: Array("g".utf8), slots: 12, key: SessionKey([1]))

/// A client's Cookie header: of what is left nothing is the cookie, and nothing is new.
@Sendable private func readCookies(_ bytes: UnsafeRawBufferPointer) {
  let rest = cookie.take(from: bytes)
  precondition(rest.slot.map { cookie.values.indices.contains($0) } ?? true, "no such slot")
  guard let kept = rest.bytes else { return precondition(rest.slot == nil, "a cookie that was not taken out") }
  precondition(kept.count < bytes.count, "more than there was")
  kept.withUnsafeBytes { precondition(cookie.take(from: $0).slot == nil, "a cookie is left") }
}

private let read: (@Sendable (UnsafeRawBufferPointer) -> Void)? = {
  switch getenv("WSGI_FUZZ_TARGET").map({ String(cString: $0) }) {
  case "control": readControlMessage
  case "settings": readSettings
  case "responses": readResponseHead
  case "configuration": readConfiguration
  case "cookies": readCookies
  default: nil
  }
}()

/// One input of the fuzzer.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
  guard let start, let read else { return -1 }
  // A copy of exactly that size: to read beyond it is found out.
  let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
  defer { copy.deallocate() }
  copy.copyMemory(from: UnsafeRawBufferPointer(start: start, count: count))
  read(UnsafeRawBufferPointer(copy))
  return 0
}
