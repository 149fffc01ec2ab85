import CHTTPD
import WSGIConfig

/// A directive in httpd's tree of the configuration, which lives as long as the configuration's reading.
struct TreeDirective: WrittenDirective {
  private let directive: wsgi_httpd_directive

  init(_ pointer: UnsafeRawPointer) { directive = wsgi_httpd_read_directive(pointer) }

  private init?(ifAny pointer: UnsafeRawPointer?) {
    guard let pointer else { return nil }
    self.init(pointer)
  }

  /// The first directive of the server's configuration.
  static var first: TreeDirective? { TreeDirective(ifAny: wsgi_httpd_configuration_tree()) }

  var name: ByteText { ByteText(directive.name) }
  var arguments: ByteText { ByteText([UInt8](rawBytes(of: directive.arguments))) }
  var file: ByteText? { directive.file.map { ByteText($0) } }
  var line: UInt32 { directive.line }
  var next: TreeDirective? { TreeDirective(ifAny: directive.next) }
  var firstChild: TreeDirective? { TreeDirective(ifAny: directive.first_child) }
  var parent: TreeDirective? { TreeDirective(ifAny: directive.parent) }
}

@c @implementation
func wsgi_swift_is_denial_safe(_ directive: UnsafeRawPointer) -> Int32 { TreeDirective(directive).isDenialSafe ? 1 : 0 }
