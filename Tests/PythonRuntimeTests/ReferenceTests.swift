import Testing

@testable import PythonRuntime

/// References to Python's objects, what they hold, and exceptions.
@Suite struct ReferenceTests {
  // MARK: ownership

  @Test func aReferenceIsGivenBackWhenItEnds() throws {
    let counts = try inPython { _, _ in
      let list = try PyRef.list()
      var counts = [list.object.referenceCount]
      do {
        let other = list.object.retained()
        counts.append(other.object.referenceCount)
      }
      counts.append(list.object.referenceCount)
      let given = PyObj(list.object.retained().release())
      counts.append(list.object.referenceCount)
      _ = PyRef(owning: given.pointer)
      counts.append(list.object.referenceCount)
      return counts
    }
    #expect(counts == [1, 2, 1, 2, 1])
  }

  @Test func keptReferencesAreGivenBackOnce() throws {
    let counts = try inPython { _, gil in
      let list = try PyRef.list()
      var kept = KeptRef(list.object.retained())
      var counts = [list.object.referenceCount]
      kept.set(list.object.retained(), gil)
      counts.append(list.object.referenceCount)
      kept.drop(gil)
      kept.drop(gil)
      counts.append(list.object.referenceCount)
      #expect(kept.object == nil && kept.orNone == .none)
      var several = KeptRefs()
      for _ in 0..<3 { _ = several.keep(list.object.retained()) }
      counts.append(list.object.referenceCount)
      several.drop(gil)
      counts.append(list.object.referenceCount)
      return counts
    }
    #expect(counts == [2, 2, 1, 4, 1])
  }

  @Test func tuplesOwnTheirItems() throws {
    let counts = try inPython { _, _ in
      let list = try PyRef.list()
      var counts: [Int] = []
      do {
        let tuple = try PyRef.tuple([list.object, .none, list.object])
        counts.append(list.object.referenceCount)
        #expect(try repr(tuple.object) == "([], None, [])")
      }
      counts.append(list.object.referenceCount)
      return counts
    }
    #expect(counts == [3, 1])
  }

  // MARK: values

  @Test func values() throws {
    try inPython { _, _ in
      let dict = try PyRef.dict()
      try dict.object.setItem("number", 3)
      try dict.object.setItem("count", UInt64.max)
      try dict.object.setItem("share", 0.5)
      try dict.object.setItem("flag", true)
      try dict.object.setItem(named: "te" + "xt", "é\0")
      try dict.object.setItem("nothing", nil as Int?)
      try dict.object.setItem("list", [[1, 2], []])
      #expect(
        try repr(dict.object)
          == "{'number': 3, 'count': 9223372036854775807, 'share': 0.5, 'flag': True, 'text': 'é\\x00', 'nothing': None, "
          + "'list': [[1, 2], []]}")
      #expect(try dict.object.item("missing") == nil)
      let key = try PyRef.string("number")
      for _ in 0..<2 { try dict.object.removeItem(key.object) }
      #expect(try dict.object.item("number") == nil)
    }
  }

  @Test(arguments: [
    ("'abc'", "abc", "abc"), ("'\\xe9'", "é", "é"), ("'\\u0100'", nil, "Ā"), ("'\\ud800'", nil, "\\ud800"), ("b'abc'", nil, nil),
  ])
  func texts(expression: String, latin1: String?, text: String?) throws {
    let found = try inPython { _, _ in
      let value = try evaluate(expression)
      let scalars = value.object.latin1.map { bytes in String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) })) }
      return (scalars, value.object.text)
    }
    #expect(found == (latin1, text))
  }

  // MARK: exceptions

  @Test func exceptions() throws {
    try inPython { _, _ in
      _ = Raised(.valueError, "bad")
      #expect(takeException() == "ValueError: bad" && PythonException.take() == nil)
      #expect(PythonException.ignoring { try PyObj.none.int() } == nil)
      #expect(takeException() == "none")
      #expect(PythonException.ignoring { 7 } == 7)
      do throws(Raised) { _ = try PyObj.none.attribute("missing") } catch {
        #expect(takeException() == "AttributeError: 'NoneType' object has no attribute 'missing'")
      }
    }
  }

  @Test func anExceptionCanBeRaisedAgain() throws {
    try inPython { _, _ in
      do { _ = try evaluate("[][1]") } catch {}
      guard let exception = PythonException.take() else { throw Raised(.runtimeError, "none") }
      let object = exception.object
      #expect(object.typeName == "IndexError" && !PythonException.isSystemExit(object))
      let info = try PyRef(excInfoOf: object)
      #expect(info.object.tupleCount == 3 && info.object.tupleItem(1) == object)
      #expect(info.object.tupleItem(2).typeName == "traceback")
      _ = Raised(object.retained())
      guard let again = PythonException.take() else { throw Raised(.runtimeError, "none") }
      #expect(again.object == object)
      _ = Raised(excInfo: info.object.tupleItem(0), info.object.tupleItem(1), info.object.tupleItem(2))
      #expect(takeException() == "IndexError: list index out of range")
      _ = Raised(excInfo: .none, .none, .none)
      #expect(takeException() == "TypeError: exc_info must begin with an exception class")
    }
  }

  @Test(arguments: [
    ("'é'", "'\\xe9'"), ("b'\\0'", "b'\\x00'"), ("'x' * 300", "'" + String(repeating: "x", count: 199) + "..."),
    ("type('Shy', (), {'__repr__': lambda self: 1 / 0})()", "<Shy object>"), ("[None]", "[None]"),
  ])
  func shown(expression: String, text: String) throws {
    let shown = try inPython { _, _ in
      let value = try evaluate(expression)
      return value.object.shown()
    }
    #expect(shown == text)
  }

  @Test func textThatIsNotLatin1() throws {
    let text = try inPython { _, _ in
      let text = try evaluate("'a\\u0100'")
      _ = Raised.notLatin1(text.object, "status")
      return takeException()
    }
    #expect(
      text == "UnicodeEncodeError: 'latin-1' codec can't encode character '\\u0100' in position 1: "
        + "ordinal not in range(256), in status: 'a\\u0100'")
  }

  // MARK: bytes

  @Test func aBlockGrowsAndIsCutToItsContents() throws {
    let (texts, rooms) = try inPython { _, _ in
      func text(_ bytes: PyObj) -> String { String(decoding: bytes.bytes, as: UTF8.self) }
      func append(_ word: String, _ block: inout BytesBlock) {
        var word = word
        word.withUTF8 { block.append(UnsafeRawBufferPointer($0)) }
      }
      var block = try BytesBlock(size: 4)
      append("abcdef", &block)
      var rooms = [block.room]
      try block.grow(to: 8)
      rooms.append(block.room)
      append("gh", &block)
      rooms.append(block.free.count)
      let whole = try block.finish()
      let empty = try BytesBlock(size: 3).finish()
      return ([text(whole.object), text(empty.object)], rooms)
    }
    #expect(texts == ["abcdgh", ""] && rooms == [0, 4, 2])
  }
}
