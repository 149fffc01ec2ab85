import CEngine
import CHTTPD
import DaemonTransport
import Glibc
import ProcessSupervision
import RequestCounting
import WSGIConfig
import WSGICore

// The content handler: from a request to the application that answers it.

@c @implementation
func wsgi_swift_handler(_ request: OpaquePointer) -> Int32 {
  let view = wsgi_httpd_look_at(request)
  guard let name = view.handler, let generation = Generation.current else { return HookResult.declined }
  if strcmp(name, "wsgi-status") == 0 { return StatusHandler(request: request, generation: generation).run() }
  guard let server = ServerObject.of(view.server), let directory = directoryBox(view.directory_config) else {
    return HookResult.declined
  }
  var handlerScript: HandlerScript?
  if !isScriptHandler(name) {
    let name = UnsafeBufferPointer(rebasing: rawBytes(of: name).bindMemory(to: UInt8.self)[...])
    handlerScript = generation.configuration.handlerScript(named: name.span, server.box.value, directory.value)
    guard handlerScript != nil else { return HookResult.declined }
  }
  // An alias's options are for the script that it led to, not for what another handler makes of the request.
  let alias = handlerScript == nil ? view.note.map { Unmanaged<ScriptAlias>.fromOpaque($0).takeUnretainedValue() } : nil
  let handler = ScriptHandler(
    request: request, view: view, generation: generation, server: server, directory: directory, handlerScript: handlerScript,
    alias: alias, target: wsgi_httpd_get_target(request))
  do throws(Refusal) {
    return try handler.run()
  } catch {
    return error.report(request, script: view.filename)
  }
}

/// The names by which AddHandler, SetHandler and AddType say that a resource is a WSGI script.
private func isScriptHandler(_ name: UnsafePointer<CChar>) -> Bool {
  strcmp(name, "wsgi-script") == 0 || strcmp(name, "application/x-httpd-wsgi") == 0
}

/// One request that is for a WSGI script.
struct ScriptHandler {
  let request: OpaquePointer
  let view: wsgi_httpd_view
  let generation: Generation
  let server: ServerObject
  let directory: DirectoryBox
  let handlerScript: HandlerScript?
  let alias: ScriptAlias?
  let target: wsgi_httpd_target

  /// Checks the request and runs it; what httpd is told.
  func run() throws(Refusal) -> Int32 {
    try ScriptResource(target, view).check(isAliased: alias != nil, handlerScript: handlerScript)
    var destination = generation.configuration.destination(
      server: server.identity, server.box.value, directory.value, alias: alias, handler: handlerScript,
      RequestNames(request: request, view: view))
    let body = try RequestBody(
      transferEncoding: target.transfer_encoding.map { rawBytes(of: $0) },
      contentLength: target.content_length.map { rawBytes(of: $0) }, limit: target.body_limit,
      allowsChunked: destination.flags.isOn(.chunkedRequest))
    try dispatch(&destination)
    return try ThreadState.withHeadWriter { (writer) throws(Refusal) in try run(at: destination, body, &writer) }
  }

  private func run(at destination: Destination, _ body: RequestBody, _ writer: inout RequestHeadWriter) throws(Refusal) -> Int32 {
    if let refusal = destination.lookup.refusal(of: destination.processGroup) { throw refusal }
    guard case .daemon(let place) = destination.lookup else { return try runCounted(nil, destination, body, &writer) }
    guard let group = generation.group(place) else { throw notStarted(destination) }
    if group.isSpecial { return try runSpecial(group, destination, body, &writer) }
    return try runCounted(group, destination, body, &writer)
  }

  /// A request of a template, or of a group with whose processes sessions stay.
  private func runSpecial(
    _ group: ChildGroup, _ destination: Destination, _ body: RequestBody, _ writer: inout RequestHeadWriter
  ) throws(Refusal) -> Int32 {
    if let template = group.config.template {
      let owner = try ScriptUser(script, of: template, group.config, RequestNames(request: request, view: view))
      let name = QueuesOnDemand.Name(group: group, owner: owner)
      let held = try hold(name, destination)
      var own = destination
      own.processGroup = held.group.config.name.bytes
      if held.sessions != nil { return try runInSession(held.group, own, body, &writer, (name, held)) }
      return try runCounted(held.group, own, body, &writer, tenant: (name, held))
    }
    if group.sessions != nil { return try runInSession(group, destination, body, &writer, nil) }
    guard group.isOnDemand else { return try runCounted(group, destination, body, &writer) }
    let name = QueuesOnDemand.Name(group: group)
    let held = try hold(name, destination)
    guard held.sessions != nil else { return try runCounted(group, destination, body, &writer) }
    return try runInSession(group, destination, body, &writer, (name, held))
  }

