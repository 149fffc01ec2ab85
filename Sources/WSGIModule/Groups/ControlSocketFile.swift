import CHTTPD
import Glibc
import ProcessSupervision
import WSGIConfig
import WSGICore

/// The control socket's file, which the parent makes for each configuration and removes when httpd ends.
enum ControlSocketFile {
  /// The name of the socket in httpd's runtime directory, where `WSGIControlSocket` gives no other.
  private static let usualName: ByteText = "wsgictl.sock"

  /// SAFETY: the parent's main thread only.
  nonisolated(unsafe) private static var path: [UInt8]?

  /// Listens where the configuration says, in the place of an earlier one; -1: nowhere, which has been logged.
  static func listen(_ generation: Generation) -> Int32 {
    let setting = generation.configuration.global.controlSocket
    let wanted = wantedPath(setting, generation)
    if let path, path != wanted { remove() }
    guard let wanted else { return -1 }
    do throws(CommandSocket.Failure) {
      let listener = try CommandSocket.listen(at: wanted)
      path = wanted
      return listener
    } catch {
      let text =
        "There is no control socket '\(ByteText(wanted))': \(error.reason); wsgictl cannot reach this server. Set"
        + " WSGIControlSocket to a path in a directory that root alone may write to, or to Off."
      // A directory that nobody has chosen for it is nobody's mistake.
      let isChosen = setting != .usual
      log(isChosen ? .warning : .info, generation.mainServer, (isChosen ? "WSGI0746: " : "") + text)
      return -1
    }
  }

  static func remove() {
    if let path { CommandSocket.remove(path) }
    path = nil
  }

  private static func wantedPath(_ setting: ControlSocket, _ generation: Generation) -> [UInt8]? {
    let name: ByteText
    switch setting {
    case .off: return nil
    case .usual: name = usualName
    case .path(let path): name = path
    }
    guard let path = wsgi_httpd_runtime_path(generation.pool, poolCopy(name.description, generation.pool)) else { return nil }
    return ByteText(path).bytes
  }
}
