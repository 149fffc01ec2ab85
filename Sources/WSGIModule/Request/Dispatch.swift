import WSGIConfig
import WSGICore

// WSGIDispatchScript: a script that may choose where a request runs.

extension ScriptHandler {
  /// Asks the dispatch script, where there is one, and changes the destination as it answers. A script that cannot be loaded
  /// changes nothing, and the log says why.
  func dispatch(_ destination: inout Destination) throws(Refusal) {
    guard let script = destination.dispatchScript else { return }
    if script.isOfAccessFile,
      let obstacle = generation.configuration.obstacleToAccessFileScript(where: destination.lookup)
    {
      throw Refusal(500, "WSGI0623: The dispatch script '\(ByteText(script.path))' of an .htaccess file is refused: \(obstacle).")
    }
    let unchanged = destination
    let call = ServiceCall(request: request, script: script, flags: destination.flags)
    let answer = call.call("process_group,application_group,callable_object", [], .each) { fields, writer in
      var environ = Environ(
        view, fields, proxy: ProxyHeaders.outcome(unchanged, view, fields), options: environOptions(unchanged))
      return environ.write(to: &writer)
    }
    switch answer {
    case .choices(let choices):
      func choice(_ function: String) -> ByteText? {
        choices.first { $0.function.elementsEqual(function.utf8) }?.value.map { ByteText($0) }
      }
      generation.configuration.redirect(
        &destination, processGroup: choice("process_group"), applicationGroup: choice("application_group"),
        callableObject: choice("callable_object"), server: server.identity, server.box.value, directory.value,
        RequestNames(request: request, view: view))
      guard !script.isOfAccessFile || destination.lookup == unchanged.lookup else {
        throw Refusal(
          500,
          "WSGI0624: The dispatch script '\(ByteText(script.path))' of an .htaccess file chose process group "
            + "'\(ByteText(destination.processGroup))'; a script of an .htaccess file may not choose one. Request not run.")
      }
    case .unloadable: return
    case .unavailable(let reason):
      throw Refusal(500, "WSGI0085: Python cannot be used for dispatch script '\(ByteText(script.path))': \(reason).")
    default: throw Refusal(500, "WSGI0355: Dispatch script '\(ByteText(script.path))' failed; request not run.")
    }
  }
}
