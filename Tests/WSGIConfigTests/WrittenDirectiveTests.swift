import Testing
import WSGIConfig

/// A directive of a text, one a line; a section ends with `</`. A node keeps its tree, as in httpd.
private final class Node: WrittenDirective {
  let name: ByteText
  let arguments: ByteText
  let file: ByteText? = "httpd.conf"
  let line: UInt32
  private(set) var next: Node?
  private(set) var firstChild: Node?
  private(set) var parent: Node?

  private init(_ name: String, _ arguments: String, _ line: UInt32, _ parent: Node?) {
    self.name = ByteText(name)
    self.arguments = ByteText(arguments)
    self.line = line
    self.parent = parent
  }

  static func tree(_ text: String) -> Node? {
    var first: Node?
    var last: Node?
    var open: [Node] = []
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() where !line.isEmpty {
      if line.hasPrefix("</") {
        last = open.removeLast()
        continue
      }
      let words = line.split(separator: " ", maxSplits: 1).map(String.init)
      // httpd drops the bracket that ends a name.
      let node = Node(
        words[0].hasSuffix(">") ? String(words[0].dropLast()) : words[0], words.count > 1 ? words[1] : "", UInt32(index + 1),
        open.last)
      if let last { last.next = node } else if let parent = open.last { parent.firstChild = node } else { first = node }
      last = node
      if line.hasPrefix("<") {
        open.append(node)
        last = nil
      }
    }
    return first
  }

  func node(atLine line: UInt32) -> Node? {
    self.line == line ? self : firstChild?.node(atLine: line) ?? next?.node(atLine: line)
  }
}

@Suite struct WrittenDirectiveTests {
  @Test(arguments: [
    ("<Location /x>\nSetHandler wsgi-status\nRequire local\n</Location>", 2, StatusGuard.guarded),
    ("<location /x>\nREQUIRE local\nsethandler wsgi-status\n</location>", 3, .guarded),
    ("<Location /x>\nSetHandler wsgi-status\n</Location>", 2, .unguarded),
    // A Require around the section is the section's neighbour's.
    ("<Directory />\nRequire all granted\n<Files x>\nSetHandler wsgi-status\n</Files>\n</Directory>", 4, .unguarded),
    ("Require all granted\n<VirtualHost *>\nSetHandler wsgi-status\n</VirtualHost>", 3, .unguarded),
    ("<Location /x>\nSetHandler wsgi-status\n<Limit GET>\nRequire local\n</Limit>\n</Location>", 2, .guarded),
    // What only groups directives is part of the section around it, the handler's own and the Require's.
    ("<Location /x>\n<IfModule a>\nSetHandler wsgi-status\n</IfModule>\nRequire local\n</Location>", 3, .guarded),
    ("<Location /x>\nSetHandler wsgi-status\n<RequireAny>\nRequire local\n</RequireAny>\n</Location>", 2, .guarded),
    ("<Location /x>\nSetHandler wsgi-status\n<IfVersion 2>\nRequire local\n</IfVersion>\n</Location>", 2, .guarded),
    // A section within has settings of its own.
    ("<Location /x>\nSetHandler wsgi-status\n<If a>\nRequire local\n</If>\n</Location>", 2, .unguarded),
    ("<Location /x>\nSetHandler wsgi-status\nRequire local\n</Location>", 3, .notFound),
    ("<Location /x>\nSetHandler wsgi-status\nRequire local\n</Location>", 9, .notFound),
    ("", 1, .notFound),
  ])
  func theStatusPageIsGuardedByItsOwnSection(text: String, line: UInt32, expected: StatusGuard) {
    #expect(StatusGuard(file: "httpd.conf", line: line, in: Node.tree(text)) == expected)
    #expect(StatusGuard(file: "other.conf", line: line, in: Node.tree(text)) == .notFound)
  }

  @Test(arguments: [
    ("Require wsgi-group a", 1, true), ("require wsgi-group a", 1, true), ("Require not wsgi-group a", 1, false),
    ("Require \"Not\" wsgi-group a", 1, false), ("<RequireAll>\nRequire wsgi-group a\n</RequireAll>", 2, true),
    ("<requirenone>\nRequire wsgi-group a\n</requirenone>", 2, false),
    ("<RequireNone>\n<RequireAll>\nRequire wsgi-group a\n</RequireAll>\n</RequireNone>", 3, false),
    ("<RequireNone>\n</RequireNone>\nRequire wsgi-group a", 3, true), ("<AuthzProviderAlias wsgi-group x>", 1, false),
  ])
  func denialIsSafeWhereItGrantsNothing(text: String, line: UInt32, expected: Bool) {
    #expect(Node.tree(text)?.node(atLine: line)?.isDenialSafe == expected)
  }
}
