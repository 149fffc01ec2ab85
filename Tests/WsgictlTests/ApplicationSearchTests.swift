import Glibc
import Testing

@testable import wsgictl

@Suite struct ApplicationSearchTests {
  /// A directory with these files, whose texts are given, for one search.
  private func search(_ files: [String: String], for target: String? = nil, callable: String? = nil) throws -> FoundApplication {
    let directory = try ServerDirectory(nil, hasPages: false)
    defer { directory.remove() }
    for (name, text) in files {
      if name.contains("/") { mkdir(directory.path + Files.parent("/" + name), 0o755) }
      try Files.write(text, to: "\(directory.path)/\(name)")
    }
    return try ApplicationSearch(callable: callable, start: directory.path, packages: []).find(target)
  }

  @Test(arguments: [
    ("app = Flask(__name__)", "app", false), ("application: object = make()", "application", false),
    ("def application(environ, start_response):\n  pass", "application", false), ("async def create_app():", "create_app", true),
    ("from shop import (\n  other,\n  thing as app,\n)", "app", false), ("from shop import app  # of the package", "app", false),
    ("def make_app(settings=None):\n  app = 1", "make_app", true),
    ("def create_app():\n  pass\napp = create_app()", "app", false),
  ])
  func callables(_ text: String, _ name: String, _ isFactory: Bool) {
    let found = PythonSource(text).callable
    #expect(found?.name == name && found?.isFactory == isFactory)
  }

  @Test(arguments: ["  app = 1", "app == 1", "# app = 1", "apple = 1", "", "from x import (", "app", "import app"])
  func noCallable(_ text: String) { #expect(PythonSource(text).callable == nil) }

  @Test func djangoGoesFirst() throws {
    let found = try search([
      "manage.py": "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'conf.settings.local')", "app.py": "app = 1",
      "conf/wsgi.py": "application = 1",
    ])
    #expect(found.settings == "conf.settings.local")
    #expect(found.entry == .module("conf.wsgi", callable: "application", isFactory: false))
  }

  @Test func aDjangoProjectWithoutAWSGIModule() throws {
    let found = try search(["manage.py": "setdefault(\"DJANGO_SETTINGS_MODULE\", \"shop.settings\")"])
    #expect(found.lines.last == "application = get_wsgi_application()")
  }

  @Test func modulesOfPackagesHaveTheirWholeName() throws {
    let found = try search(["shop/__init__.py": "", "shop/web.py": "app = 1"], for: "shop/web.py")
    #expect(found.entry == .module("shop.web", callable: "app", isFactory: false))
    #expect(found.directory == found.importDirectory)
  }

  @Test func aFactoryInAPackage() throws {
    let found = try search(["shop/__init__.py": "def create_app():", "tests/other.py": "app = 1"])
    #expect(found.lines == ["from shop import create_app", "application = create_app()"])
  }

  @Test func sourcesInSrc() throws {
    let found = try search(["src/app.py": "app = 1"])
    #expect(found.importDirectory == found.directory + "/src")
  }

  @Test func anAttributeOfAnObject() throws {
    let found = try search(["dash.py": "x = 1"], for: "dash:page.server")
    #expect(found.lines == ["from dash import page", "application = page.server"])
  }

  @Test func oneScript() throws {
    #expect(try search(["shop.wsgi": ""]).title == "application")
    #expect(throws: CommandFailure.self) { try search(["shop.wsgi": "", "other.wsgi": ""]) }
  }

  @Test(arguments: ["no;module", "a..b", "../nothing.py", "nowhere", ":", "x:y:z"])
  func nothing(_ target: String) { #expect(throws: CommandFailure.self) { try search([:], for: target) } }

  @Test func literalsOfPython() {
    #expect(FoundApplication.quoted("a'b\\c\nd") == "'a\\'b\\\\c\\nd'")
  }

  @Test func wordsOfHttpd() {
    #expect(ServerConfiguration.quoted("/srv/a-b_c.d") == "/srv/a-b_c.d")
    #expect(ServerConfiguration.quoted("/srv/a \"b\"\\") == "\"/srv/a \\\"b\\\"\\\\\"")
  }

  @Test(arguments: [
    ("127.0.0.1", true), ("127.8.0.1", true), ("::1", true), ("localhost", true), ("0.0.0.0", false), ("::", false),
  ])
  func loopback(_ host: String, _ isLoopback: Bool) { #expect(ListenAddress.isLoopback(host) == isLoopback) }
}
