import Testing
import WSGICore

@Suite struct PythonHomeTests {
  private let v310 = PythonVersion(major: 3, minor: 10)
  private let v311 = PythonVersion(major: 3, minor: 11)
  private let v312 = PythonVersion(major: 3, minor: 12)

  private func home(_ configuration: String?, installed: [PythonVersion] = [], isDirectory: Bool = true) -> PythonHome {
    PythonHome(path: "/srv/env", isDirectory: isDirectory, environment: configuration, installed: installed)
  }

  @Test(arguments: [
    ("version = 3.11.2", "3.11"), ("home = /usr/bin\nversion_info = 3.12.1.final.0\n", "3.12"),
    ("home=/x\r\nversion=3.13", "3.13"), ("version_info=3.14.0rc1", "3.14"), ("version = 3.13t", "3.13"),
  ])
  func environmentsTellTheirVersion(text: String, version: String) {
    #expect(home(text).environmentVersion?.description == version)
  }

  @Test(arguments: ["", "home = /usr/bin", "version =", "version = three", "version", "= 3.11"])
  func someDoNot(text: String) { #expect(home(text).environmentVersion == nil) }

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
