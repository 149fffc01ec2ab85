import Glibc
import Platform

/// Files and directories, as the process may see them at the moment.
enum Files {
  static func isFile(_ path: String) -> Bool { type(path) == S_IFREG }

  static func isDirectory(_ path: String) -> Bool { type(path) == S_IFDIR }

  private static func type(_ path: String) -> mode_t? {
    var about = stat()
    return stat(path, &about) == 0 ? about.st_mode & S_IFMT : nil
  }

  /// The first 256 KB of a regular file; nil: there is none, or it cannot be read.
  static func text(_ path: String) -> String? {
    let descriptor = Descriptor(owning: open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC))
    var about = stat()
    guard descriptor.number >= 0, fstat(descriptor.number, &about) == 0, about.st_mode & S_IFMT == S_IFREG else { return nil }
    return String(decoding: bytes(of: descriptor.number, most: 262_144), as: UTF8.self)
  }

  /// A file of the kernel's, which has no size.
  static func kernelText(_ path: String) -> String? {
    let descriptor = Descriptor(owning: open(path, O_RDONLY | O_CLOEXEC))
    guard descriptor.number >= 0 else { return nil }
    return String(decoding: bytes(of: descriptor.number, most: 262_144), as: UTF8.self)
  }

  private static func bytes(of descriptor: Int32, most: Int) -> [UInt8] {
    var content: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 16384)
    while content.count < most {
      let count = systemCall { read(descriptor, &buffer, buffer.count) }
      guard count > 0 else { break }
      content += buffer.prefix(count)
    }
    return content
  }

  /// The names in a directory, sorted; none where it cannot be read.
  static func names(in directory: String) -> [String] {
    guard let stream = opendir(directory) else { return [] }
    defer { closedir(stream) }
    var found: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { name in
        name.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { found.append(name) }
    }
    return found.sorted()
  }

  static var workingDirectory: String {
    guard let path = getcwd(nil, 0) else { return "/" }
    defer { free(path) }
    return String(cString: path)
  }

  /// An absolute path without `.`, `..` and doubled slashes; symbolic links stay.
  static func absolute(_ path: String, in directory: String = workingDirectory) -> String {
    var parts: [Substring] = []
    for part in (path.hasPrefix("/") ? path : directory + "/" + path).split(separator: "/") where part != "." {
      if part == ".." { _ = parts.popLast() } else { parts.append(part) }
    }
    return "/" + parts.joined(separator: "/")
  }

  static func parent(_ path: String) -> String {
    "/" + path.split(separator: "/").dropLast().joined(separator: "/")
  }

  static func name(_ path: String) -> String { path.split(separator: "/").last.map(String.init) ?? "" }

  /// The first directory on the way to a path that cannot be entered; nil: there is none.
  static func closedDirectory(onTheWayTo path: String) -> String? {
    var directory = ""
    for part in [""] + path.split(separator: "/").map(String.init).dropLast() {
      directory += directory.hasSuffix("/") ? part : "/" + part
      var about = stat()
      if stat(directory + "/.", &about) != 0, errno == EACCES { return directory }
    }
    return nil
  }

  /// Whether nobody but root has had a say in what is there.
  static func isRootsAlone(_ path: String) -> Bool {
    var directory = ""
    for part in path.split(separator: "/") {
      directory += "/" + part
      var about = stat()
      guard lstat(directory, &about) == 0, about.st_uid == 0, about.st_mode & S_IFMT != S_IFLNK else { return false }
      if about.st_mode & (S_IWGRP | S_IWOTH) != 0, about.st_mode & S_ISVTX == 0 { return false }
    }
    return true
  }

  static func write(_ text: String, to path: String, mode: mode_t = 0o644) throws(CommandFailure) {
    let descriptor = Descriptor(owning: open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode))
    var rest = ArraySlice(text.utf8)
    while descriptor.number >= 0, !rest.isEmpty {
      let count = systemCall { rest.withUnsafeBytes { Glibc.write(descriptor.number, $0.baseAddress, $0.count) } }
      guard count > 0 else { break }
      rest = rest.dropFirst(count)
    }
    guard descriptor.number >= 0, rest.isEmpty else {
      throw CommandFailure(.failed, "cannot write \(path): \(String(cString: strerror(errno)))")
    }
  }
}
