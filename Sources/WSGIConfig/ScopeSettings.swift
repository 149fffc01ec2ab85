/// The On/Off settings of a scope: each set, cleared or not mentioned, in two words so that merging is two operations.
public struct ScopeFlags: Equatable, Sendable {
  public enum Flag: UInt16, Sendable, CaseIterable {
    case passApacheRequest, passAuthorization, scriptReloading, errorOverride, chunkedRequest, ignoreActivity, enableSendfile
    /// WSGIReloadMechanism Interpreter.
    case replacesInterpreter
    case statusPaths

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
@dynamicMemberLookup
public struct ScopeSettings: Sendable {
  public var flags = ScopeFlags()
  public var mapHEADToGET: HeadMapping?
  private var named: Shared<NamedSettings>?

  public init() {}

  /// The names and lists, by the names of their properties.
  @inline(__always)
  public subscript<Value>(dynamicMember value: WritableKeyPath<NamedSettings, Value?>) -> Value? {
    get { named?.value[keyPath: value] }
    set { change { $0[keyPath: value] = newValue } }
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
public struct NamedSettings: Sendable {
  public var processGroup: NameTemplate?
  public var applicationGroup: NameTemplate?
  public var callableObject: NameTemplate?
  public var dispatchScript: ServiceScript?
  public var trustedProxyHeaders: [ProxyHeader]?
  public var trustedProxies: [Subnet]?
  /// WSGIRestrictProcess, lower case: the names are compared without regard to case. An empty name is embedded mode.
  public var restrictProcess: [[UInt8]]?
  public var handlerScripts: [HandlerScript] = []

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
