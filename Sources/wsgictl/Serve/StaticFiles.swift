/// A URL path, and the directory or file that httpd serves there.
struct StaticFiles {
  let url: String
  let path: String

  init(url: String, path: String) {
    self.url = "/" + url.split(separator: "/").joined(separator: "/")
    self.path = path
  }

  /// `/static=DIR`
  init(option: String) throws(CommandFailure) {
    let parts = option.split(separator: "=", maxSplits: 1)
    guard parts.count == 2, parts[0].hasPrefix("/") else {
      throw CommandFailure(.usage, "--static \(option): it takes a URL path and a directory, as /static=DIR")
    }
    self.init(url: String(parts[0]), path: Files.absolute(String(parts[1])))
    guard url != "/" else { throw CommandFailure(.usage, "--static \(option): the application has the path /; choose one below") }
    guard Files.isDirectory(path) || Files.isFile(path) else {
      if let closed = Files.closedDirectory(onTheWayTo: path) { throw ApplicationSearch.closed(closed, path) }
      throw CommandFailure(.failed, "--static \(option): there is no \(path)")
    }
  }

  var lines: [String] {
    let isFile = Files.isFile(path)
    return ["Alias \(ServerConfiguration.quoted(url)) \(ServerConfiguration.quoted(path))"]
      + ServerConfiguration.access(to: isFile ? Files.parent(path) : path, file: isFile ? Files.name(path) : nil)
  }
}
