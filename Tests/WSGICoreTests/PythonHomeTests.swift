import Testing
import WSGICore

@Suite struct PythonHomeTests {
  private let v310 = PythonVersion(major: 3, minor: 10)
  private let v311 = PythonVersion(major: 3, minor: 11)
  private let v312 = PythonVersion(major: 3, minor: 12)

  private func home(_ configuration: String?, installed: [PythonVersion] = [], isDirectory: Bool = true) -> PythonHome {
    PythonHome(
      path: "/srv/env", isDirectory: isDirectory, environment: configuration.map { PythonEnvironment($0) }, installed: installed)
  }

  @Test(arguments: [
    ("version = 3.11.2", "3.11"), ("home = /usr/bin\nversion_info = 3.12.1.final.0\n", "3.12"),
    ("home=/x\r\nversion=3.13", "3.13"), ("version_info=3.14.0rc1", "3.14"), ("version = 3.13t", "3.13"),
  ])
  func environmentsTellTheirVersion(text: String, version: String) {
    #expect(PythonEnvironment(text).version?.description == version)
  }

  @Test(arguments: ["", "home = /usr/bin", "version =", "version = three", "version", "= 3.11"])
  func someDoNot(text: String) { #expect(PythonEnvironment(text).version == nil) }

  @Test(arguments: [
    ("/usr/bin/python3.12", "3.12"), ("/opt/x/python3.9", "3.9"), ("python3.13t", "3.13"), ("/usr/bin/python3", nil),
    ("/usr/bin/python", nil), ("/usr/bin/pypy3.10", nil), ("/python3.12/bin/python", nil), ("", nil),
  ])
  func interpretersTellTheirVersion(path: String, version: String?) {
    #expect(PythonVersion(interpreter: path)?.description == version)
  }

  @Test(arguments: [
    ("3.11.9", "/opt/python/bin", "3.11.2", true), ("3.11.2", "/opt/python/bin", "3.11.2", false),
    ("3.11.9", "/usr/bin", "3.11.2", false), ("3.11", "/opt/python/bin", "3.11.2", false), ("", "/opt/bin", "3.11.2", false),
    ("3.11.9.final.0", "/opt/python/bin", "3.11.2", true),
  ])
  func environmentsOfAnotherInstallationAreNamed(made: String, base: String, runs: String, isNamed: Bool) {
    let environment = PythonEnvironment("home = \(base)\nversion = \(made)\n")
    let sentence = environment.mismatch(
      home: "/srv/env", bin: environment.base ?? "", library: "/usr/lib/libpython3.11.so.1.0", release: runs)
    #expect((sentence != nil) == isNamed)
    if let sentence { for part in ["'/srv/env'", "3.11.9", "'/opt/python'", runs] { #expect(sentence.contains(part)) } }
  }

  @Test func theEngineIsThatOfTheHome() throws {
    let engines = [v310, v312, v311]
    func choose(_ home: PythonHome?, preferred: PythonVersion?) throws -> PythonVersion {
      try EngineChoice.version(home: home, engines: engines, preferred: preferred, directory: "/lib")
    }
    #expect(try choose(nil, preferred: v311) == v311)
    #expect(try choose(nil, preferred: nil) == v312)
    #expect(try choose(nil, preferred: PythonVersion(major: 3, minor: 9)) == v312)
    #expect(try choose(home("version = 3.10.4"), preferred: v311) == v310)
    #expect(try choose(home("home = /usr/bin"), preferred: v311) == v311)
    #expect(try choose(home(nil, installed: [v310, v311]), preferred: v311) == v311)
    #expect(try choose(home(nil, installed: [v310]), preferred: v311) == v310)
  }

  @Test func whatCannotBeServedSaysWhy() {
    func failure(_ home: PythonHome?, engines: [PythonVersion]) -> EngineChoiceFailure? {
      do throws(EngineChoiceFailure) {
        _ = try EngineChoice.version(home: home, engines: engines, preferred: v311, directory: "/lib")
        return nil
      } catch { return error }
    }
    #expect(failure(nil, engines: []) == .noEngines(directory: "/lib"))
    #expect(failure(home(nil, isDirectory: false), engines: [v311]) == .noHome(path: "/srv/env"))
    #expect(failure(home(nil), engines: [v311]) == .notPython(path: "/srv/env"))
    let other = failure(home("version = 3.12.0"), engines: [v311])
    #expect(other == .otherVersion(path: "/srv/env", version: v312, engines: [v311], directory: "/lib"))
    let text = other?.description ?? ""
    for part in ["'/srv/env'", "Python 3.12", "3.11", "make engine PYTHON=python3.12"] { #expect(text.contains(part)) }
  }
}
