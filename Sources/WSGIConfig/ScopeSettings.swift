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

  /// The default where no scope sets a value.
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

/// Settings of a server or a directory; nil or empty is "not set here".
///
/// httpd has the settings of nested sections merged for each request, so that a copy must cost little: but for the flags, they
/// are one reference to values that never change.
public struct ScopeSettings: Sendable {
  public var flags = ScopeFlags()
  public var mapHEADToGET: HeadMapping?
  private var named: Shared<NamedSettings>?

  public init() {}

  public var processGroup: NameTemplate? {
    get { named?.value.processGroup }
    set { change { $0.processGroup = newValue } }
  }

  public var applicationGroup: NameTemplate? {
    get { named?.value.applicationGroup }
    set { change { $0.applicationGroup = newValue } }
  }

  public var callableObject: NameTemplate? {
    get { named?.value.callableObject }
    set { change { $0.callableObject = newValue } }
  }

  public var dispatchScript: ServiceScript? {
    get { named?.value.dispatchScript }
    set { change { $0.dispatchScript = newValue } }
  }

  public var trustedProxyHeaders: [ProxyHeader]? {
    get { named?.value.trustedProxyHeaders }
    set { change { $0.trustedProxyHeaders = newValue } }
  }

  public var trustedProxies: [Subnet]? {
    get { named?.value.trustedProxies }
    set { change { $0.trustedProxies = newValue } }
  }

  /// WSGIRestrictProcess, lower case: the names are compared without regard to case. An empty name is embedded mode.
  public var restrictProcess: [[UInt8]]? {
    get { named?.value.restrictProcess }
    set { change { $0.restrictProcess = newValue } }
  }

  public var handlerScripts: [HandlerScript] { named?.value.handlerScripts ?? [] }

  /// Adds a handler script, in the place of one of the same name.
  mutating func setHandlerScript(_ script: HandlerScript) { change { $0.setHandlerScript(script) } }

  public var isEmpty: Bool { flags == ScopeFlags() && mapHEADToGET == nil && named == nil }

  /// These settings with an inner scope's on top: each of its values wins, handler scripts by name.
  public func overlaid(by inner: ScopeSettings) -> ScopeSettings {
    var merged = self
    merged.flags = flags.overlaid(by: inner.flags)
    merged.mapHEADToGET = inner.mapHEADToGET ?? mapHEADToGET
    if let above = inner.named {
      merged.named = named.map { Shared($0.value.overlaid(by: above.value)) } ?? above
    }
    return merged
  }

  private mutating func change(_ body: (inout NamedSettings) -> Void) {
    var value = named?.value ?? NamedSettings()
    body(&value)
    named = Shared(value)
  }
}

/// A value that does not change, by reference.
final class Shared<Value: Sendable>: Sendable {
  let value: Value
  init(_ value: Value) { self.value = value }
}

/// The settings of a scope that are names and lists.
private struct NamedSettings: Sendable {
  var processGroup: NameTemplate?
  var applicationGroup: NameTemplate?
  var callableObject: NameTemplate?
  var dispatchScript: ServiceScript?
  var trustedProxyHeaders: [ProxyHeader]?
  var trustedProxies: [Subnet]?
  var restrictProcess: [[UInt8]]?
  var handlerScripts: [HandlerScript] = []

  func overlaid(by inner: NamedSettings) -> NamedSettings {
    var merged = self
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

  mutating func setHandlerScript(_ script: HandlerScript) {
    if let index = handlerScripts.firstIndex(where: { $0.name == script.name }) {
      handlerScripts[index] = script
    } else {
      handlerScripts.append(script)
    }
  }
}