  /// A group that is made on demand.
  func hold(
    _ name: QueuesOnDemand.Name, _ destination: Destination
  ) throws(Refusal) -> QueuesOnDemand.Held {
    guard name.group.queue != nil, let queues = HTTPDChild.current?.queues else { throw notStarted(destination) }
    do throws(ActivationFailure) {
      return try queues.take(name) { preloadable(by: name, destination) }
    } catch {
      throw name.group.refusal(error, key: name.owner?.key)
    }
  }

  /// The script, where a preloader of the tenant's group would load it.
  private func preloadable(by name: QueuesOnDemand.Name, _ destination: Destination) -> ScriptPath? {
    guard name.group.preloadsTenants, destination.applicationGroup.isEmpty else { return nil }
    let script = script
    if let owner = name.owner?.record {
      // One that is refused is no reason to load none of the others.
      let owner = ScriptOwner.tenant(user: owner.uid, group: owner.gid)
      guard (try? ScriptOwnership.check(script, for: owner, group: name.group.name)) != nil else { return nil }
    }
    guard let path = try? name.group.changedRoot?.inside(script: script) ?? script else { return nil }
    return ScriptPath(rawBytes(of: path))
  }

  /// Runs the request in `group`, or embedded, and has it counted.
  private func runCounted(
    _ group: ChildGroup?, _ destination: Destination, _ body: RequestBody, _ writer: inout RequestHeadWriter,
    tenant: (name: QueuesOnDemand.Name, held: QueuesOnDemand.Held)? = nil
  ) throws(Refusal) -> Int32 {
    var account = RequestAccount(
      request, view, group: group, showsPath: destination.flags.isOn(.statusPaths), generation)
    do throws(Refusal) {
      if let group { try check(group) }
      var fields = wsgi_httpd_get_request(request)
      let head = try encode(destination, body, &writer, group, &fields)
      let result =
        if let group { try runDaemon(head, destination, group, body, &account, tenant) } else {
          try runEmbedded(head, destination, &account)
        }
      account.end(result)
      return result
    } catch {
      account.cause = .refused
      account.end(error.status)
      throw error
    }
  }

  // MARK: the head

  /// The script's path as a C string that lives as long as the request.
  var script: UnsafePointer<CChar> {
    guard let handlerScript else { return view.filename ?? emptyString }
    return handlerScript.path.withUnsafeBytes { UnsafePointer(poolCopy($0, wsgi_httpd_request_pool(request))) }
  }

  /// `group`: that which is to run the request; nil: it is run here.
  @inline(__always)
  func encode(
    _ destination: Destination, _ body: RequestBody, _ writer: inout RequestHeadWriter, _ group: ChildGroup?,
    _ fields: inout wsgi_httpd_request
  ) throws(Refusal) -> UnsafeRawBufferPointer {
    let proxy = ProxyHeaders.outcome(destination, view, fields)
    var flags = RequestHead.Flags(destination.flags)
    if body.isThere { flags.insert(.hasBody) }
    if fields.is_head != 0 { flags.insert(.isHead) }
    if fields.wants_ranges != 0 { flags.insert(.wantsRanges) }
    if ProxyHeaders.isHTTPS(request, fields, proxy) { flags.insert(.https) }
    if handlerScript != nil { flags.insert(.handlerScript) }
    if destination.isOpenName { flags.insert(.openName) }
    if group.map({ $0.config.reload == .interpreter }) ?? destination.flags.isOn(.replacesInterpreter) {
      flags.insert(.replacesInterpreter)
    }
    guard fields.headers.count + fields.variables.count + Environ.ownPairs < RequestHead.pairLimit else {
      throw Refusal(431, "WSGI0352: The request has too many headers to pass to an application.")
    }
    let script = script
    let root = group?.changedRoot
    let path = rawBytes(of: try root?.inside(script: script) ?? script)
    root?.enter(&fields)
    destination.processGroup.withUnsafeBytes { process in
      destination.applicationGroup.withUnsafeBytes { application in
        destination.callableObject.withUnsafeBytes { callable in
          writer.begin(
            flags: flags, contentLength: body.length,
            scriptModified: handlerScript == nil ? target.modified : ScriptTime.now(script),
            requestStart: view.time, processGroup: process, applicationGroup: application, script: path,
            callable: callable)
        }
      }
    }
    var environ = Environ(view, fields, proxy: proxy, options: environOptions(destination))
    let head = writer.finish(pairs: environ.write(to: &writer.writer))
    guard head.count <= RequestHead.limit else {
      throw Refusal(431, "WSGI0352: The request's headers are too large to pass to an application.")
    }
    return head
  }

