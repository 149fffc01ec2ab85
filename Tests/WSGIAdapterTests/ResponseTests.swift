import PythonForTests
import Testing
import WSGICore

@testable import WSGIAdapter

extension AdapterTests {
  /// What applications return, and what becomes of it.
  @Suite struct ResponseTests {
    private func run(
      _ code: String, flags: RequestHead.Flags = [], _ exchange: RecordingExchange = RecordingExchange()
    ) -> (RecordingExchange, RequestOutcome) {
      let lines = code.split(separator: "\n", omittingEmptySubsequences: false).map { "    " + $0 }.joined(separator: "\n")
      var request = TestRequest(
        """
        class Body:
            def __init__(self, blocks, error=None):
                self.blocks, self.error, self.closed = blocks, error, 0
            def __iter__(self):
                yield from self.blocks
                if self.error:
                    raise self.error
            def close(self):
                self.closed += 1
                print('closed', self.closed)
        def application(environ, start_response):
        \(lines)
        """)
      request.flags = flags
      return request.run(exchange)
    }

    private static let bodies: [(String, String)] = [
      ("return [b'a', b'', b'bc']", "abc"), ("return (b'a', b'b')", "ab"), ("return []", ""), ("return ()", ""),
      ("return [b'x' * 100000, b'y']", String(repeating: "x", count: 100_000) + "y"),
      ("return iter([b'a', b'', b'b'])", "ab"), ("return (b for b in [b'1', b'2'])", "12"), ("return {b'k': 1}", "k"),
      ("return Body([b'a', b'b'])", "ab"), ("return Body([])", ""),
      ("write(b'w')\nreturn [b'r']", "wr"), ("write(b'')\nreturn iter([b'r'])", "r"),
      ("write(b'w')\nwrite(b'v')\nreturn []", "wv"),
    ]

    @Test(arguments: bodies) func whole(code: String, body: String) {
      let (exchange, outcome) = run("write = start_response('200 OK', [])\n" + code)
      #expect(outcome.end == .done && exchange.text == body && exchange.hasEnded)
    }

    private static let failures: [(String, String)] = [
      ("return ['text']", "response iterable must yield bytes, not str"),
      ("return [1]", "response iterable must yield bytes, not int"),
      ("return [bytearray(b'x')]", "response iterable must yield bytes, not bytearray"),
      ("return [memoryview(b'x')]", "response iterable must yield bytes, not memoryview"),
      ("return iter(['text'])", "response iterable must yield bytes, not str"),
      ("return b'bytes'", "response iterable must yield bytes, not int"),
      ("return 'text'", "response iterable must yield bytes, not str"), ("return None", "TypeError"),
      ("return 1", "TypeError"), ("raise ValueError('before')", "ValueError: before"),
      ("raise SystemExit(3)", "WSGI0175"), ("raise KeyboardInterrupt", "KeyboardInterrupt"),
      ("return Body([], ValueError('within'))", "ValueError: within"),
      ("write('text')", "write() argument must be bytes, not str"),
    ]

    @Test(arguments: failures) func failing(code: String, logged: String) {
      let (exchange, outcome) = run("write = start_response('200 OK', [('A', 'b')])\n" + code)
      #expect(outcome.end == .failed && outcome.status == 500)
      #expect(exchange.head == nil && exchange.body.isEmpty && exchange.logged(logged), "\(exchange.log)")
    }

    @Test(arguments: ["return []", "return [b'x']", "return iter([b'x'])", "return iter([])", "return Body([b'x'])"])
    func withoutStartResponse(code: String) {
      let (exchange, outcome) = run(code)
      #expect(outcome.end == .failed && exchange.logged("response has not been started"))
    }

    @Test func startedByTheIterator() {
      let (exchange, _) = run(
        "def late():\n    yield b''\n    start_response('203 Late', [])\n    yield b'x'\nreturn late()")
      #expect(exchange.head?.status == 203 && exchange.text == "x")
    }

    @Test func everyBlockOfAnIteratorIsSentByItself() {
      #expect(run("start_response('200 OK', [])\nreturn iter([b'a'])").0.blocks == ["a"])
      #expect(run("start_response('200 OK', [])\nreturn [b'a', b'b']").0.blocks == ["ab"])
    }

    @Test func failuresAfterTheFirstBlockCutTheResponse() {
      let (exchange, outcome) = run(
        "start_response('200 OK', [])\nreturn Body([b'a', b'b'], ValueError('within'))")
      #expect(outcome.end == .aborted && !exchange.hasEnded && exchange.logged("ValueError: within"))
      #expect(exchange.logged("closed 1"))
    }

    // MARK: Content-Length

    private static let lengths: [(String, [String], String, RequestEnd)] = [
      ("return [b'ab']", ["Content-Length: 2"], "ab", .done), ("return []", ["Content-Length: 0"], "", .done),
      ("return iter([b'ab'])", [], "ab", .done), ("return iter([])", ["Content-Length: 0"], "", .done),
    ]

    @Test(arguments: lengths)
    func lengthsThatWereNotGiven(code: String, headers: [String], body: String, end: RequestEnd) {
      let (exchange, outcome) = run("start_response('200 OK', [])\n" + code)
      #expect(exchange.head?.headers == headers && exchange.text == body && outcome.end == end)
    }

