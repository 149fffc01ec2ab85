/// The settings of a Django project, which are Python and therefore Python's to read.
struct DjangoProject {
  private var values: [Substring: String] = [:]

  private static let question = """
    import os, sys
    sys.path.insert(0, os.getcwd())
    from django.conf import settings
    for name in 'WSGI_APPLICATION STATIC_URL STATIC_ROOT MEDIA_URL MEDIA_ROOT DEBUG'.split():
        print('wsgictl:%s=%s' % (name, getattr(settings, name, None) or ''))
    print('wsgictl:finders=%s' % ('django.contrib.staticfiles' in settings.INSTALLED_APPS))
    """

  /// Throws what Python says where the settings cannot be read.
  init(_ application: FoundApplication, _ python: String, as identity: Identity?) throws(CommandFailure) {
    let program = Program(
      path: python, arguments: ["-c", Self.question], directory: application.importDirectory, identity: identity,
      environment: ["DJANGO_SETTINGS_MODULE=\(application.settings ?? "")"])
    let (status, text) = try program.output()
    for line in text.split(whereSeparator: \.isNewline) where line.hasPrefix("wsgictl:") {
      let pair = line.dropFirst(8).split(separator: "=", maxSplits: 1)
      if pair.count == 2 { values[pair[0]] = String(pair[1]) }
    }
    guard status == 0 else {
      let reason = text.split(whereSeparator: \.isNewline).last.map(String.init) ?? "no answer"
      throw CommandFailure(.failed, "\(python) cannot read the settings \(application.settings ?? "?"): \(reason)")
    }
  }

  /// WSGI_APPLICATION as a module's name and the callable's.
  var entry: FoundApplication.Entry? {
    guard let path = values["WSGI_APPLICATION"], let dot = path.lastIndex(of: ".") else { return nil }
    return .module(String(path[..<dot]), callable: String(path[path.index(after: dot)...]), isFactory: false)
  }

  /// Directories that exist, for httpd to serve.
  var directories: [StaticFiles] {
    [("STATIC_URL", "STATIC_ROOT"), ("MEDIA_URL", "MEDIA_ROOT")].compactMap { url, root in
      guard let url = values[url[...]], url.hasPrefix("/"), url != "/", let root = values[root[...]], Files.isDirectory(root)
      else {
        return nil
      }
      return StaticFiles(url: url, path: root)
    }
  }

  /// Whether Django itself has to serve the files of its applications: `collectstatic` has not been run.
  var servesStaticFiles: Bool {
    values["DEBUG"] == "True" && values["finders"] == "True" && !(values["STATIC_ROOT"].map(Files.isDirectory) ?? false)
  }
}
