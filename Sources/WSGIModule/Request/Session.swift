import CHTTPD
import DaemonTransport
import Glibc
import ProcessSupervision
import WSGICore

/// The session of a request: with which slot of its process group it stays, as far as the request says.
struct Session {
  private(set) var slots: SessionSlots
  private let board: GroupScoreboard
  /// The slot that a cookie validly names.
  private(set) var cookieSlot: Int?
  /// Of the value of `sticky-header=`.
  private var hash: SessionHash?

  /// Looks at the request, and takes the cookie out of the headers that the application will see.
  init(_ slots: SessionSlots, _ board: GroupScoreboard, _ fields: inout wsgi_httpd_request, _ pool: OpaquePointer) {
    self.slots = slots
    self.board = board
    if let cookie = slots.cookie {
      takeCookie(cookie, &fields, pool)
    } else {
      hash = Session.value(of: slots.header, fields).map { SessionHash(rawBytes(of: $0)) }
    }
  }

  private mutating func takeCookie(_ cookie: SessionCookie, _ fields: inout wsgi_httpd_request, _ pool: OpaquePointer) {
    var changed: UnsafeMutablePointer<wsgi_httpd_entry>?
    for index in 0..<fields.headers.count {
      guard let entry = fields.headers.entries?[index], let name = entry.key, let value = entry.value,
        strcasecmp(name, "Cookie") == 0
      else { continue }
      let rest = cookie.take(from: rawBytes(of: value))
      cookieSlot = cookieSlot ?? rest.slot
      guard let bytes = rest.bytes else { continue }
      // httpd's own table stays as it is: access logs and other modules read it.
      let entries = changed ?? Session.copy(fields.headers, pool)
      changed = entries
      entries[index].value = bytes.withUnsafeBytes { UnsafePointer(poolCopy($0, pool)) }
      // One that held nothing else is not there.
      if bytes.isEmpty { entries[index].key = nil }
    }
    if let changed { fields.headers.entries = UnsafePointer(changed) }
  }

  private static func copy(_ table: wsgi_httpd_table, _ pool: OpaquePointer) -> UnsafeMutablePointer<wsgi_httpd_entry> {
    let bytes = UnsafeRawBufferPointer(UnsafeBufferPointer(start: table.entries, count: table.count))
    return UnsafeMutableRawPointer(poolCopy(bytes, pool)).assumingMemoryBound(to: wsgi_httpd_entry.self)
  }

  /// The variable of that name, which the administrator has set, or the header; nil: it is missing or empty.
  private static func value(of name: [UInt8], _ fields: wsgi_httpd_request) -> UnsafePointer<CChar>? {
    withCString(name) { name in
      for table in [fields.variables, fields.headers] {
        for entry in UnsafeBufferPointer(start: table.entries, count: table.count) {
          if let key = entry.key, strcasecmp(key, name) == 0, let value = entry.value, value.pointee != 0 { return value }
        }
      }
      return nil
    }
  }

  /// The slot for the request now. A cookie's may wait for the process that starts there; hashing goes by those that are ready.
  func servingSlot() -> Int? {
    if let cookieSlot { return isServed(cookieSlot) ? cookieSlot : nil }
    guard let hash else { return nil }
    var best: (slot: Int, weight: UInt64)?
    board.forEachServingSession { slot in
      let weight = hash.weight(of: slot)
      if weight > best?.weight ?? 0 { best = (slot, weight) }
    }
    return best?.slot
  }

  func isServed(_ slot: Int) -> Bool { board.serves(session: slot) }

  /// The value of the cookie for the process that has the request; nil: none is to be set.
  func newCookie(for pid: UInt32) -> (name: [UInt8], value: [UInt8])? {
    guard let cookie = slots.cookie, let slot = board.session(of: pid), slot != cookieSlot, cookie.values.indices.contains(slot)
    else { return nil }
    return (cookie.name, cookie.values[slot])
  }

  mutating func use(_ slots: SessionSlots) { self.slots = slots }
}
