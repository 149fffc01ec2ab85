import CHTTPD
import WSGIConfig
import WSGICore

/// A request in one of httpd's auth phases.
struct AuthPhase {
  let request: OpaquePointer
  let view: wsgi_httpd_view
  let directory: DirectoryBox
  private let server: ServerObject

  /// nil where the server is not configured (yet, or any more).
  init?(_ request: OpaquePointer) {
    view = wsgi_httpd_look_at(request)
    guard Generation.current != nil, let server = ServerObject.of(view.server),
      let directory = directoryBox(view.directory_config)
    else { return nil }
    self.request = request
    self.server = server
    self.directory = directory
  }

  /// A call of one of the script's functions, for `run`; nil where no script is configured.
  func call(_ script: ServiceScript?) -> ServiceCall? {
    guard let script else { return nil }
    let flags = ScopeFlags.defaults.overlaid(by: server.box.value.scope.flags).overlaid(by: directory.value.scope.flags)
    return ServiceCall(request: request, script: script, flags: flags)
  }

  func run(
    _ call: ServiceCall, _ function: StaticString, _ arguments: [UnsafePointer<CChar>], _ options: CallFlags
  ) -> ServiceAnswer {
    if call.script.isOfAccessFile, let obstacle = Generation.current?.configuration.obstacleToAccessFileScript(where: destination)
    {
      call.report("WSGI0622: The \(call.script.kind) of an .htaccess file is refused: \(obstacle).")
      return .failed
    }
    return call.call(function, arguments, options.union(.auth)) { fields, writer in
      // These scripts never see the credentials of the client.
      var fields = fields
      fields.passes_authorization = 0
      var environ = Environ(view, fields, proxy: nil, options: EnvironOptions(processID: 0))
      return environ.write(forServiceScriptOf: request, to: &writer)
    }
  }

  /// Where the request will run, as far as that can be told before its handler is chosen.
  private var destination: ProcessGroupLookup {
    let alias = view.note.map { Unmanaged<ScriptAlias>.fromOpaque($0).takeUnretainedValue() }
    return Generation.current?.configuration.processGroup(
      server: server.identity, server.box.value, directory.value, alias: alias, handler: nil,
      RequestNames(request: request, view: view)
    ).lookup ?? .unknown
  }
}
