import Glibc
import Testing
import WSGICore

@testable import ProcessSupervision

@Suite struct InstalledEnginesTests {
  /// A directory that is made as it is asked for, and goes with the test.
  private final class Tree {
    let path: String

    init() {
      var template = Array("/tmp/wsgi-engines-XXXXXX".utf8CString)
      path = mkdtemp(&template).map { String(cString: $0) } ?? "/nonexistent"
    }

    deinit { _ = system("rm -rf '\(path)'") }

    func file(_ name: String, _ text: String = "") {
      directory(name.split(separator: "/").dropLast().joined(separator: "/"))
      guard let file = fopen(path + "/" + name, "w") else { return }
      fputs(text, file)
      fclose(file)
    }

    func directory(_ name: String) {
      var made = path
      for part in name.split(separator: "/") {
        made += "/" + part
        mkdir(made, 0o755)
      }
    }

    func link(_ name: String, to target: String) {
      directory(name.split(separator: "/").dropLast().joined(separator: "/"))
      symlink(target, path + "/" + name)
    }
  }

  private let tree = Tree()
  private var engines: InstalledEngines { InstalledEngines(in: tree.path + "/modules", preferred: PythonVersion("3.11")) }

  init() {
    for version in ["3.10", "3.11", "3.12"] { tree.file("modules/wsgi-engine-\(version).so") }
    tree.file("modules/wsgi-engine-3.so")
    tree.file("modules/wsgi-engine-3.11.so.old")
    tree.file("venv/pyvenv.cfg", "home = /usr/bin\nversion = 3.10.2\n")
    tree.link("venv/bin/python3", to: tree.path + "/opt/bin/python3.12")
    tree.file("opt/bin/python3.12")
    tree.directory("opt/lib/python3.12")
    tree.link("opt/bin/python3", to: "python3.12")
    tree.link("elsewhere/python", to: tree.path + "/opt/bin/python3")
    tree.file("alone/bin/python3")
    tree.directory("future/lib/python3.29")
  }

  private func version(python: String? = nil, home: String? = nil, root: String = "") -> String {
    do throws(EngineChoiceFailure) {
      let file = try engines.file(python: python, home: home, root: root)
      return String(file.dropFirst("\(tree.path)/modules/wsgi-engine-".count).dropLast(3))
    } catch { return "\(error)" }
  }

  @Test func theyAreFoundByTheirNames() {
    #expect(engines.versions.sorted().map(\.description) == ["3.10", "3.11", "3.12"])
    #expect(InstalledEngines(in: "/nonexistent", preferred: nil).versions.isEmpty)
  }

  @Test func theConfigurationChooses() {
    let path = tree.path
    #expect(version() == "3.11")
    #expect(version(home: path + "/venv") == "3.10")
    #expect(version(home: path + "/venv:/x") == "3.10")
    #expect(version(home: path + "/opt") == "3.12")
    #expect(version(python: path + "/venv/bin/python3") == "3.10")
    #expect(version(python: path + "/opt/bin/python3") == "3.12")
    #expect(version(python: path + "/elsewhere/python") == "3.12")
    #expect(version(python: path + "/alone/bin/python3") == "3.11")
    #expect(version(python: path + "/alone/bin/python3.12").contains("alone/bin/python3.12' does not exist"))
    #expect(version(python: path + "/opt/bin/python3", home: path + "/venv") == "3.12")
    #expect(version(python: "/venv/bin/python3", root: path) == "3.10")
    #expect(version(home: "/opt", root: path) == "3.12")
    #expect(version(home: path + "/future").contains("is for Python 3.29"))
    #expect(version(home: path + "/none").contains("is not a directory"))
    #expect(version(home: path + "/alone").contains("neither pyvenv.cfg"))
  }

  @Test(arguments: ["fifo", "/dev/zero", "/dev/tty", "/"])
  func whatIsNoFileIsNotRead(what: String) {
    if what == "fifo" {
      tree.directory("odd")
      mkfifo(tree.path + "/odd/pyvenv.cfg", 0o666)
    } else {
      tree.link("odd/pyvenv.cfg", to: what)
    }
    #expect(version(home: tree.path + "/odd").contains("neither pyvenv.cfg"))
    #expect(SmallFile.bytes(of: tree.path + "/odd/pyvenv.cfg") == nil)
  }

  @Test func littleIsReadOfAnEndlessFile() {
    tree.file("endless/pyvenv.cfg")
    truncate(tree.path + "/endless/pyvenv.cfg", 1 << 40)
    #expect(SmallFile.bytes(of: tree.path + "/endless/pyvenv.cfg")?.count == SmallFile.most)
  }
}
