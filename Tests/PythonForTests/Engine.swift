import Glibc
import Synchronization
public import WSGIAdapter
public import WSGICore

/// The process's host.
public final class RecordingHost: ProcessHost, @unchecked Sendable {  // guarded by its Mutex
  private let records = Mutex<[String]>([])

  override public func log(_ level: LogLevel, _ text: UnsafeRawBufferPointer, file: String?, line: Int) {
    let text = String(decoding: text, as: UTF8.self)
    records.withLock { $0.append("\(level) \(text)") }
  }

  public var log: [String] { records.withLock { $0 } }

  /// httpd's scoreboard.
  public var scoreboard: [(String, String)] {
    get { pairs.withLock { $0 } }
    set { pairs.withLock { $0 = newValue } }
  }

  private let pairs = Mutex([
    ("server", "2 2 3 1000000"), ("process", "77 3 1"),
    ("worker", "W 3 12 3456 1500000 1600000 1700000\t10.0.0.1\texample.com:80\tGET /a\tb HTTP/1.1"), ("worker", ""),
    ("process", "0 0 0"), ("worker", ""), ("worker", ""), ("later", "unknown"),
  ])

  override public func serverMetrics() -> [UInt8]? {
    let items = scoreboard
    var writer = FlatWriter()
    writer.append(UInt32(items.count))
    for (key, value) in items { writer.appendPair(key, value) }
    return Array(writer.bytes)
  }
}

/// The one Python of the test process, which runs the tests of every room that needs one.
public enum Engine {
  public static let host = RecordingHost()
  public static let adapter: Adapter = {
    var settings = EngineSettings()
    settings.threads = 5
    settings.processes = 2
    settings.serverMetrics = true
    settings.apacheVersion = "2.4.62"
    settings.mpmName = Array("event".utf8)
    guard let adapter = try? Adapter(settings: settings, host: host) else { fatalError("no Python: \(host.log)") }
    return adapter
  }()

  private static let serial = Atomic<Int>(0)
  private static let directory: String = {
    var template = Array("/tmp/wsgi-adapter-XXXXXX".utf8CString)
    return String(cString: mkdtemp(&template))
  }()

  /// Writes a script, and gives its path.
  public static func script(_ source: String) -> String {
    let path = "\(directory)/script-\(serial.add(1, ordering: .relaxed).newValue).wsgi"
    let bytes = Array(source.utf8)
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    _ = write(file, bytes, bytes.count)
    close(file)
    return path
  }
}
