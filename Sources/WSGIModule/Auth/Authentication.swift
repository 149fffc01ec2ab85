import CHTTPD
import WSGIConfig
import WSGICore

// AuthBasicProvider and AuthDigestProvider `wsgi`: who is it?

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

  func reject(_ type: String) {
    call.report("WSGI0179: get_realm_hash() must return None or a string, not \(type).")
  }
}
