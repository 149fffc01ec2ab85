import CHTTPD
import Glibc
import WSGIConfig
import WSGICore

// The auth phases: AuthBasicProvider and AuthDigestProvider `wsgi`, `Require wsgi-group`, and WSGIAccessScript.

private enum AuthResult {
  static let denied = Int32(WSGI_HTTPD_AUTH_DENIED)
  static let granted = Int32(WSGI_HTTPD_AUTH_GRANTED)
  static let userFound = Int32(WSGI_HTTPD_AUTH_USER_FOUND)
  static let noUser = Int32(WSGI_HTTPD_AUTH_NO_USER)
  static let error = Int32(WSGI_HTTPD_AUTH_ERROR)
}

/// A request in one of the auth phases.
private struct AuthPhase {
  let request: OpaquePointer
  let generation: Generation
  let directory: DirectoryHolder
  private let server: ServerObject

  init?(_ request: OpaquePointer) {
    guard let generation = Generation.current, let server = ServerObject.of(wsgi_httpd_request_server(request)),
      let directory = directoryHolder(wsgi_httpd_request_directory_config(request))
    else { return nil }
    self.request = request
    self.generation = generation
    self.server = server
    self.directory = directory
  }

  func call(
    _ function: StaticString, of script: ServiceScript, _ arguments: [UnsafePointer<CChar>], result: ServiceCall.Result
  ) -> ServiceAnswer {
    let flags = ScopeFlags.defaults.overlaid(by: server.holder.value.scope.flags).overlaid(by: directory.value.scope.flags)
    return ServiceCall(request, generation, script, flags).call(
      function, arguments.map { [UInt8](rawBytes(of: $0)) }, result: result
    ) { fields, writer in ServiceEnviron.write(fields, request, to: &writer) }
  }

  func report(_ message: String, about script: ServiceScript? = nil, level: LogLevel = .error) {
    let path = script.map { poolCopy(ByteText($0.path).description, wsgi_httpd_request_pool(request)) }
    log(level, request: request, script: path, message)
  }
}

// MARK: authentication

@c @implementation
func wsgi_swift_check_password(
  _ request: OpaquePointer, _ user: UnsafePointer<CChar>, _ password: UnsafePointer<CChar>
) -> Int32 {
  guard let phase = AuthPhase(request), let script = phase.directory.value.authUserScript else {
    log(.error, request: request, script: nil, "WSGI0041: Location of WSGI user authentication script not provided.")
    return AuthResult.error
  }
  switch phase.call("check_password", of: script, [user, password], result: .single(utf8: true)) {
  case .yes: return AuthResult.granted
  case .no: return AuthResult.denied
  case .none: return AuthResult.noUser
  case .text(let name) where !name.isEmpty:
    withCString(name) { wsgi_httpd_set_user(request, $0) }
    return AuthResult.granted
  case .text:
    phase.report("WSGI0176: check_password() must not return an empty user name.", about: script)
  case .other(let type):
    phase.report("WSGI0177: check_password() must return True, False, None or a user name, not \(type).", about: script)
  case .missing:
    phase.report("WSGI0043: Target WSGI user authentication script does not provide 'check_password'.", about: script)
  case .unavailable(let reason):
    phase.report("WSGI0042: Python cannot be used for authentication: \(reason).", about: script)
  case .raised, .unloadable, .list: break
  case .tooLong: phase.report("WSGI0177: The user name that check_password() returned is too long.", about: script)
  }
  return AuthResult.error
}

