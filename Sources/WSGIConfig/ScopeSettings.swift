/// The On/Off settings of a scope: each set, cleared or not mentioned, in two words so that merging is two operations.
public struct ScopeFlags: Equatable, Sendable {
  public enum Flag: UInt16, Sendable, CaseIterable {
    case passApacheRequest, passAuthorization, scriptReloading, errorOverride, chunkedRequest, ignoreActivity, enableSendfile

    var bit: UInt16 { 1 << rawValue }
  }

  private var known: UInt16 = 0
  private var on: UInt16 = 0

  public init() {}

  public subscript(_ flag: Flag) -> Bool? {
    get { known & flag.bit == 0 ? nil : on & flag.bit != 0 }
    set {
      known = newValue == nil ? known & ~flag.bit : known | flag.bit
      on = newValue == true ? on | flag.bit : on & ~flag.bit
    }
  }

  /// These, where the inner scope does not say otherwise.
  public func overlaid(by inner: ScopeFlags) -> ScopeFlags {
    var merged = self
    merged.known |= inner.known
    merged.on = (on & ~inner.known) | inner.on
    return merged
  }

  /// What holds where no scope says anything.
  public static let defaults: ScopeFlags = {
    var flags = ScopeFlags()
    for flag in Flag.allCases { flags[flag] = flag == .scriptReloading }
    return flags
  }()

  /// A flag that `defaults` lies beneath.
  @inline(__always)
  public func isOn(_ flag: Flag) -> Bool { on & flag.bit != 0 }
}

/// WSGIMapHEADToGET.
public enum HeadMapping: Sendable { case off, on, auto }

/// What may be said for a server and again for a directory; nil or empty is "not said here".
public struct ScopeSettings: Sendable {
  public var flags = ScopeFlags()
  public var mapHEADToGET: HeadMapping?
  public var processGroup: NameTemplate?
  public var applicationGroup: NameTemplate?
  public var callableObject: NameTemplate?
  public var dispatchScript: ServiceScript?
  public var trustedProxyHeaders: [ProxyHeader]?
  public var trustedProxies: [Subnet]?
  /// WSGIRestrictProcess, lower case: the names are compared without regard to case. An empty name is embedded mode.
  public var restrictProcess: [[UInt8]]?
  public var handlerScripts: [HandlerScript] = []

  public init() {}

  public var isEmpty: Bool {
    flags == ScopeFlags() && mapHEADToGET == nil && processGroup == nil && applicationGroup == nil && callableObject == nil
      && dispatchScript == nil && trustedProxyHeaders == nil && trustedProxies == nil && restrictProcess == nil
      && handlerScripts.isEmpty
  }

  /// These settings with an inner scope's on top: each of its values wins, handler scripts by name.
  public func overlaid(by inner: borrowing ScopeSettings) -> ScopeSettings {
    var merged = self
    merged.flags = flags.overlaid(by: inner.flags)
    merged.mapHEADToGET = inner.mapHEADToGET ?? mapHEADToGET
    merged.processGroup = inner.processGroup ?? processGroup
    merged.applicationGroup = inner.applicationGroup ?? applicationGroup
    merged.callableObject = inner.callableObject ?? callableObject
    merged.dispatchScript = inner.dispatchScript ?? dispatchScript
    merged.trustedProxyHeaders = inner.trustedProxyHeaders ?? trustedProxyHeaders
    merged.trustedProxies = inner.trustedProxies ?? trustedProxies
    merged.restrictProcess = inner.restrictProcess ?? restrictProcess
    for script in inner.handlerScripts { merged.setHandlerScript(script) }
    return merged
  }

  /// Adds a handler script, in the place of one of the same name.
  mutating func setHandlerScript(_ script: HandlerScript) {
    if let index = handlerScripts.firstIndex(where: { $0.name == script.name }) {
      handlerScripts[index] = script
    } else {
      handlerScripts.append(script)
    }
  }
}
