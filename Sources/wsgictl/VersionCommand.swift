import ArgumentParser
import ProcessSupervision
import WSGICore

struct VersionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "version", abstract: "Print the versions of this command and of the installed module and engines.")

  func run() {
    let installation = Installation.found
    var lines = ["wsgictl \(ModuleVersion.text)"]
    if installation.hasModule {
      lines.append("module  \(installation.directory)/mod_wsgi.so")
    } else {
      lines.append("module  not installed in \(installation.directory)")
    }
    for version in installation.engines.versions.sorted() {
      lines.append("engine  Python \(version), \(installation.engines.file(of: version))")
    }
    if installation.engines.versions.isEmpty { lines.append("engine  none in \(installation.directory)") }
    Output.write(lines.joined(separator: "\n") + "\n")
  }
}
