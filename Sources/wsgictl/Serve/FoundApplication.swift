/// An application, and how the server's script gets at it.
struct FoundApplication {
  enum Entry: Equatable {
    /// `from module import callable`; a factory is called for it.
    case module(String, callable: String, isFactory: Bool)
    /// A script of mod_wsgi's own kind, loaded by its path.
    case script(String, callable: String)
    /// The .ini file of PasteDeploy, which Pyramid has.
    case paste(String)
  }

  var entry: Entry
  /// The file that was found.
  let source: String
  /// The project's: where its processes run, and its environment is looked for.
  let directory: String
  /// The directory that its modules are imported from.
  var importDirectory: String
  /// Django's DJANGO_SETTINGS_MODULE.
  var settings: String?
  /// Django's own handler for the files of its applications, in front: what `runserver` does while DEBUG is on.
  var servesStaticFiles = false

  /// For users.
  var title: String {
    switch entry {
    case .module(let module, let callable, let isFactory): "\(module):\(callable)\(isFactory ? "()" : "")"
    case .script(_, let callable): callable
    case .paste: "PasteDeploy"
    }
  }

  /// The lines of Python that bind `application`.
  var lines: [String] {
    var lines: [String] = []
    if let settings { lines += ["import os", "os.environ.setdefault('DJANGO_SETTINGS_MODULE', '\(settings)')"] }
    switch entry {
    case .module(let module, let callable, let isFactory):
      let parts = callable.split(separator: ".")
      let first = parts.first.map(String.init) ?? callable
      if parts.count <= 1, !isFactory {
        lines.append("from \(module) import \(callable)\(callable == "application" ? "" : " as application")")
      } else {
        lines += ["from \(module) import \(first)", "application = \(callable)\(isFactory ? "()" : "")"]
      }
    case .script(let path, let callable):
      lines += ["from wsgictl_development import run", "application = run(\(Self.quoted(path)), \(Self.quoted(callable)))"]
    case .paste(let path):
      lines += ["from paste.deploy import loadapp", "application = loadapp(\(Self.quoted("config:" + path)))"]
    }
    if servesStaticFiles {
      lines += [
        "from django.contrib.staticfiles.handlers import StaticFilesHandler",
        "application = StaticFilesHandler(application)",
      ]
    }
    return lines
  }

  /// A literal of Python's.
  static func quoted(_ text: String) -> String {
    var literal = "'"
    for character in text.unicodeScalars {
      switch character {
      case "'", "\\": literal += "\\\(character)"
      case "\n": literal += "\\n"
      default: literal.unicodeScalars.append(character)
      }
    }
    return literal + "'"
  }
}
