import CHTTPD
import Glibc
import WSGIConfig

/// What must hold before a script is run, in the order in which it is looked at.
struct HandlerChecks {
  let target: wsgi_httpd_target
  let isAliased: Bool
  let handlerScript: HandlerScript?

  /// That the resource may be run as a script. A handler script is not the requested resource, which then need not exist.
  func checkScript() throws(Refusal) {
    if target.may_execute == 0, handlerScript.map(\.requiresExecCGI) ?? !isAliased {
      throw Refusal(403, "WSGI0134: Options ExecCGI is off in this directory; add 'Options +ExecCGI' or use WSGIScriptAlias.")
    }
    guard handlerScript == nil else { return }
    guard target.file_exists != 0 else { throw Refusal(404, "WSGI0135: Target WSGI script not found or unable to stat.") }
    guard target.file_is_directory == 0 else {
      throw Refusal(403, "WSGI0136: Attempt to invoke directory as WSGI application.")
    }
    if target.rejects_path_info != 0, let info = target.path_info, info.pointee != 0 {
      throw Refusal(404, "WSGI0137: AcceptPathInfo off disallows user's path.")
    }
  }

  /// That the request's body is one that can be read.
  func checkBody(allowsChunked: Bool) throws(Refusal) -> RequestBody {
    if let encoding = target.transfer_encoding {
      guard strcasecmp(encoding, "chunked") == 0 else {
        throw Refusal(501, "WSGI0138: Unexpected value for Transfer-Encoding of '\(String(cString: encoding))' supplied.")
      }
      guard allowsChunked else {
        throw Refusal(411, "WSGI0139: Chunked request content not supported; WSGIChunkedRequest is off.")
      }
      return RequestBody(length: -1, isThere: true)
    }
    guard let text = target.content_length else { return RequestBody(length: -1, isThere: false) }
    guard let length = ContentLength.parse(rawBytes(of: text)) else {
      throw Refusal(400, "WSGI0141: Invalid Content-Length header value of '\(String(cString: text))' was supplied.")
    }
    guard target.body_limit <= 0 || length <= target.body_limit else {
      throw Refusal(
        413, "WSGI0350: Request body of \(length) bytes is larger than LimitRequestBody \(target.body_limit).", level: .info)
    }
    return RequestBody(length: length, isThere: length > 0)
  }
}

struct RequestBody {
  /// -1: none, or not known.
  let length: Int64
  let isThere: Bool
}

enum ContentLength {
  /// Digits and nothing else, at most what fits.
  static func parse(_ text: UnsafeRawBufferPointer) -> Int64? {
    guard !text.isEmpty else { return nil }
    var value: Int64 = 0
    for byte in text {
      guard byte >= 0x30, byte <= 0x39 else { return nil }
      let (product, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carried) = product.addingReportingOverflow(Int64(byte - 0x30))
      guard !overflow, !carried else { return nil }
      value = sum
    }
    return value
  }
}
