import CHTTPD
import Glibc
import Platform
import WSGIConfig
import WSGICore
import WSGIStatus

/// The handler `wsgi-status`: how process groups and their processes are, for people and for programs.
///
/// It shows what concerns all tenants of the server, so that a Require must apply to the request, and see `StatusGuard`.
struct StatusHandler {
  let request: OpaquePointer
  let generation: Generation

  func run() -> Int32 {
    guard wsgi_httpd_is_get_or_head(request) != 0 else { return 405 }
    if let problem {
      log(.error, request: request, script: nil, "WSGI0520: The status page is refused: \(problem).")
      return 403
    }
    let discarded = wsgi_httpd_discard_body(request)
    guard discarded == 0 else { return discarded }
    let query = StatusQuery(text(wsgi_httpd_look_at(request).arguments), accept: text(wsgi_httpd_request_accept(request)))
    return send(answer(to: query))
  }

  private struct Answer {
    var status: Int32 = 200
    var type: String
    var bytes: [UInt8]

    /// A line of text.
    init(_ status: Int32, _ line: String) {
      self.status = status
      type = "text/plain; charset=utf-8"
      bytes = Array((line + "\n").utf8)
    }

    init(_ report: StatusReport, _ query: StatusQuery) {
      type = query.format.contentType
      bytes = report.rendered(query)
    }
  }

  /// Made by one thread, whoever asks: of a thousand groups it takes megabytes, which each of malloc's arenas would keep.
  private func answer(to query: StatusQuery) -> Answer {
    final class Made { var answer = Answer(500, "error") }
    let made = Made()
    let make = {
      var collection = StatusCollection(generation, request)
      if let name = query.ready {
        let (isKnown, why) = collection.unreadiness(of: name)
        made.answer =
          isKnown
          ? Answer(why == nil ? 200 : 503, why.map { "not ready: \($0)" } ?? "ready") : Answer(404, "unknown process group")
        return
      }
      let report = collection.report(of: query.group)
      made.answer =
        query.group != nil && report.groups.isEmpty ? Answer(404, "unknown process group") : Answer(report, query)
    }
    if !StatusHandler.maker.run(make) { make() }
    return made.answer
  }

  private static let maker = JobThread()
  private static let piece = 32_768

  /// Why the page may not be shown, as the end of a sentence.
  private var problem: String? {
    let place = wsgi_httpd_handler_place(request)
    let file = place.file.map { ByteText($0) } ?? ""
    let guarding = StatusGuard(file: file, line: place.line, in: TreeDirective.first)
    guard guarding != .notFound else { return "its handler was not set by a SetHandler of the server's configuration" }
    guard guarding == .guarded, wsgi_httpd_requires_authorization(request) != 0 else {
      return "the section of 'SetHandler wsgi-status' at \(file):\(place.line) has no Require of its own; add 'Require local',"
        + " or who else may see it"
    }
    return nil
  }

  private func text(_ value: UnsafePointer<CChar>?) -> String { String(decoding: rawBytes(of: value), as: UTF8.self) }

  private func send(_ answer: Answer) -> Int32 {
    let page = answer.bytes
    let pool = wsgi_httpd_request_pool(request)
    func add(_ name: String, _ value: String) { wsgi_httpd_add_header(request, poolCopy(name, pool), poolCopy(value, pool)) }
    add("Cache-Control", "no-store")
    add("Vary", "Accept")
    add("X-Content-Type-Options", "nosniff")
    // Nothing on the page comes from elsewhere, and nothing on it runs.
    add(
      "Content-Security-Policy",
      "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
    if answer.status != 200 { wsgi_httpd_set_status(request, answer.status, start(of: .init(start: nil, count: 0)), 0) }
    wsgi_httpd_set_content_type(request, poolCopy(answer.type, pool))
    wsgi_httpd_set_content_length(request, Int64(page.count))
    // In pieces: what cannot be sent at once is copied, and would be kept at the page's size.
    let brigade = wsgi_httpd_make_brigade(request)
    let result = page.withUnsafeBytes { bytes -> Int32 in
      var rest = bytes[...]
      while true {
        let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(StatusHandler.piece))
        rest = rest.dropFirst(piece.count)
        let flags = rest.isEmpty ? WriteFlag.end : 0
        let result = wsgi_httpd_write(request, brigade, start(of: piece), piece.count, flags)
        if rest.isEmpty || result != 0 { return result }
      }
    }
    return result == ExchangeFailure.answered.rawValue ? HookResult.answered : HookResult.ok
  }
}

extension StatusReport {
  fileprivate func rendered(_ query: StatusQuery) -> [UInt8] {
    switch query.format {
    case .html: StatusPage.render(self, query)
    case .json: StatusJSON.render(self)
    case .openMetrics: StatusMetrics.render(self, isOpenMetrics: true)
    case .prometheus: StatusMetrics.render(self, isOpenMetrics: false)
    }
  }
}
