import CHTTPD
import WSGIConfig
import WSGICore

// MARK: - AuthBasicProvider and AuthDigestProvider `wsgi`: who is it?

private enum AuthResult {
  static let denied = Int32(WSGI_HTTPD_AUTH_DENIED)
  static let granted = Int32(WSGI_HTTPD_AUTH_GRANTED)
  static let userFound = Int32(WSGI_HTTPD_AUTH_USER_FOUND)
  static let noUser = Int32(WSGI_HTTPD_AUTH_NO_USER)
  static let error = Int32(WSGI_HTTPD_AUTH_ERROR)
}

/// Whatever is not an answer that the function may give is an error, which httpd answers with 500.
@c @implementation
func wsgi_swift_check_password(
  _ request: OpaquePointer, _ user: UnsafePointer<CChar>, _ password: UnsafePointer<CChar>
) -> Int32 {
  guard let phase = AuthPhase(request), let call = phase.call(phase.directory.value.authUserScript) else {
    log(.error, request: request, script: nil, "WSGI0041: Location of WSGI user authentication script not provided.")
    return AuthResult.error
  }
  switch phase.run(call, "check_password", [user, password], [.utf8, .secret]) {
  case .yes: return AuthResult.granted
  case .no: return AuthResult.denied
  case .none: return AuthResult.noUser
  case .text(let name) where !name.isEmpty:
    withCString(name) { wsgi_httpd_set_user(request, $0) }
    return AuthResult.granted
  case .text: call.report("WSGI0176: check_password() must not return an empty user name.")
  case .other(let type): reject(type)
  case .bytes: reject("bytes")
  case .missing: call.report("WSGI0043: Target WSGI user authentication script does not provide 'check_password'.")
  case .unavailable(let reason): call.report("WSGI0042: Python cannot be used for authentication: \(reason).")
  case .failed, .unloadable, .list, .choices, .otherItem, .wideItem: break
  }
  return AuthResult.error

  func reject(_ type: String) {
    call.report("WSGI0177: check_password() must return True, False, None or a user name, not \(type).")
  }
}

@c @implementation
func wsgi_swift_get_realm_hash(
  _ request: OpaquePointer, _ user: UnsafePointer<CChar>, _ realm: UnsafePointer<CChar>,
  _ hash: UnsafeMutablePointer<UnsafePointer<CChar>?>
) -> Int32 {
  guard let phase = AuthPhase(request), let call = phase.call(phase.directory.value.authUserScript) else {
    log(.error, request: request, script: nil, "WSGI0044: Location of WSGI user authentication script not provided.")
    return AuthResult.error
  }
  switch phase.run(call, "get_realm_hash", [user, realm], []) {
  case .none: return AuthResult.noUser
  case .text(let value) where !value.isEmpty, .bytes(let value) where !value.isEmpty:
    hash.pointee = value.withUnsafeBytes { UnsafePointer(poolCopy($0, wsgi_httpd_request_pool(request))) }
    return AuthResult.userFound
  case .text, .bytes: call.report("WSGI0178: get_realm_hash() must not return an empty value.")
  case .yes, .no: reject("bool")
  case .other(let type): reject(type)
  case .missing: call.report("WSGI0046: Target WSGI user authentication script does not provide 'get_realm_hash'.")
  case .unavailable(let reason): call.report("WSGI0045: Python cannot be used for authentication: \(reason).")
  case .failed, .unloadable, .list, .choices, .otherItem, .wideItem: break
  }
  return AuthResult.error

  func reject(_ type: String) { call.report("WSGI0179: get_realm_hash() must return None or a string, not \(type).") }
}

// MARK: - `Require wsgi-group` and WSGIAccessScript: may it be served?

private enum GroupResult {
  static let yes = Int32(WSGI_HTTPD_IN_GROUP)
  static let no = Int32(WSGI_HTTPD_NOT_IN_GROUP)
  static let error = Int32(WSGI_HTTPD_GROUP_ERROR)
}

/// Whether the user is in one of the groups. The items of an iterable before an exception count, so that they may grant; what
/// they do not hold is not known.
@c @implementation
func wsgi_swift_check_group(_ request: OpaquePointer, _ user: UnsafePointer<CChar>, _ required: UnsafePointer<CChar>) -> Int32 {
  guard let phase = AuthPhase(request), let call = phase.call(phase.directory.value.authGroupScript) else {
    log(.error, request: request, script: nil, "WSGI0058: Location of WSGI group authorization script not provided.")
    return GroupResult.error
  }
  switch phase.run(call, "groups_for_user", [user], .list) {
  case .list(let groups, let isWhole):
    let other = isWhole ? GroupResult.no : GroupResult.error
    if groups.isEmpty {
      call.report("WSGI0059: Authorization of user '\(ByteText(user))' failed: the user is in no group.")
      return other
    }
    var line = required
    while let wanted = wsgi_httpd_next_word(request, &line) {
      let wanted = ByteText(wanted)
      // The whole of a name counts, also of one with a NUL in it, which a C string would end at.
      if groups.contains(where: { ByteText($0).equalsIgnoringCase(wanted) }) { return GroupResult.yes }
    }
    call.report("WSGI0060: Authorization of user '\(ByteText(user))' failed: the user is in no required group.")
    return other
  case .otherItem(let type): call.report("WSGI0050: groups_for_user() must yield str or bytes, not \(type).")
  case .wideItem: call.report("WSGI0049: groups_for_user() must yield str with latin-1 characters only.")
  case .missing: call.report("WSGI0052: Target WSGI group authorization script does not provide 'groups_for_user'.")
  case .other(let type): call.report("WSGI0051: groups_for_user() must return an iterable, not \(type).")
  case .unavailable(let reason): call.report("WSGI0048: Python cannot be used for authorization: \(reason).")
  case .failed, .unloadable, .none, .yes, .no, .text, .bytes, .choices: break
  }
  return GroupResult.error
}

/// Whatever keeps the answer from being known refuses the client.
@c @implementation
func wsgi_swift_check_access(_ request: OpaquePointer) -> Int32 {
  guard let phase = AuthPhase(request), let call = phase.call(phase.directory.value.accessScript) else {
    return HookResult.declined
  }
  let client = wsgi_httpd_remote_host(request) ?? phase.view.remote_address ?? emptyString
  switch phase.run(call, "allow_access", [client], []) {
  case .yes: return HookResult.ok
  case .none: return HookResult.declined
  case .no: break
  case .missing: call.report("WSGI0056: Target WSGI access script does not provide 'allow_access'.")
  case .other(let type): reject(type)
  case .text: reject("str")
  case .bytes: reject("bytes")
  case .unavailable(let reason): call.report("WSGI0054: Python cannot be used for access control: \(reason).")
  case .failed, .unloadable, .list, .choices, .otherItem, .wideItem: break
  }
  // With `Satisfy Any` it is nothing to report that a client must tell who it is.
  if wsgi_httpd_may_authenticate_instead(request) == 0 {
    let uri = ByteText(phase.view.uri ?? emptyString)
    call.report("WSGI0057: Client denied by server configuration: '\(uri)'.")
  }
  return 403

  func reject(_ type: String) { call.report("WSGI0055: allow_access() must return True, False or None, not \(type).") }
}
