/// The environment of a group's workers: httpd's own, as it was started, or little of it, and what the group's options say.
public enum WorkerEnvironment {
  /// Variables that speak of descriptors and rights of httpd itself.
  private static let foreign: Set<String> = [
    "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "MAINPID",
  ]

  /// Passed on to a group that is to have nothing but what it was given: what every program goes by.
  private static let common: Set<String> = ["PATH", "LANG", "TZ"]

  /// - base: `NAME=value`, byte for byte.
  /// - passed: of `base`, beside what is common, only these; nil: all of it.
  /// - userName, userHome: of the password database; USER, USERNAME and LOGNAME are replaced where they are there, HOME always.
  public static func make(
    _ base: [[UInt8]], passed: Set<String>? = nil, language: [UInt8]?, locale: [UInt8]?, userName: [UInt8]?, userHome: [UInt8]?
  ) -> [[UInt8]] {
    var variables: [(name: String, entry: [UInt8])] = base.compactMap { entry in
      guard let equals = entry.firstIndex(of: 0x3D) else { return nil }
      let name = String(decoding: entry[..<equals], as: UTF8.self)
      if foreign.contains(name) { return nil }
      guard let passed else { return (name, entry) }
      return common.contains(name) || name.hasPrefix("LC_") || passed.contains(name) ? (name, entry) : nil
    }
    func set(_ name: String, _ value: [UInt8]?, onlyIfPresent: Bool = false) {
      guard let value else { return }
      let entry = Array("\(name)=".utf8) + value
      if let index = variables.firstIndex(where: { $0.name == name }) {
        variables[index].entry = entry
      } else if !onlyIfPresent {
        variables.append((name, entry))
      }
    }
    for name in ["USER", "USERNAME", "LOGNAME"] { set(name, userName, onlyIfPresent: true) }
    set("HOME", userHome)
    set("LANG", language)
    set("LC_ALL", locale)
    return variables.map(\.entry)
  }
}
