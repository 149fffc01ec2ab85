/// Where a request goes and how it is to be treated: the answer of the configuration to a request.
public struct Destination {
  /// Empty: embedded mode.
  public var processGroup: [UInt8]
  /// Empty: the main interpreter.
  public var applicationGroup: [UInt8]
  public var callableObject: [UInt8]
  /// What `processGroup` leads to.
  public var lookup: ProcessGroupLookup
  /// Every flag has its value.
  public let flags: ScopeFlags
  public let mapHEADToGET: HeadMapping
  public let dispatchScript: ServiceScript?
  public let trustedProxyHeaders: [ProxyHeader]?
  public let trustedProxies: [Subnet]?
}

extension Configuration {
  /// The destination of a request. Low to high: what holds by default, for the server, for the directory, and what the alias
  /// or handler script says that led here. A dispatch script comes after this (`redirect`).
  public func destination(
    server identity: ServerIdentity, _ server: borrowing ServerConfig, _ directory: borrowing DirectoryConfig,
    alias: ScriptAlias?, handler: HandlerScript?, _ facts: some RequestFacts
  ) -> Destination {
    var flags = ScopeFlags.defaults.overlaid(by: server.scope.flags).overlaid(by: directory.scope.flags)
    if let pass = alias?.passAuthorization ?? handler?.passAuthorization { flags[.passAuthorization] = pass }

    let process: [UInt8]
    if let template = alias?.processGroup ?? handler?.processGroup ?? directory.scope.processGroup ?? server.scope.processGroup {
      process = template.name(for: .processGroup, facts, lowercase: isCaseInsensitive)
    } else {
      process = []
    }
    let lookup = permitted(process, identity, server, directory)

    let callable: [UInt8]
    if handler != nil {
      callable = HandlerScript.callable
    } else if let name = alias?.callableObject {
      callable = name
    } else if let template = directory.scope.callableObject ?? server.scope.callableObject {
      callable = template.name(for: .callable, facts)
    } else {
      callable = NameTemplate.defaultCallable
    }
    let application =
      alias?.applicationGroup ?? handler?.applicationGroup ?? directory.scope.applicationGroup ?? server.scope.applicationGroup
      ?? .resource
    return Destination(
      processGroup: process,
      applicationGroup: application.name(
        for: .applicationGroup, facts, singleApplication: isSingle(lookup), lowercase: isCaseInsensitive),
      callableObject: callable, lookup: lookup, flags: flags,
      mapHEADToGET: directory.scope.mapHEADToGET ?? server.scope.mapHEADToGET ?? .auto,
      dispatchScript: directory.scope.dispatchScript ?? server.scope.dispatchScript,
      trustedProxyHeaders: directory.scope.trustedProxyHeaders ?? server.scope.trustedProxyHeaders,
      trustedProxies: directory.scope.trustedProxies ?? server.scope.trustedProxies)
  }

  /// Replaces what a dispatch script answered with; nil keeps what there is. The answers expand as the directives do.
  public func redirect(
    _ destination: inout Destination, processGroup: ByteText?, applicationGroup: ByteText?, callableObject: ByteText?,
    server identity: ServerIdentity, _ server: borrowing ServerConfig, _ directory: borrowing DirectoryConfig,
    _ facts: some RequestFacts
  ) {
    if let processGroup {
      destination.processGroup = NameTemplate(processGroup, for: .processGroup)
        .name(for: .processGroup, facts, lowercase: isCaseInsensitive)
      destination.lookup = permitted(destination.processGroup, identity, server, directory)
    }
    if let applicationGroup {
      destination.applicationGroup = NameTemplate(applicationGroup, for: .applicationGroup).name(
        for: .applicationGroup, facts, singleApplication: isSingle(destination.lookup), lowercase: isCaseInsensitive)
    }
    if let callableObject {
      destination.callableObject = NameTemplate(callableObject, for: .callable).name(for: .callable, facts)
    }
  }

  /// The handler script of a handler's name; nil where the name is none of ours.
  public func handlerScript(
    named name: Span<UInt8>, _ server: borrowing ServerConfig, _ directory: borrowing DirectoryConfig
  ) -> HandlerScript? {
    script(named: name, among: directory.scope.handlerScripts) ?? script(named: name, among: server.scope.handlerScripts)
  }

  private func script(named name: Span<UInt8>, among scripts: [HandlerScript]) -> HandlerScript? {
    for script in scripts where script.name.count == name.count {
      if script.name.indices.allSatisfy({ script.name[$0] == name[$0] }) { return script }
    }
    return nil
  }

  private func permitted(
    _ name: [UInt8], _ identity: ServerIdentity, _ server: borrowing ServerConfig, _ directory: borrowing DirectoryConfig
  ) -> ProcessGroupLookup {
    if let allowed = directory.scope.restrictProcess ?? server.scope.restrictProcess,
      !allowed.contains(where: { $0.elementsEqual(name.lazy.map(asciiLowercase)) })
    {
      return .restricted
    }
    return processGroup(named: name, for: identity)
  }

  private func isSingle(_ lookup: ProcessGroupLookup) -> Bool {
    guard case .daemon(let index) = lookup, index < servesSingleApplication.count else { return false }
    return servesSingleApplication[index]
  }
}