  func environOptions(_ destination: Destination) -> EnvironOptions {
    EnvironOptions(
      passAuthorization: destination.flags.isOn(.passAuthorization), mapHEADToGET: destination.mapHEADToGET,
      handlerScript: handlerScript?.path ?? [], processID: HTTPDChild.current?.process ?? getpid())
  }

  // MARK: embedded mode

  private func runEmbedded(
    _ head: UnsafeRawBufferPointer, _ destination: Destination, _ account: inout RequestAccount
  ) throws(Refusal) -> Int32 {
    if generation.configuration.global.restrictEmbedded == true {
      throw Refusal(500, "WSGI0143: Embedded mode of mod_wsgi disabled by WSGIRestrictEmbedded; name a daemon process group.")
    }
    var exchange = EmbeddedExchange(request, script: script, response: response(for: destination))
    var outcome = wsgi_outcome()
    let ran: Void? = HTTPDChild.current?.python.withEngine { engine in
      // The request's address: no other running request has it.
      let ticket = UInt64(UInt(bitPattern: request))
      withUnsafeMutablePointer(to: &exchange) { exchange in
        outcome = engine.run(exchange, EmbeddedExchange.functions, head, ticket: ticket, flags: [])
      }
    }
    guard ran != nil else {
      let reason = HTTPDChild.current?.python.reason ?? "it has not been initialised"
      throw Refusal(500, "WSGI0210: Python cannot be used in this httpd process: \(reason).")
    }
    let result = exchange.conclude(outcome)
    account.note(outcome, exchange.response)
    return result
  }

  func response(for destination: Destination) -> ClientResponse {
    ClientResponse(
      request, overridesErrors: destination.flags.isOn(.errorOverride),
      allowsSendfile: destination.flags.isOn(.enableSendfile))
  }

  // MARK: daemon mode

  func check(_ group: ChildGroup) throws(Refusal) {
    if group.isHalted { throw Refusal(503, "Process group '\(group.name)' is stopped; answered 503.", isRoutine: true) }
    if let owner = group.config.settings.engine.scriptOwner { try ScriptOwnership.check(script, for: owner, group: group.name) }
  }

  func notStarted(_ destination: Destination, _ group: ChildGroup? = nil) -> Refusal {
    if let group, group.config.settings.isService {
      return Refusal(
        500,
        "WSGI0683: Process group '\(group.name)' has threads=0 and serves no requests. Give it threads, or choose another group.")
    }
    return Refusal(
      500, "WSGI0151: Process group '\(ByteText(destination.processGroup))' was not started; earlier log entries say why.")
  }

  /// Limits how long the client may keep the response waiting; how long it might before, -1: that is left alone.
  @inline(__always)
  func limitClient(_ group: ChildGroup) -> Int64 {
    let own = Int64(group.config.responseSocketTimeout)
    let timeout = own > 0 ? own : group.config.settings.socketTimeout
    return timeout > 0 ? wsgi_httpd_set_client_timeout(request, timeout) : -1
  }

