import CPosix
import Glibc
import Platform
import WSGICore

/// Asks about files that may be a tenant's: a short-lived process with the tenant's ids looks at them, since looking can block,
/// or have effects. The process is wsgi-worker, with settings that say so.
public final class FileProbe {
  /// How long all answers of one process may take, in milliseconds.
  public static let patience: Int64 = 2_000

  private let pid: Int32
  private let socket: Descriptor
  private let end = Clock.monotonicMicroseconds() &+ FileProbe.patience &* 1_000
  /// It did not answer in time, or ended: what it was not asked yet stays unknown.
  public private(set) var isLost = false

  fileprivate enum Question: UInt8 {
    case facts = 0x66
    case text = 0x74
  }

  /// nil: the program cannot be started. No credentials: it stays who we are.
  public init?(program: String, credentials: WorkerSettings.Credentials?) {
    var settings = WorkerSettings()
    settings.version = ControlMessage.version
    settings.credentials = credentials
    settings.isProbe = true
    let file = Descriptor(owning: settings.makeFile())
    let null = Descriptor(owning: open("/dev/null", O_RDWR | O_CLOEXEC))
    var ends: [Int32] = [-1, -1]
    let made = wsgi_posix_socket_pair(Int32(SOCK_SEQPACKET.rawValue), &ends)
    let near = Descriptor(owning: ends[0])
    let far = Descriptor(owning: ends[1])
    guard file.number >= 0, null.number >= 0, made == 0 else { return nil }
    let descriptors = WorkerDescriptor.list(input: null.number, output: null.number) {
      switch $0 {
      case .settings: file.number
      case .queue: ends[1]
      default: null.number
      }
    }
    var given = far.release()
    let pid = program.withCString { path in
      var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("wsgi-probe"), nil]
      var environment: [UnsafeMutablePointer<CChar>?] = [nil]
      defer { free(arguments[0]) }
      return wsgi_posix_launch(path, &arguments, &environment, descriptors, &given, 1)
    }
    guard pid > 0 else { return nil }
    self.pid = pid
    socket = near
  }

  deinit {
    // It would end by itself when the socket is closed, unless it hangs.
    kill(pid, SIGKILL)
    var ended = wsgi_posix_end()
    for _ in 0..<100 {
      guard wsgi_posix_reap(pid, &ended) == 0 else { return }
      poll(nil, 0, 1)
    }
  }

  public func facts(of path: [UInt8]) -> FileFacts {
    guard let answer = ask(.facts, path), answer.count == 17, answer[0] == 1 else { return .unknown }
    let words = answer.withUnsafeBytes { raw in (0..<4).map { raw.loadUnaligned(fromByteOffset: 1 + $0 * 4, as: UInt32.self) } }
    switch words[0] {
    case 0: return .missing
    case 1, 2: return .found(isDirectory: words[0] == 2, mode: words[1], uid: words[2], gid: words[3])
    default: return .unknown
    }
  }

  /// The beginning of a regular file; nil where it cannot be read.
  public func text(of path: [UInt8]) -> [UInt8]? {
    guard let answer = ask(.text, path), answer.first == 1 else { return nil }
    return Array(answer.dropFirst())
  }

  private func ask(_ question: Question, _ path: [UInt8]) -> [UInt8]? {
    guard !isLost, path.count < PATH_MAX else { return nil }
    isLost = true
    let sent = [question.rawValue] + path
    guard send(socket.number, sent, sent.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)) == sent.count else { return nil }
    let left = (end &- Clock.monotonicMicroseconds()) / 1_000
    guard left > 0, waitUntilReady(socket.number, for: readable, milliseconds: left).first != 0 else { return nil }
    var answer = [UInt8](repeating: 0, count: SmallFile.most + 1)
    // Plain recv takes no descriptors.
    let count = recv(socket.number, &answer, answer.count, Int32(MSG_DONTWAIT))
    guard count > 0 else { return nil }
    isLost = false
    return Array(answer.prefix(count))
  }

  // MARK: the process that looks

  /// Answers until the socket is closed. The process has given up root.
  public static func serve() {
    let socket = WorkerDescriptor.queue.rawValue
    var question = [UInt8](repeating: 0, count: Int(PATH_MAX) + 1)
    while true {
      let count = systemCall { recv(socket, &question, question.count, 0) }
      guard count > 1, let kind = Question(rawValue: question[0]) else { return }
      let path = question[1..<count]
      let answer = kind == .facts ? look(path.map { CChar(bitPattern: $0) } + [0]) : read(String(decoding: path, as: UTF8.self))
      guard send(socket, answer, answer.count, Int32(MSG_NOSIGNAL)) == answer.count else { return }
    }
  }

  private static func read(_ path: String) -> [UInt8] { SmallFile.bytes(of: path).map { [1] + $0 } ?? [0] }

  private static func look(_ path: [CChar]) -> [UInt8] {
    var about = stat()
    var words: [UInt32] = [3, 0, 0, 0]
    if stat(path, &about) != 0 {
      if errno == ENOENT || errno == ENOTDIR { words[0] = 0 }
    } else if wsgi_posix_has_access_list(path) == 0 {
      words = [about.st_mode & S_IFMT == S_IFDIR ? 2 : 1, about.st_mode & 0o7777, about.st_uid, about.st_gid]
    }
    return words.withUnsafeBytes { [1] + Array($0) }
  }
}
