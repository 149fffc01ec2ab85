import CInstallation
import Glibc

/// All that `doctor` looks at, in the order in which it has to be right.
struct Examination {
  let httpd: String
  /// nil: httpd's own.
  let config: String?

  func run() throws -> [Finding] {
    var found: [Finding] = []
    if !Identity.isRoot {
      found.append(
        .warn("rights", "'\(Identity.current)' cannot look at everything that root and other users can", "run it as root"))
    }
    let test = try ConfigurationTest(httpd, config)
    found += test.findings { MessageList.manual.entry(String($0.dropFirst(4)))?.remedy }
    guard test.status == 0 else { return found + SystemChecks.packages() }
    guard let server = test.server else { return found + (try moduleProblem()) + SystemChecks.packages() }
    let checks = ServerChecks(server, test.groups)
    found.append(.ok("module", "mod_wsgi \(server["version"] ?? "?") in \(server["directory"] ?? "?")"))
    found += SystemChecks.packages() + checks.run()
    found += PythonChecks(server, test.groups, test.scripts).run()
    found += SystemChecks.denials()
    for log in checks.logs { found += LogChecks.findings(log) }
    return found
  }

  /// The module has told nothing: it is not loaded, or it is another one.
  private func moduleProblem() throws(CommandFailure) -> [Finding] {
    let modules = try ConfigurationTest(httpd, config, ["-D", "DUMP_MODULES"]).messages
    if modules.contains(where: { $0.contains("wsgi_module") }) {
      return [
        .fail(
          "module", "the mod_wsgi that is loaded is another, or an older one",
          "let LoadModule name \(Installation.found.directory)/mod_wsgi.so; see the chapter on migrating")
      ]
    }
    let installation = Installation.found
    let remedy =
      installation.hasModule
      ? "a2enmod wsgi, or add: LoadModule wsgi_module \(installation.directory)/mod_wsgi.so" : "install it: make install"
    return [.fail("module", "the configuration does not load wsgi_module", remedy)]
  }
}
