import CHTTPD
import WSGIConfig

extension ChangedRoot {
  /// The path of a script for a process whose root this is.
  func inside(script: UnsafePointer<CChar>) throws(Refusal) -> UnsafePointer<CChar> {
    if let inside = inside(script) { return inside }
    throw Refusal(
      502, "WSGI0081: The script is outside the chroot=\(ByteText(path)) of its process group; put it below that directory.")
  }

  /// What the environ says of files is what the process finds; of what it cannot see the environ says nothing.
  func enter(_ fields: inout wsgi_httpd_request) {
    fields.filename = fields.filename.flatMap { inside($0) }
    fields.document_root = fields.document_root.flatMap { inside($0) }
    fields.context_document_root = fields.context_document_root.flatMap { inside($0) }
  }

  /// The rest of the string; nil where it is no path below the root.
  private func inside(_ path: UnsafePointer<CChar>) -> UnsafePointer<CChar>? {
    prefixLength(of: rawBytes(of: path).bindMemory(to: UInt8.self).span).map { path + $0 }
  }
}
