/// Where a request goes and how it is to be treated: the answer of the configuration to a request.
public struct Destination {
  /// Empty: embedded mode.
  public var processGroup: [UInt8]
  /// Empty: the main interpreter.
  public var applicationGroup: [UInt8]
  /// The configuration does not fix the application group; a process has a limit for such interpreters (WSGIMaxInterpreters).
  public var isOpenName: Bool
  public var callableObject: [UInt8]
  /// The result of looking up `processGroup`.
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
    if let pass = alias?.options.passAuthorization ?? handler?.options.passAuthorization { flags[.passAuthorization] = pass }

    let (process, lookup) = processGroup(server: identity, server, directory, alias: alias, handler: handler, facts)

    let callable: [UInt8]
    if handler != nil {
      callable = HandlerScript.callable
    } else if let name = alias?.options.callableObject {
      callable = name
    } else if let template = directory.scope.callableObject ?? server.scope.callableObject {
      callable = template.name(for: .callable, facts)
    } else {
      callable = NameTemplate.defaultCallable
    }
    let application =
      alias?.options.applicationGroup ?? handler?.options.applicationGroup ?? directory.scope.applicationGroup ?? server.scope
      .applicationGroup
      ?? .resource
    let (group, isOpen) = applicationGroup(application, for: .applicationGroup, isSingle: isSingle(lookup), alias: alias, facts)
    return Destination(
      processGroup: process, applicationGroup: group, isOpenName: isOpen,
      callableObject: callable, lookup: lookup, flags: flags,
      mapHEADToGET: directory.scope.mapHEADToGET ?? server.scope.mapHEADToGET ?? .auto,
      dispatchScript: directory.scope.dispatchScript ?? server.scope.dispatchScript,
      trustedProxyHeaders: directory.scope.trustedProxyHeaders ?? server.scope.trustedProxyHeaders,
      trustedProxies: directory.scope.trustedProxies ?? server.scope.trustedProxies)
  }

  /// The process group of a request, as `destination` has it.
  @inline(__always)
  public func processGroup(
    server identity: ServerIdentity, _ server: borrowing ServerConfig, _ directory: borrowing DirectoryConfig,
    alias: ScriptAlias?, handler: HandlerScript?, _ facts: some RequestFacts
  ) -> (name: [UInt8], lookup: ProcessGroupLookup) {
    let template =
      alias?.options.processGroup ?? handler?.options.processGroup ?? directory.scope.processGroup ?? server.scope.processGroup
    guard let template else { return ([], permitted([], identity, server, directory)) }
    return processGroup(template, identity, server, directory, facts)
  }

  @inline(__always)
  private func processGroup(
    _ template: NameTemplate, _ identity: ServerIdentity, _ server: borrowing ServerConfig,
    _ directory: borrowing DirectoryConfig,
    _ facts: some RequestFacts
  ) -> (name: [UInt8], lookup: ProcessGroupLookup) {
    if case .fixed(let name) = template { return (name, permitted(name, identity, server, directory)) }
    return openProcessGroup(template, identity, server, directory, facts)
  }

  @inline(never)
  private func openProcessGroup(
    _ template: NameTemplate, _ identity: ServerIdentity, _ server: borrowing ServerConfig,
    _ directory: borrowing DirectoryConfig,
    _ facts: some RequestFacts
  ) -> (name: [UInt8], lookup: ProcessGroupLookup) {
    let (name, origin) = template.expand(for: .processGroup, facts, false, isCaseInsensitive)
    let lookup = permitted(name, identity, server, directory)
    guard origin == .variable, lookup == .unknown || lookup == .restricted else { return (name, lookup) }
    let normalized = HostName.normalized(name, host: facts.host)
    let other = permitted(normalized, identity, server, directory)
    return other == .unknown || other == .restricted ? (name, lookup) : (normalized, other)
  }

  /// An application group's name for a request, and whether it is one that the configuration does not fix.
  @inline(__always)
  public func applicationGroup(
    _ template: NameTemplate, for use: NameTemplate.Use, isSingle: Bool = false, alias: ScriptAlias? = nil,
    _ facts: some RequestFacts
  ) -> (name: [UInt8], isOpen: Bool) {
    if case .fixed(let name) = template { return (name, false) }
    return openApplicationGroup(template, use, isSingle, alias, facts)
  }

  @inline(never)
  private func openApplicationGroup(
    _ template: NameTemplate, _ use: NameTemplate.Use, _ isSingle: Bool, _ alias: ScriptAlias?, _ facts: some RequestFacts
  ) -> (name: [UInt8], isOpen: Bool) {
    let (name, origin) = template.expand(for: use, facts, isSingle, isCaseInsensitive)
    switch origin {
    case .configuration: return (name, false)
    case .script: return (name, !isMount(alias, of: name))
    case .host: return (name, !fixedNames.contains(name))
    case .variable:
      if fixedNames.contains(name) { return (name, false) }
      let normalized = HostName.normalized(name, host: facts.host)
      return (normalized, !fixedNames.contains(normalized))
    }
  }

  /// A name of host and script is that of an alias to one script.
  private func isMount(_ alias: ScriptAlias?, of name: [UInt8]) -> Bool {
    guard let mount = alias?.mount, name.count > mount.count else { return false }
    let start = name.count - mount.count
    guard name[start - 1] == Ascii.bar else { return false }
    for index in mount.indices {
      let byte = isCaseInsensitive ? asciiLowercase(mount[index]) : mount[index]
      if name[start + index] != byte { return false }
    }
    return true
  }

  /// Applies the answers of a dispatch script; nil keeps the present value. The answers expand as the directives do.
  public func redirect(
    _ destination: inout Destination, processGroup: ByteText?, applicationGroup: ByteText?, callableObject: ByteText?,
    server identity: ServerIdentity, _ server: borrowing ServerConfig, _ directory: borrowing DirectoryConfig,
    _ facts: some RequestFacts
  ) {
    if let processGroup {
      let template = NameTemplate(processGroup, for: .processGroup)
      (destination.processGroup, destination.lookup) = self.processGroup(template, identity, server, directory, facts)
    }
    if let applicationGroup {
      let template = NameTemplate(applicationGroup, for: .applicationGroup)
      let (name, isOpen) = self.applicationGroup(template, for: .applicationGroup, isSingle: isSingle(destination.lookup), facts)
      destination.applicationGroup = name
      // The script's answer may come from the request as well.
      destination.isOpenName = isOpen || !name.isEmpty && !fixedNames.contains(name)
    }
    if let callableObject {
      destination.callableObject = NameTemplate(callableObject, for: .callable).name(for: .callable, facts)
    }
  }

  /// The handler script of a handler's name; nil if there is none.
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
