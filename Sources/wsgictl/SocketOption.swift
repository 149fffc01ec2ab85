import ArgumentParser
import CInstallation
import Glibc

/// Where the server is that a command is for.
struct SocketOption: ParsableArguments {
  @Option(
    name: .customLong("socket"),
    help: "The server's control socket. Without it WSGICTL_SOCKET, or wsgictl.sock in httpd's runtime directory.",
    completion: .file())
  var path: String?

  var server: Server {
    let set = getenv("WSGICTL_SOCKET").map { String(cString: $0) }
    return Server(path: path ?? set ?? "\(String(cString: wsgi_installation_runtime()))/wsgictl.sock")
  }
}
