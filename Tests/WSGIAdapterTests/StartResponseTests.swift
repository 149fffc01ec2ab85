import Testing
import WSGICore

@testable import WSGIAdapter

extension AdapterTests {
  /// start_response, row by row (PEP 3333; the manual's "start_response").
  @Suite struct StartResponseTests {
    /// Runs an application whose body is `code`, and gives what it raised where it caught that, else the response.
    private func run(_ code: String) -> (RecordingExchange, RequestOutcome) {
      let lines = code.split(separator: "\n", omittingEmptySubsequences: false).map { "    " + $0 }.joined(separator: "\n")
      return TestRequest("import sys\ndef application(environ, start_response):\n\(lines)\n    return [b'body']").run()
    }

    private static let refusals: [(String, String)] = [
      ("start_response(200, [])", "TypeError: status must be str"),
      ("start_response(b'200 OK', [])", "TypeError: status must be str"),
      ("start_response('200 \\u20ac', [])", "UnicodeEncodeError"),
      ("start_response('20', [])", "ValueError: status code must be a 3 digit integer"),
      ("start_response('2000', [])", "ValueError: status code must be a 3 digit integer"),
      ("start_response('2x0 OK', [])", "ValueError: status code must be a 3 digit integer"),
      ("start_response('20X OK', [])", "ValueError: status code must be a 3 digit integer: b'20X OK'"),
      ("start_response('101 Up', [])", "ValueError: status code must be 200 or more"),
      ("start_response('', [])", "ValueError: status code must be a 3 digit integer"),
      ("start_response('200-OK', [])", "ValueError: no space following status code"),
      ("start_response('200 O\\tK', [])", "ValueError: control character present in reason phrase"),
      ("start_response('200 O\\nK', [])", "ValueError: control character present in reason phrase"),
      ("start_response('200 OK', ())", "TypeError: response headers must be a list"),
      ("start_response('200 OK', iter([]))", "TypeError: response headers must be a list"),
      ("start_response('200 OK', None)", "TypeError: response headers must be a list"),
      ("start_response('200 OK', [['A', 'b']])", "TypeError: each header must be a 2-tuple, not list"),
      ("start_response('200 OK', [('A',)])", "ValueError"),
      ("start_response('200 OK', [('A', 'b', 'c')])", "ValueError"),
      ("start_response('200 OK', [(b'A', 'b')])", "TypeError"),
      ("start_response('200 OK', [('A', b'b')])", "TypeError"),
      ("start_response('200 OK', [('A', 1)])", "TypeError"),
      ("start_response('200 OK', [('\\u20ac', 'b')])", "UnicodeEncodeError"),
      ("start_response('200 OK', [('A', '\\u20ac')])", "UnicodeEncodeError"),
      ("start_response('200 OK', [('', 'b')])", "ValueError"),
      ("start_response('200 OK', [('A B', 'b')])", "ValueError"),
      ("start_response('200 OK', [('A\\n', 'b')])", "ValueError"),
      ("start_response('200 OK', [('A', 'b\\r\\nC: d')])", "ValueError"),
      ("start_response('200 OK', [('A', 'b\\nc')])", "ValueError"),
      ("start_response('200 OK', [('Content-Length', '-1')])", "ValueError: invalid content length"),
      ("start_response('200 OK', [('Content-Length', 'abc')])", "ValueError: invalid content length"),
      ("start_response('200 OK', [('content-length', '')])", "ValueError: invalid content length"),
      ("start_response('200 OK', [], 1)", "RuntimeError: exception info must be a tuple"),
      ("start_response()", "TypeError"), ("start_response('200 OK')", "TypeError"),
      ("start_response('200 OK', [], None, None)", "TypeError"),
      ("start_response(status='200 OK', headers=[])", "TypeError"),
    ]

    @Test(arguments: refusals) func refused(call: String, exception: String) {
      let (exchange, outcome) = run(call)
      #expect(outcome.end == .failed && outcome.status == 500 && exchange.head == nil)
      #expect(exchange.logged(exception), "\(exchange.log)")
    }

    private static let accepted: [(String, UInt32, String)] = [
      ("start_response('200 OK', [])", 200, "OK"), ("start_response('200', [])", 200, ""),
      ("start_response('200 ', [])", 200, ""), ("start_response('404 Not Found', [], None)", 404, "Not Found"),
      ("start_response('599 Any Thing', [])", 599, "Any Thing"), ("start_response('999 x', [])", 999, "x"),
      ("start_response('404 First', [('A', '1')])\nstart_response('201 Second', [])", 201, "Second"),
      (
        """
        start_response('200 OK', [('A', '1')])
        try:
            raise ValueError
        except ValueError:
            start_response('500 Failed', [], sys.exc_info())
        """, 500, "Failed"
      ),
      ("start_response('200 OK', [], (1, 2))", 200, "OK"),
    ]

    @Test(arguments: accepted) func taken(call: String, status: UInt32, reason: String) {
      let (exchange, outcome) = run(call)
      #expect(outcome.end == .done && outcome.status == Int32(status))
      #expect(exchange.head?.status == status && exchange.head?.reason == reason)
      #expect(exchange.head?.headers.contains { $0.hasPrefix("A:") } == false)
    }

    @Test func headersKeepTheirOrderAndTheirBytes() {
      let (exchange, _) = run(
        "start_response('200 OK', [('X-B', '1'), ('x-a', 'caf\\xe9'), ('X-B', ''), ('X-T', 'a\\tb'), ('X!', '2')])")
      #expect(exchange.head?.headers.count == 6)
      #expect(exchange.head?.headers.first == "X-B: 1" && exchange.head?.headers[2] == "X-B: ")
      #expect(exchange.head?.headers[4] == "X!: 2" && exchange.head?.headers.last == "Content-Length: 4")
    }

    @Test func subclassesOfStrAreStr() {
      let (exchange, _) = run("class S(str): pass\nstart_response(S('200 OK'), [(S('A'), S('b'))])")
      #expect(exchange.head?.headers.first == "A: b")
    }

    @Test func afterTheHeadersHaveGone() {
      let committed = """
        write = start_response('200 OK', [])
        write(b'x')

        """
      #expect(run(committed + "start_response('200 OK', [])").0.logged("headers have already been sent"))
      let raised = run(
        committed
          + """
          try:
              raise ValueError('first')
          except ValueError:
              start_response('500 Failed', [], sys.exc_info())
          """)
      #expect(raised.1.end == .aborted && raised.0.text == "x" && raised.0.logged("ValueError: first"))
      #expect(run(committed + "start_response('200 OK', [], (1,))").0.logged("ValueError"))
    }

    @Test func afterTheRequest() {
      let first = TestRequest(
        """
        import builtins
        def application(environ, start_response):
            builtins.kept = (start_response, start_response('200 OK', []))
            return []
        """)
      first.run()
      let late = TestRequest(
        """
        import builtins
        def application(environ, start_response):
            found = []
            for call in (lambda: builtins.kept[0]('200 OK', []), lambda: builtins.kept[1](b'x')):
                try:
                    call()
                except RuntimeError as exception:
                    found.append(str(exception))
            start_response('200 OK', [])
            return ['; '.join(found).encode()]
        """
      ).run().0
      #expect(late.text == "start_response() called after request completed; write() called after request completed")
    }
  }
}