@c @implementation
func wsgi_swift_get_realm_hash(
  _ request: OpaquePointer, _ user: UnsafePointer<CChar>, _ realm: UnsafePointer<CChar>,
  _ hash: UnsafeMutablePointer<UnsafePointer<CChar>?>
) -> Int32 {
  guard let phase = AuthPhase(request), let script = phase.directory.value.authUserScript else {
    log(.error, request: request, script: nil, "WSGI0044: Location of WSGI user authentication script not provided.")
    return AuthResult.error
  }
  switch phase.call("get_realm_hash", of: script, [user, realm], result: .single(utf8: false)) {
  case .none: return AuthResult.noUser
  case .text(let value) where !value.isEmpty:
    hash.pointee = value.withUnsafeBytes { poolCopy($0, wsgi_httpd_request_pool(request)) }
    return AuthResult.userFound
  case .text:
    phase.report("WSGI0178: get_realm_hash() must not return an empty value.", about: script)
  case .yes, .no:
    phase.report("WSGI0179: get_realm_hash() must return None or a string, not bool.", about: script)
  case .other(let type):
    phase.report("WSGI0179: get_realm_hash() must return None or a string, not \(type).", about: script)
  case .missing:
    phase.report("WSGI0046: Target WSGI user authentication script does not provide 'get_realm_hash'.", about: script)
  case .unavailable(let reason):
    phase.report("WSGI0045: Python cannot be used for authentication: \(reason).", about: script)
  case .tooLong:
    phase.report("WSGI0179: The value that get_realm_hash() returned is too long.", about: script)
  case .raised, .unloadable, .list: break
  }
  return AuthResult.error
}

// MARK: authorization

/// Whether the user is in one of the groups; whatever keeps the answer from being known denies.
@c @implementation
func wsgi_swift_check_group(
  _ request: OpaquePointer, _ user: UnsafePointer<CChar>, _ required: UnsafePointer<CChar>
) -> Int32 {
  guard let phase = AuthPhase(request), let script = phase.directory.value.authGroupScript else {
    log(.error, request: request, script: nil, "WSGI0058: Location of WSGI group authorization script not provided.")
    return 0
  }
  let name = String(cString: user)
  switch phase.call("groups_for_user", of: script, [user], result: .list) {
  case .list(let groups, isWhole: true):
    if groups.isEmpty {
      phase.report("WSGI0059: Authorization of user '\(name)' failed: the user is in no group.", about: script)
      return 0
    }
    var line = required
    while let wanted = wsgi_httpd_next_word(request, &line) {
      if groups.contains(where: { withCString($0) { strcasecmp($0, wanted) } == 0 }) { return 1 }
    }
    phase.report("WSGI0060: Authorization of user '\(name)' failed: the user is in no required group.", about: script)
  case .list(_, isWhole: false):
    phase.report("WSGI0050: groups_for_user() must give str, of latin-1 characters, or bytes.", about: script)
  case .missing:
    phase.report("WSGI0052: Target WSGI group authorization script does not provide 'groups_for_user'.", about: script)
  case .other(let type):
    phase.report("WSGI0051: groups_for_user() must return an iterable, not \(type).", about: script)
  case .unavailable(let reason):
    phase.report("WSGI0053: Python cannot be used for authorization: \(reason).", about: script)
  case .tooLong:
    phase.report("WSGI0050: The groups that groups_for_user() gave are too many.", about: script)
  case .none, .yes, .no, .text, .raised, .unloadable: break
  }
  return 0
}

// MARK: access

@c @implementation
func wsgi_swift_check_access(_ request: OpaquePointer) -> Int32 {
  guard let phase = AuthPhase(request), let script = phase.directory.value.accessScript else { return HookResult.declined }
  let client = wsgi_httpd_remote_host(request) ?? wsgi_httpd_remote_address(request) ?? emptyString
  switch phase.call("allow_access", of: script, [client], result: .single(utf8: false)) {
  case .yes: return HookResult.ok
  case .none: return HookResult.declined
  case .no:
    if wsgi_httpd_may_authenticate_instead(request) == 0 {
      phase.report("WSGI0057: Client denied by server configuration: allow_access() returned False.", about: script)
    }
  case .missing:
    phase.report("WSGI0056: Target WSGI access script does not provide 'allow_access'.", about: script)
  case .other(let type):
    phase.report("WSGI0055: allow_access() must return True, False or None, not \(type).", about: script)
  case .text, .list, .tooLong:
    phase.report("WSGI0055: allow_access() must return True, False or None, not a string.", about: script)
  case .unavailable(let reason):
    phase.report("WSGI0054: Python cannot be used for access control: \(reason).", about: script)
  case .raised, .unloadable: break
  }
  return 403
}
