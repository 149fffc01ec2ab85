import Testing

@testable import PythonRuntime

/// Pairs of bytes, and the dicts that are made of them.
@Suite struct EnvironTests {
  /// Pairs in their encoding; nil stands for None.
  private func encoded(_ pairs: [(String, String?)]) -> [UInt8] {
    pairs.flatMap { key, value -> [UInt8] in
      let lengths = [UInt32(key.utf8.count), value.map { UInt32($0.utf8.count) } ?? 0xFFFF_FFFF]
      return lengths.withUnsafeBytes { Array($0) } + Array(key.utf8) + Array((value ?? "").utf8)
    }
  }

  private func read<R>(_ bytes: [UInt8], count: Int, _ body: (EnvironPairs) throws -> R) rethrows -> R {
    try bytes.withUnsafeBytes { try body(EnvironPairs($0, count: count, further: UnsafeBufferPointer(start: nil, count: 0))) }
  }

  @Test func keysAloneMakeTheHash() {
    let hash = { (pairs: [(String, String?)]) in self.read(self.encoded(pairs), count: pairs.count) { $0.keyHash() } }
    #expect(hash([("A", "1"), ("B", nil)]) == hash([("A", "xyz"), ("B", "")]))
    #expect(hash([("A", "1"), ("B", "")]) != hash([("B", "1"), ("A", "")]))
    #expect(hash([("AB", "")]) != hash([("A", ""), ("B", "")]))
  }

  @Test func pairsThatAreNoneEndTheReading() {
    let whole = encoded([("KEY", "value")])
    for count in 0..<whole.count {
      #expect(read(Array(whole.prefix(count)), count: 1) { $0.keyHash() } == nil)
      var cursor = read(Array(whole.prefix(count)), count: 1) { $0.cursor }
      if count < EnvironPairs.header { #expect(cursor.next() == nil) }
    }
    #expect(read([255, 255, 255, 127, 255, 255, 255, 127, 0], count: 1) { $0.keyHash() } == nil)
    #expect(read(whole, count: 2) { $0.keyHash() } == nil)
  }

  @Test func dictsFollowTheirPairs() throws {
    let rows: [([(String, String?)], String)] = [
      ([("A", "1"), ("B", "2")], "{'A': '1', 'B': '2'}"), ([("A", "1"), ("B", "3")], "{'A': '1', 'B': '3'}"),
      ([("A", nil), ("B", "")], "{'A': None, 'B': ''}"), ([("B", "1"), ("A", "2")], "{'B': '1', 'A': '2'}"),
      ([("A", "1"), ("A", "2")], "{'A': '2'}"), ([("K", "é")], "{'K': 'Ã©'}"),
      ([("DOCUMENT_ROOT", "/é")], "{'DOCUMENT_ROOT': '/é'}"), ([], "{}"),
    ]
    let found = try inPython { _, gil in
      let builder = EnvironBuilder()
      var found: [String] = []
      for (pairs, _) in rows + rows {
        guard let layout = try read(encoded(pairs), count: pairs.count, { try builder.layout($0, gil) }) else { continue }
        let environ = try layout.finish(gil)
        found.append(try repr(environ.object))
      }
      builder.clear(gil)
      return found
    }
    #expect(found == (rows + rows).map(\.1))
  }

  @Test func aLayoutIsNewOnceAndKeepsNoLongValues() throws {
    let found = try inPython { _, gil in
      let builder = EnvironBuilder()
      var found: [String] = []
      for value in ["1", String(repeating: "x", count: 2000), "2"] {
        guard let layout = try read(encoded([("A", value)]), count: 1, { try builder.layout($0, gil) }) else { continue }
        if layout.isNew { try layout.items.setItem("constant", 7) }
        let environ = try layout.finish(gil)
        found.append("\(try repr(environ.object).utf8.count) \(try repr(layout.items))")
      }
      builder.clear(gil)
      return found
    }
    #expect(
      found == ["25 {'A': '1', 'constant': 7}", "2024 {'A': None, 'constant': 7}", "25 {'A': '2', 'constant': 7}"])
  }

  @Test func malformedPairsHaveNoLayout() throws {
    let isMade = try inPython { _, gil in
      let builder = EnvironBuilder()
      defer { builder.clear(gil) }
      return try read([1, 0, 0], count: 1) { try builder.layout($0, gil) } != nil
    }
    #expect(!isMade)
  }
}