  private func runDaemon(
    _ head: UnsafeRawBufferPointer, _ destination: Destination, _ group: ChildGroup, _ body: RequestBody,
    _ account: inout RequestAccount, _ tenant: (name: QueuesOnDemand.Name, held: QueuesOnDemand.Held)?
  ) throws(Refusal) -> Int32 {
    guard let queue = group.queue, let seat = HTTPDChild.current?.seat else { throw notStarted(destination, group) }
    let before = limitClient(group)
    defer { if before >= 0 { _ = wsgi_httpd_set_client_timeout(request, before) } }
    var exchange = DaemonRequest(
      request, of: group, seat: seat, script: script, response: response(for: destination), body: body, account: account)
    let outcome =
      queue.writeEnd >= 0
      ? ThreadState.withForwarder(seat: seat) { forwarder in
        forwarder.run(head, on: queue, logLevel: LogLevel(of: request), origin: &exchange)
      }
      : runOnDemand(head, tenant?.name ?? QueuesOnDemand.Name(group: group), tenant?.held, seat, destination, &exchange)
    let result = exchange.conclude(outcome)
    account.note(outcome, exchange.response, group)
    return result
  }
}

extension ScriptHandler {
  /// The same on a queue that is made on demand. One that was given back since it was last used is asked for again: nothing has
  /// been begun then.
  private func runOnDemand(
    _ head: UnsafeRawBufferPointer, _ name: QueuesOnDemand.Name, _ first: QueuesOnDemand.Held?, _ seat: ChildSeat,
    _ destination: Destination, _ exchange: inout DaemonRequest
  ) -> DaemonOutcome {
    guard let queues = HTTPDChild.current?.queues else { return .failed(.notServed) }
    var outcome = DaemonOutcome.failed(.queueClosed)
    var first = first
    for _ in 0..<3 {
      do throws(ActivationFailure) {
        let held: QueuesOnDemand.Held
        if let known = first.take() {
          held = known
        } else {
          held = try queues.take(name) { preloadable(by: name, destination) }
        }
        outcome = ThreadState.withForwarder(seat: seat) { forwarder in
          forwarder.run(head, on: held.queue, logLevel: LogLevel(of: request), origin: &exchange)
        }
        guard case .failed(.queueClosed) = outcome else { break }
        queues.forget(held, name)
      } catch {
        switch error {
        case .noAnswer: return .failed(.notServed)
        case .refused(let number): return .failed(.system(errno: number))
        }
      }
    }
    return outcome
  }
}

extension ScriptResource {
  init(_ target: wsgi_httpd_target, _ view: wsgi_httpd_view) {
    self.init()
    exists = target.file_exists != 0
    isDirectory = target.file_is_directory != 0
    mayExecute = target.may_execute != 0
    hasPathInfo = view.path_info.map { $0.pointee != 0 } ?? false
    rejectsPathInfo = target.rejects_path_info != 0
  }
}

extension RequestHead.Flags {
  /// The flags that directives set.
  init(_ flags: ScopeFlags) {
    self = []
    if flags.isOn(.scriptReloading) { insert(.scriptReloading) }
    if flags.isOn(.ignoreActivity) { insert(.ignoreActivity) }
    if flags.isOn(.passApacheRequest) { insert(.passRequest) }
  }
}

extension ChildGroup {
  /// Why there is no group of this template for a tenant.
  fileprivate func refusal(_ failure: ActivationFailure, key: TenantKey?) -> Refusal {
    let name = "'\(name)\(key.map { "/\(ByteText($0.bytes))" } ?? "")'"
    return switch failure {
    case .refused(EBUSY):
      Refusal(
        503,
        "WSGI0726: No room for process group \(name): max-groups=\(config.template?.maximumGroups ?? 0) of its template are busy;"
          + " answered 503. Raise max-groups.")
    case .refused(EPERM):
      Refusal(403, "WSGI0724: Process group \(name) is refused: its user is outside of uid-range= of the template.")
    case .refused(let number):
      Refusal(503, "WSGI0720: Cannot create process group \(name): \(String(cString: strerror(number))).")
    case .noAnswer:
      Refusal(
        503,
        "WSGI0727: Process group \(name) could not be made within connect-timeout: the supervisor did not answer, or no other"
          + " group made room in time.")
    }
  }
}

extension Refusal {
  /// The one place where a refused request is logged.
  func report(_ request: OpaquePointer, script: UnsafePointer<CChar>?) -> Int32 {
    if status == 503 {
      let pool = wsgi_httpd_request_pool(request)
      wsgi_httpd_add_error_header(request, poolCopy("Retry-After", pool), poolCopy(DaemonRequest.retryAfter, pool))
    }
    log(isRoutine ? .info : .error, request: request, script: script, message)
    return status
  }
}
