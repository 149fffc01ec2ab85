/// An alias that matched a request's URI.
public struct AliasMatch {
  public let alias: ScriptAlias
  /// The target after `$0` to `$9` were put in; nil: the alias's own.
  public let substituted: [UInt8]?
  /// Where in the URI begins what is appended to the target.
  public let tail: Int

  /// The file that the request is for: the target and what is left of the URI.
  public func appendFilename(uri: Span<UInt8>, to name: inout [UInt8]) {
    let target = substituted ?? alias.target
    name.reserveCapacity(name.count + target.count + uri.count - tail)
    name.append(contentsOf: target)
    for index in tail..<uri.count { name.append(uri[index]) }
  }
}

public enum AliasMatching {
  /// The match of a regular expression: `$0` to `$9`, nil where a group took no part.
  public typealias Captures = [Range<Int>?]

  /// The first alias that matches `uri`. `regex` runs a compiled expression on the URI; it is not called for plain aliases,
  /// and nothing is allocated for those.
  public static func first(
    of aliases: [ScriptAlias], matching uri: Span<UInt8>, regex: (RegexHandle) -> Captures?
  ) -> AliasMatch? {
    guard uri.count > 0, uri[0] == Ascii.slash else { return nil }
    for alias in aliases {
      switch alias.pattern {
      case .path(let path):
        let length = consumed(by: path.span, of: uri)
        guard length > 0 else { continue }
        return AliasMatch(alias: alias, substituted: nil, tail: isRoot(path.span) ? 0 : length)
      case .regex(let handle, _):
        guard let captures = regex(handle), let whole = captures.first, let end = whole?.upperBound, end > 0, end <= uri.count
        else { continue }
        let target = substitute(alias.target, captures, uri)
        return AliasMatch(alias: alias, substituted: target, tail: end == 1 ? 0 : end)
      }
    }
    return nil
  }

  /// How much of `uri` an alias covers, 0 for nothing: runs of slashes match runs of slashes, and the match ends where a
  /// path segment does.
  static func consumed(by alias: Span<UInt8>, of uri: Span<UInt8>) -> Int {
    var at = 0
    var index = 0
    while index < alias.count {
      guard at < uri.count else { return 0 }
      if alias[index] == Ascii.slash {
        guard uri[at] == Ascii.slash else { return 0 }
        while index < alias.count, alias[index] == Ascii.slash { index += 1 }
        while at < uri.count, uri[at] == Ascii.slash { at += 1 }
      } else {
        guard alias[index] == uri[at] else { return 0 }
        index += 1
        at += 1
      }
    }
    guard alias.count > 0 else { return 0 }
    let endsSegment = alias[alias.count - 1] == Ascii.slash || at == uri.count || uri[at] == Ascii.slash
    return endsSegment ? at : 0
  }

  private static func isRoot(_ alias: Span<UInt8>) -> Bool { alias.count == 1 && alias[0] == Ascii.slash }

  /// `$0` to `$9` in a target; a backslash takes the meaning of what follows away.
  static func substitute(_ target: [UInt8], _ captures: Captures, _ uri: Span<UInt8>) -> [UInt8] {
    var result: [UInt8] = []
    var index = 0
    while index < target.count {
      let byte = target[index]
      let next: UInt8? = index + 1 < target.count ? target[index + 1] : nil
      if byte == Ascii.dollar, let next, NumberSyntax.isDigit(next) {
        let group = Int(next - Ascii.zero)
        if group < captures.count, let range = captures[group] {
          for position in range.clamped(to: 0..<uri.count) { result.append(uri[position]) }
        }
        index += 2
      } else if byte == Ascii.backslash, let next {
        result.append(next)
        index += 2
      } else {
        result.append(byte)
        index += 1
      }
    }
    return result
  }
}
