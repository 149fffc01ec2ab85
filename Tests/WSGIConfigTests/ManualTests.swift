import Glibc
import Testing

@testable import WSGIConfig

/// The tables of the manual's reference are those of the code.
@Suite struct ManualTests {
  private static let newDirectives: Set = [
    "WSGIControlSocket",
    "WSGIDaemonTemplate",
    "WSGIMaxInterpreters",
    "WSGIReloadGenerations",
    "WSGIReloadMechanism",
    "WSGISpoolLimit",
    "WSGIStatusPaths",
  ]

  @Test func everyDirectiveHasARowWithItsContextAndDefault() {
    for directive in Directive.table {
      let name = directive.isSection ? "\(directive.name) …>" : "\(directive.name)"
      let isAdded = ["WSGIHandlerScript", "WSGIDispatchScript", "WSGIPassApacheRequest"].contains(name)
      let mark = ManualTests.newDirectives.contains(name) ? " **new**" : ""
      let row =
        "| `\(name)`\(directive.isScopable ? " ¹" : "")\(mark) | \(places(directive.context, isAdded: isAdded)) | "
        + "\(directive.defaultValue) | \(directive.usage) |"
      #expect(lines.contains { $0 == row }, "\(row)")
    }
    #expect(lines.count { $0.hasPrefix("| `WSGI") || $0.hasPrefix("| `<WSGI") } >= Directive.table.count)
  }

  @Test func everyOptionOfWSGIDaemonProcessHasARowWithItsDefault() {
    for option in DaemonProcessOption.table {
      let row = "| `\(option.name)=`\(option.isAddition ? " **new**" : "") | \(option.defaultValue) | "
      #expect(lines.contains { $0.hasPrefix(row) }, "\(row)")
    }
  }

  @Test func everyOptionOfWSGIDaemonTemplateHasARowWithItsDefault() {
    for option in DaemonProcessOption.ofTemplates {
      #expect(lines.contains { $0.hasPrefix("| `\(option.name)=` | `\(option.defaultValue)` | ") }, "\(option.name)")
    }
  }

  private func places(_ context: DirectiveContext, isAdded: Bool) -> String {
    switch context {
    case .global: "server"
    case .server: "server, vhost"
    case .serverAndDirectory: "server, vhost, directory"
    case .everywhere: "everywhere; `.htaccess`\(isAdded ? " (**new**)" : ""): FileInfo"
    case .directoryAuth: "directory; `.htaccess`: AuthConfig"
    }
  }

  private let lines: [Substring] = {
    let path = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined() + "/conf/manual/reference.md"
    guard let file = fopen(path, "r") else { return [] }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes[..<count], as: UTF8.self).split(separator: "\n")
  }()
}
