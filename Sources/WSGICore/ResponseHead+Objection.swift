extension ResponseHead {
  /// Why httpd must not send this head; nil: it may. An engine has seen to all of it, but what runs in a daemon process is a
  /// tenant's, and may speak for itself.
  public func objection() throws(FlatFailure) -> String? {
    guard HeaderSyntax.isFieldContent(reason) else { return "control character in reason phrase \(bytesLiteral(reason))" }
    var headers = headers
    for _ in 0..<headerCount {
      let (name, value) = try headers.readPair()
      guard let value else { return "header \(bytesLiteral(name)) has no value" }
      guard HeaderSyntax.isToken(name), HeaderSyntax.isFieldContent(value) else {
        return "malformed header \(bytesLiteral(name)) with value \(bytesLiteral(value))"
      }
      switch HeaderSyntax.meaning(name) {
      case .ordinary: break
      case .contentLength where HeaderSyntax.length(value) == contentLength: break
      case .contentLength: return "malformed or conflicting content length \(bytesLiteral(value))"
      case .connection where HeaderSyntax.equals(value, "close"): break
      case .connection, .hopByHop:
        return "header \(bytesLiteral(name)) with value \(bytesLiteral(value)) is the server's to send"
      }
    }
    return nil
  }
}
