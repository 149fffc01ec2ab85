import Testing

@testable import WSGICore

@Suite struct ScriptOwnerTests {
  private static let own = FileOwnership(user: 1001, group: 50, mode: 0o100644)

  @Test func itsTextIsReadBack() {
    for owner in [ScriptOwner.user(0), .user(1001), .group(UInt32.max)] { #expect(ScriptOwner(owner.text) == owner) }
    for text in ["", "user", "user:", "user:x", "user:-1", "other:1", "user:1:2", "user:4294967296"] {
      #expect(ScriptOwner(text) == nil, "\(text)")
    }
  }

  static let cases: [(owner: ScriptOwner, script: FileOwnership?, directory: FileOwnership?, number: String?)] = [
    (.user(1001), own, own, nil), (.group(50), own, own, nil),
    (.user(1001), nil, own, "WSGI0162"), (.user(1001), own, nil, "WSGI0168"), (.group(50), nil, own, "WSGI0153"),
    (.user(1002), own, own, "WSGI0163"), (.group(51), own, own, "WSGI0154"),
    (.user(1001), FileOwnership(user: 1001, group: 50, mode: 0o664), own, "WSGI0164"),
    (.group(50), FileOwnership(user: 1001, group: 50, mode: 0o664), own, nil),
    (.user(1001), FileOwnership(user: 1001, group: 50, mode: 0o646), own, "WSGI0165"),
    (.group(50), FileOwnership(user: 1001, group: 50, mode: 0o646), own, "WSGI0155"),
    (.user(1001), own, FileOwnership(user: 0, group: 0, mode: 0o755), "WSGI0169"),
    (.user(1001), own, FileOwnership(user: 1001, group: 0, mode: 0o775), "WSGI0170"),
    (.group(50), own, FileOwnership(user: 0, group: 50, mode: 0o1777), "WSGI0159"),
  ]

  @Test(arguments: cases.indices)
  func checks(_ index: Int) {
    let test = ScriptOwnerTests.cases[index]
    var message: String?
    do throws(ScriptOwnershipFailure) {
      try test.owner.check(script: test.script, directory: test.directory)
    } catch {
      message = test.owner.message(error, processGroup: "shop")
    }
    #expect(message.map { String($0.prefix(8)) } == test.number, "\(message ?? "allowed")")
    if let message { #expect(message.hasSuffix("of process group 'shop' forbids.")) }
  }
}
