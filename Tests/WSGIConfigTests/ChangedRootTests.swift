import Testing

@testable import WSGIConfig

@Suite struct ChangedRootTests {
  @Test(arguments: [
    ("/srv/jail", "/srv/jail/app.wsgi", "/app.wsgi"), ("/srv/jail/", "/srv/jail/app.wsgi", "/app.wsgi"),
    ("/srv/jail", "/srv/jail//app.wsgi", "//app.wsgi"), ("/", "/srv/app.wsgi", "/srv/app.wsgi"),
    ("///", "/srv/app.wsgi", "/srv/app.wsgi"),
  ])
  func leavesOffTheRootsOwnPath(root: String, outside: String, inside: String) {
    let root = ChangedRoot(ByteText(root))
    #expect(root.inside([UInt8](outside.utf8)) == [UInt8](inside.utf8))
    #expect(root.prefixLength(of: [UInt8](outside.utf8).span) == outside.utf8.count - inside.utf8.count)
  }

  @Test(arguments: ["/srv/jail", "/srv/jailed/app.wsgi", "/srv/app.wsgi", "srv/jail/app.wsgi", "", "/"])
  func knowsWhatIsOutside(path: String) {
    let root = ChangedRoot("/srv/jail")
    #expect(root.prefixLength(of: [UInt8](path.utf8).span) == nil)
    #expect(root.inside([UInt8](path.utf8)) == [UInt8](path.utf8))
  }

  @Test func leadsOutAgain() {
    #expect(ChangedRoot("/srv/jail/").outside("/app.wsgi") == "/srv/jail/app.wsgi")
    #expect(ChangedRoot("/").outside("/app.wsgi") == "/app.wsgi")
  }
}
