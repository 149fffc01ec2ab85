import CPosix
import Glibc
import Platform
import WSGICore

/// A file of a control group, and the value that is written to it: one `cgroup-set=`.
public struct ControlGroupValue: Equatable, Sendable {
  public var file: [UInt8]
  public var value: [UInt8]

  public init(file: [UInt8], value: [UInt8]) {
    self.file = file
    self.value = value
  }
}

/// The directory of a process group's control group (`cgroup=`), of version 1 or 2. It is opened name by name, through no
/// symbolic link and no directory that another user can change: no tenant can lead root elsewhere, or let it wait.
struct ControlGroup {
  struct Failure: Error {
    /// Why, as the end of a sentence.
    var reason: String

    init(_ reason: String) { self.reason = reason }
    init(_ what: String, error: Int32) { reason = "\(what): \(String(cString: strerror(error)))" }
  }

  /// The names of the directories from the root on, that of the control group last.
  private let path: [[UInt8]]
  private var name: [UInt8] { path.last ?? [] }

  init(_ path: [UInt8]) { self.path = path.split(separator: 0x2F).map { Array($0) } }

  // MARK: by the supervisor

  /// Makes the directory where it is missing. The result says that it was.
  func make() throws(Failure) -> Bool {
    let parent = try parent()
    defer { close(parent) }
    let result = ControlGroup.withCPath(name) { mkdirat(parent, $0, 0o755) == 0 ? 0 : errno }
    guard result == 0 || result == EEXIST else { throw Failure("cannot make the directory", error: result) }
    close(try ControlGroup.enter(parent, name))
    return result == 0
  }

  /// Why it cannot be made, as far as the directory above it tells; nil: it may be possible.
  var problem: String? {
    do throws(Failure) {
      close(try parent())
      return nil
    } catch {
      return error.reason
    }
  }

  /// The directory above it.
  var place: ArraySlice<[UInt8]> { path.dropLast() }

  /// Writes a value; where the kernel allows it, without waiting for memory to be reclaimed.
  func set(_ value: ControlGroupValue) throws(Failure) {
    try write(value.value, to: value.file)
  }

  /// Removes the directory. False: processes are left in it.
  func remove() -> Bool {
    do throws(Failure) {
      let parent = try parent()
      defer { close(parent) }
      close(try ControlGroup.enter(parent, name))
      return ControlGroup.withCPath(name) { unlinkat(parent, $0, AT_REMOVEDIR) == 0 || errno != EBUSY }
    } catch {
      return true
    }
  }

  // MARK: by a worker

  /// Moves the calling process, and what it forks from now on, into the control group. It does so itself: were it moved before it
  /// executes its program, its supervisor would wait for an exec that a full control group can hold up.
  func join() throws(Failure) {
    try write([0x30], to: Array("cgroup.procs".utf8))
  }

  // MARK: - files

  private func write(_ bytes: [UInt8], to file: [UInt8]) throws(Failure) {
    let parent = try parent()
    defer { close(parent) }
    let directory = try ControlGroup.enter(parent, name)
    defer { close(directory) }
    let target = ControlGroup.withCPath(file) { openat(directory, $0, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) }
    guard target >= 0 else { throw Failure(file.text, error: errno) }
    defer { close(target) }
    let count = systemCall { Glibc.write(target, bytes, bytes.count) }
    guard count >= 0 else { throw Failure(file.text, error: Int32(clamping: -count)) }
  }

  /// Opens the directory that holds the control group's.
  private func parent() throws(Failure) -> Int32 {
    var place = wsgi_posix_directory(AT_FDCWD, "/", 0)
    for name in path.dropLast() {
      let above = place
      defer { close(above) }
      place = try ControlGroup.enter(above, name)
    }
    guard wsgi_posix_is_control_group(place) == 1 else {
      close(place)
      throw Failure("the directory above it is not in a cgroup file system")
    }
    return place
  }

  private static func enter(_ base: Int32, _ name: [UInt8]) throws(Failure) -> Int32 {
    let directory = withCPath(name) { wsgi_posix_directory(base, $0, 0) }
    guard directory >= 0 else { throw Failure("cannot open the directory '\(name.text)'", error: -directory) }
    var about = stat()
    guard fstat(directory, &about) == 0, about.st_uid == 0 || about.st_uid == geteuid(), about.st_mode & 0o022 == 0 else {
      close(directory)
      throw Failure("the directory '\(name.text)' belongs to another user, or others may write to it")
    }
    return directory
  }

  private static func withCPath<R>(_ name: [UInt8], _ body: (UnsafePointer<CChar>) -> R) -> R {
    body(name.map { CChar(bitPattern: $0) } + [0])
  }
}