    @Test(arguments: ["return [b'abc', b'def']", "return iter([b'abc', b'def'])"])
    func whatExceedsTheLengthIsDropped(code: String) {
      let (exchange, outcome) = run("start_response('200 OK', [('Content-Length', '4')])\n" + code)
      #expect(exchange.text == "abcd" && outcome.end == .done && exchange.head?.headers == ["Content-Length: 4"])
    }

    @Test(arguments: ["return [b'abc']", "return iter([b'abc'])", "return Body([b'abc'])"])
    func aShortBodyIsCut(code: String) {
      let (exchange, outcome) = run("start_response('200 OK', [('Content-Length', '9')])\n" + code)
      #expect(exchange.text == "abc" && outcome.end == .aborted && !exchange.hasEnded && exchange.logged("WSGI0503"))
    }

    @Test(arguments: ["204 None", "304 Same"]) func statusesWithoutABody(status: String) {
      let (exchange, outcome) = run("start_response('\(status)', [])\nreturn []")
      #expect(exchange.head?.headers == [] && outcome.end == .done)
    }

    @Test func headRequests() {
      let (exchange, outcome) = run("start_response('200 OK', [('Content-Length', '9')])\nreturn []", flags: .isHead)
      #expect(outcome.end == .done && exchange.head?.headers == ["Content-Length: 9"])
      #expect(run("start_response('200 OK', [])\nreturn []", flags: .isHead).0.head?.headers == [])
    }

    // MARK: clients that go away

    private func leaving(after blocks: Int) -> RecordingExchange {
      let exchange = RecordingExchange()
      exchange.sendFailure = (blocks, .closed)
      return exchange
    }

    @Test func iterationStopsAndCloses() {
      let (exchange, outcome) = run(
        "start_response('200 OK', [])\nreturn Body([b'%d' % n for n in range(100)])", leaving(after: 1))
      #expect(outcome.end == .done && exchange.blocks.count == 1)
      #expect(exchange.log.filter { $0.contains("closed") } == ["\(LogLevel.error) closed 1"])
    }

    @Test func writeRaises() {
      let (exchange, outcome) = run(
        """
        write = start_response('200 OK', [])
        try:
            for n in range(1000):
                write(b'x' * 50000)
        except OSError as exception:
            print('caught', exception)
        return []
        """, leaving(after: 1))
      #expect(exchange.logged("caught mod_wsgi client connection closed") && outcome.end == .done)
    }

    @Test func aHeadThatHttpdRefuses() {
      let exchange = RecordingExchange()
      exchange.sendFailure = (0, .badHead)
      #expect(run("start_response('200 OK', [('A', 'b')])\nreturn [b'x']", exchange).1.status == 500)
    }

    // MARK: close

    @Test(arguments: ["Body([b'x'])", "Body([])", "Body(['text'])", "Body([], ValueError())"])
    func closeIsCalledOnce(body: String) {
      let (exchange, _) = run("start_response('200 OK', [])\nreturn \(body)")
      #expect(exchange.log.filter { $0.contains("closed") } == ["\(LogLevel.error) closed 1"])
    }

    @Test func exceptionsInClose() {
      let code = """
        class Failing(Body):
            def close(self):
                raise KeyError('in close')
        start_response('200 OK', [])
        return Failing([b'x'])
        """
      let (exchange, outcome) = run(code)
      #expect(outcome.end == .done && exchange.text == "x" && exchange.logged("WSGI0194"))
    }

    /// Its thread has the next request by the time that the exception would be raised in it.
    @Test func aRequestCannotBeInterruptedOnceItsApplicationIsDone() {
      let exchange = RecordingExchange()
      var interruptions: [Bool] = []
      exchange.whenEnding = { interruptions.append(Engine.adapter.interrupt(7)) }
      let (_, outcome) = run("start_response('200 OK', [])\nreturn (b for b in [b'1', b'2', b'3'])", exchange)
      #expect(interruptions == [false] && outcome.end == .done && exchange.text == "123" && exchange.hasEnded)
      #expect(run("start_response('200 OK', [])\nreturn [b'next']").0.text == "next")
    }

    // MARK: files

    @Test func aRegularFileIsHandedOver() {
      let (exchange, outcome) = run(
        """
        import tempfile
        file = tempfile.TemporaryFile()
        file.write(b'0123456789')
        file.flush()
        file.seek(4)
        start_response('200 OK', [])
        return environ['wsgi.file_wrapper'](file)
        """)
      #expect(exchange.blocks == ["file 4+6"] && exchange.head?.headers == ["Content-Length: 6"] && outcome.end == .done)
    }

    @Test(arguments: [("io.BytesIO(b'0123456789')", "0123456789"), ("io.BytesIO(b'')", "")])
    func otherFilesAreIterated(file: String, body: String) {
      let (exchange, _) = run(
        "import io\nstart_response('200 OK', [])\nreturn environ['wsgi.file_wrapper'](\(file), 4)")
      #expect(exchange.text == body && exchange.hasEnded)
    }
  }
}
