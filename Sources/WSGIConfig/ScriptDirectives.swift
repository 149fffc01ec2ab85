// Directives that name a Python file: what they require, and the options they share.

extension ScriptOptions {
  /// Reads the options of an alias, a handler script or an import script.
  init(_ kind: ScriptKind, _ line: inout ConfigLine) throws(ConfigError) {
    var options = ScriptOptions()
    try kind.readOptions(&line) { (name, value) throws(ConfigError) in
      switch name {
      case "process-group":
        guard !value.isEmpty else { throw ConfigError("Invalid name for WSGI process group. process-group= has no value.") }
        options.processGroup = NameTemplate(value, for: .processGroup)
      case "application-group":
        options.applicationGroup = NameTemplate(try ScriptOptions.applicationGroup(value), for: .applicationGroup)
      case "callable-object":
        guard !value.isEmpty else { throw ConfigError("Invalid name for WSGI callable object. callable-object= has no value.") }
        options.callableObject = value.bytes
      default:
        guard let isOn = onOff(value) else {
          throw ConfigError("Invalid value for authorization flag. pass-authorization= must be On or Off, not '\(value)'.")
        }
        options.passAuthorization = isOn
      }
    }
    self = options
  }

  static func applicationGroup(_ value: ByteText) throws(ConfigError) -> ByteText {
    guard !value.isEmpty else {
      throw ConfigError(
        "Invalid name for WSGI application group. application-group= has no value; %{GLOBAL} is the main interpreter.")
    }
    return value
  }
}

extension ScriptAlias {
  static func add(_ parse: inout ConfigParse, _ line: inout ConfigLine, isMatch: Bool) throws(ConfigError) {
    let directive = isMatch ? "WSGIScriptAliasMatch" : "WSGIScriptAlias"
    guard let source = line.nextWord(), let target = line.nextWord(), !source.isEmpty, !target.isEmpty else {
      let what = isMatch ? "a regular expression" : "a URL path"
      throw ConfigError("\(directive) requires at least two arguments, \(what) and the script it leads to")
    }
    var pattern = Pattern.path(source.bytes)
    if isMatch {
      guard let regex = parse.environment.compileRegex(source) else {
        throw ConfigError("Regular expression could not be compiled. '\(source)' is not an extended regular expression.")
      }
      pattern = .regex(regex, source: source)
    }
    let options = try ScriptOptions(.alias, &line)
    if let preload = preload(target, options, isMatch: isMatch, parse) { parse.global.value.imports.append(preload) }
    parse.serverConfig.value.aliases.append(
      ScriptAlias(
        pattern: pattern, target: target.bytes, options: options, server: parse.server.id, location: parse.location))
  }

  /// An alias whose process and application are both known can be loaded before the first request.
  private static func preload(
    _ target: ByteText, _ options: ScriptOptions, isMatch: Bool, _ parse: ConfigParse
  ) -> ImportScript? {
    guard let process = options.processGroup?.literalName, let application = options.applicationGroup?.literalName,
      !(isMatch && target.contains(Ascii.dollar))
    else { return nil }
    return ImportScript(
      path: target.bytes, processGroup: process, applicationGroup: application, isPreload: true, server: parse.server.id,
      location: parse.location)
  }
}

extension NameTemplate {
  /// A name that was written out, or `%{GLOBAL}`; an unknown `%{…}` is a name too, but hardly meant as one.
  var literalName: [UInt8]? {
    guard case .fixed(let name) = self, !ByteText(name).contains("%{") else { return nil }
    return name
  }
}

extension HandlerScript {
  static func add(_ parse: inout ConfigParse, _ line: inout ConfigLine) throws(ConfigError) {
    guard let name = line.nextWord(), !name.isEmpty else {
      throw ConfigError("Name for handler script not supplied. Give a handler name and the path of a Python file.")
    }
    guard let path = line.nextWord(), !path.isEmpty else { throw ScriptKind.handler.missingLocation() }
    let options = try ScriptOptions(.handler, &line)
    if parse.isAccessFile, options.processGroup != nil || options.applicationGroup != nil {
      // The groups decide whose user the script runs as; that is not for the owner of a directory to say.
      throw ConfigError(
        "WSGIHandlerScript cannot have process-group= or application-group= in .htaccess. "
          + "Let the server configuration set WSGIProcessGroup and WSGIApplicationGroup for the directory.")
    }
    let script = HandlerScript(
      name: name.bytes, path: path.bytes, options: options, requiresExecCGI: parse.isAccessFile, location: parse.location)
    parse.scope.setHandlerScript(script)
    if !parse.isAccessFile { parse.global.value.handlerScripts.append(script) }
  }
}

extension ServiceScript {
  init(_ kind: ScriptKind, _ parse: inout ConfigParse, _ line: inout ConfigLine) throws(ConfigError) {
    guard let path = line.nextWord(), !path.isEmpty else { throw kind.missingLocation() }
    var interpreter = NameTemplate.global
    try kind.readOptions(&line) { (_, value) throws(ConfigError) in
      interpreter = NameTemplate(try ScriptOptions.applicationGroup(value), for: .scriptInterpreter)
    }
    self.init(
      kind: kind.name, path: path.bytes, applicationGroup: interpreter, isOfAccessFile: parse.isAccessFile,
      location: parse.location)
    if !parse.isAccessFile {
      parse.global.value.childrenNeedPython = true
      parse.global.value.serviceScripts.append(self)
    }
  }
}

extension ImportScript {
  static func add(_ parse: inout ConfigParse, _ line: inout ConfigLine) throws(ConfigError) {
    guard let path = line.nextWord(), !path.isEmpty else { throw ScriptKind.import.missingLocation() }
    var process: ByteText?
    var application: ByteText?
    try ScriptKind.import.readOptions(&line) { (name, value) throws(ConfigError) in
      if name == "process-group" {
        guard !value.isEmpty else { throw ConfigError("Invalid name for WSGI process group. process-group= has no value.") }
        process = value
      } else {
        application = try ScriptOptions.applicationGroup(value)
      }
    }
    guard let application else {
      throw ConfigError("Name of WSGI application group required. Add application-group=; %{GLOBAL} is the main interpreter.")
    }
    guard let process else {
      throw ConfigError("Name of WSGI process group required. Add process-group=; %{GLOBAL} is embedded mode.")
    }
    let script = ImportScript(
      path: path.bytes, processGroup: process == "%{GLOBAL}" ? [] : process.bytes,
      applicationGroup: application == "%{GLOBAL}" ? [] : application.bytes, isPreload: false, server: parse.server.id,
      location: parse.location)
    if script.processGroup.isEmpty { parse.global.value.childrenNeedPython = true }
    parse.global.value.imports.append(script)
  }
}
