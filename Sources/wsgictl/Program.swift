import CPosix
import Glibc
import Platform

/// A program that this command starts.
struct Program {
  let path: String
  let arguments: [String]
  var directory = "/"
  /// nil: as who we are.
  var identity: Identity?
  /// `NAME=value`, in front of the command's own environment.
  var environment: [String] = []
  /// false: of the command's environment only PATH, TZ and what is said of the locale.
  var inheritsEnvironment = true
  /// A server: out of the terminal's reach, and ended with the command.
  var isServer = false

  /// Its process id. The streams: of standard input, output and errors.
  func start(_ streams: [Int32] = [0, 1, 2]) throws(CommandFailure) -> pid_t {
    let names = Set(environment.compactMap { $0.split(separator: "=").first })
    let inherited = Variables.all.filter { entry in
      guard let name = entry.split(separator: "=").first, !names.contains(name) else { return false }
      return inheritsEnvironment || ["PATH", "TZ", "LANG"].contains(name) || name.hasPrefix("LC_")
    }
    let groups = identity?.groups ?? []
    let started = Self.withCStrings([path] + arguments) { argv in
      Self.withCStrings(environment + inherited) { envp in
        directory.withCString { directory in
          groups.withUnsafeBufferPointer { groups in
            var program = wsgi_posix_program()
            program.descriptors = (streams[0], streams[1], streams[2])
            if let identity {
              program.drops = 1
              (program.uid, program.gid) = (identity.uid, identity.gid)
              (program.groups, program.group_count) = (groups.baseAddress, groups.count)
            }
            program.own_session = isServer ? 1 : 0
            program.ends_with_parent = 1
            return wsgi_posix_execute(path, argv, envp, directory, &program)
          }
        }
      }
    }
    guard started > 0 else { throw CommandFailure(.failed, "cannot start \(path): \(String(cString: strerror(0 &- started)))") }
    return started
  }

  /// The exit status (nil: it was ended, by a signal or after `patience` milliseconds), and what it wrote.
  func output(patience: Int64 = 20_000) throws(CommandFailure) -> (status: Int32?, text: String) {
    var ends: [Int32] = [-1, -1]
    guard wsgi_posix_output_pipe(&ends) == 0 else { throw CommandFailure(.failed, "there is no room for a pipe") }
    let reader = Descriptor(owning: ends[0])
    var writer = Descriptor(owning: ends[1])
    let null = Descriptor(owning: open("/dev/null", O_RDONLY | O_CLOEXEC))
    let pid = try start([null.number, writer.number, writer.number])
    writer.close()
    let end = Clock.monotonicMilliseconds() &+ patience
    var content: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 16384)
    var isWhole = false
    while !isWhole, content.count < 1 << 20 {
      let left = end &- Clock.monotonicMilliseconds()
      guard left > 0, waitUntilReady(reader.number, for: Int32(readable), milliseconds: left).first != 0 else { break }
      let count = systemCall { read(reader.number, &buffer, buffer.count) }
      if count > 0 { content += buffer.prefix(count) } else { isWhole = count == 0 }
    }
    if !isWhole { kill(pid, SIGKILL) }
    let status = Self.wait(for: pid)
    return (isWhole ? status : nil, String(decoding: content, as: UTF8.self))
  }

  /// nil: a signal ended it.
  static func wait(for pid: pid_t) -> Int32? {
    var status: Int32 = 0
    _ = systemCall { waitpid(pid, &status, 0) }
    return exitStatus(status)
  }

  static func exitStatus(_ status: Int32) -> Int32? { status & 0x7F == 0 ? status >> 8 & 0xFF : nil }

  /// The first file of a name that can be executed, in PATH and where administrators' programs are.
  static func find(_ name: String) -> String? {
    let path = Variables.value("PATH") ?? "/usr/local/bin:/usr/bin:/bin"
    return (path.split(separator: ":").map(String.init) + ["/usr/sbin", "/sbin", "/usr/local/sbin"]).map { $0 + "/" + name }
      .first { access($0, X_OK) == 0 && Files.isFile($0) }
  }

  /// The interpreter of a version, as an engine without an environment uses it: the system's goes before a user's own.
  static func python(_ version: String) -> String? {
    ["/usr/bin/python\(version)", "/usr/local/bin/python\(version)"].first { access($0, X_OK) == 0 } ?? find("python\(version)")
  }

  private static func withCStrings<Result>(
    _ strings: [String], _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
  ) -> Result {
    var pointers = strings.map { strdup($0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    return pointers.withUnsafeMutableBufferPointer { body($0.baseAddress.unsafelyUnwrapped) }
  }
}
