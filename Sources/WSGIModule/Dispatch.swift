import CHTTPD
import WSGIConfig

// WSGIDispatchScript: a script that may choose where a request runs.

extension ScriptHandler {
  /// Asks the dispatch script, where there is one, and changes the destination as it answers. A script that cannot be loaded
  /// changes nothing, and the log says why.
  func dispatch(_ destination: inout Destination) throws(Refusal) {
    guard let script = destination.dispatchScript else { return }
    let unchanged = destination
    guard let process = try ask("process_group", script, unchanged),
      let application = try ask("application_group", script, unchanged),
      let callable = try ask("callable_object", script, unchanged)
    else { return }
    generation.configuration.redirect(
      &destination, processGroup: process.name, applicationGroup: application.name,
      callableObject: handlerScript == nil ? callable.name : nil, server: server.identity, server.holder.value,
      directory.value, RequestNames(request: request))
  }

  /// What the script chose; nil keeps what there is.
  private struct Choice {
    var name: ByteText?
  }

  /// nil: the script cannot be loaded.
  private func ask(
    _ function: StaticString, _ script: ServiceScript, _ destination: Destination
  ) throws(Refusal) -> Choice? {
    let call = ServiceCall(request, generation, script, destination.flags)
    let answer = call.call(function, result: .single(utf8: false)) { fields, writer in
      var environ = Environ(
        fields: fields, proxy: ProxyHeaders.outcome(destination, fields), options: environOptions(destination))
      return environ.write(to: &writer)
    }
    switch answer {
    case .none, .missing: return Choice()
    case .text(let name): return Choice(name: ByteText(name))
    case .unloadable: return nil
    case .raised: throw Refusal(500, "WSGI0355: The dispatch script's \(function)() failed.")
    case .unavailable(let reason): throw Refusal(500, "WSGI0085: Python cannot be used for the dispatch script: \(reason).")
    case .yes, .no, .list: throw wrongType(function, "bool")
    case .other(let type): throw wrongType(function, type)
    case .tooLong: throw Refusal(500, "WSGI0356: What the dispatch script's \(function)() returned is too long.")
    }
  }

  private func wrongType(_ function: StaticString, _ type: String) -> Refusal {
    Refusal(500, "WSGI0356: The dispatch script's \(function)() must return None or a string, not \(type).")
  }
}
