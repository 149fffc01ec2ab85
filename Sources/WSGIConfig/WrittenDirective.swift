/// A directive of the configuration as it was written; a section has others within it.
public protocol WrittenDirective {
  /// `Require`, `<Location`.
  var name: ByteText { get }
  var arguments: ByteText { get }
  /// Where it stands; nil if it is not part of the server's configuration.
  var file: ByteText? { get }
  var line: UInt32 { get }
  var next: Self? { get }
  var firstChild: Self? { get }
  var parent: Self? { get }
}

extension WrittenDirective {
  /// It and those that follow it.
  public var chain: some Sequence<Self> { sequence(first: self) { $0.next } }
  private var ancestors: some Sequence<Self> { sequence(first: self) { $0.parent }.dropFirst() }

  fileprivate func isNamed(_ other: ByteText) -> Bool { name.equalsIgnoringCase(other) }

  private func begins(with prefix: ByteText) -> Bool { ByteText(name.bytes.prefix(prefix.count)[...]).equalsIgnoringCase(prefix) }

  /// Sections that httpd keeps settings of their own for. Others, <IfModule> or <RequireAny>, are part of the one around them.
  fileprivate var isScope: Bool {
    let transparent: [ByteText] = ["<IfModule", "<IfDefine", "<IfVersion", "<IfFile", "<IfDirective", "<IfSection"]
    let scopes: [ByteText] = ["<Location", "<Directory", "<Files", "<If", "<Else", "<Proxy", "<VirtualHost"]
    return !transparent.contains { isNamed($0) } && scopes.contains { begins(with: $0) }
  }

  /// Whether a section that begins with this directive has a Require that is its own.
  fileprivate var beginsRequirement: Bool {
    chain.contains { directive in
      if directive.begins(with: "Require") || directive.begins(with: "<Require") { return true }
      guard !directive.isScope, let child = directive.firstChild else { return false }
      return child.beginsRequirement
    }
  }
}

/// Whether the status page is guarded by intent: the section that sets its handler must have a Require. One that happens to be
/// in force there, such as the `Require all granted` of a document root, is not enough.
public enum StatusGuard: Equatable, Sendable {
  /// No SetHandler of the server's configuration stands there: it is one of an `.htaccess` file, or another directive.
  case notFound
  case unguarded
  case guarded

  /// - file, line: where the handler was set.
  /// - tree: the first directive of the configuration.
  public init<Directive: WrittenDirective>(file: ByteText, line: UInt32, in tree: Directive?) {
    self = tree.flatMap { StatusGuard.find(file, line, from: $0, scope: $0) } ?? .notFound
  }

  /// `scope`: the first directive of the section that `directive` belongs to.
  private static func find<Directive: WrittenDirective>(
    _ file: ByteText, _ line: UInt32, from directive: Directive, scope: Directive
  ) -> StatusGuard? {
    for directive in directive.chain {
      if let child = directive.firstChild {
        if let found = find(file, line, from: child, scope: directive.isScope ? child : scope) { return found }
      } else if directive.line == line, directive.file == file, directive.isNamed("SetHandler") {
        return scope.beginsRequirement ? .guarded : .unguarded
      }
    }
    return nil
  }
}

extension WrittenDirective {
  /// Whether a `Require wsgi-group` may be denied if the groups of a user are unknown. To deny is safe only where denial does
  /// not become the reason to grant: not after `not`, within <RequireNone>, or by another name (<AuthzProviderAlias>), which
  /// may be used anywhere.
  public var isDenialSafe: Bool {
    guard isNamed("Require") else { return false }
    var line = ConfigLine(arguments)
    if line.nextWord()?.equalsIgnoringCase("not") == true { return false }
    return !ancestors.contains { $0.isNamed("<RequireNone") }
  }
}
