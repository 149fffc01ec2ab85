import Testing
import WSGICore

@testable import WSGIAdapter

extension AdapterTests {
  /// `wsgi.input`, whatever the pieces in which a body arrives.
  @Suite struct InputTests {
    private static let text = "line one\nline two\n\nthe rest"

    private func read(
      _ expression: String, _ text: String = InputTests.text, piece: Int = 1000, failure: ExchangeFailure? = nil,
      length: Int64? = nil
    ) -> String {
      let exchange = RecordingExchange()
      var rest = Array(text.utf8)[...]
      while !rest.isEmpty {
        exchange.pieces.append(Array(rest.prefix(piece)))
        rest = rest.dropFirst(piece)
      }
      exchange.readFailure = failure
      var request = TestRequest(
        """
        def application(environ, start_response):
            i = environ['wsgi.input']
            try:
                result = repr((\(expression)))
            except BaseException as exception:
                result = '%s: %s' % (type(exception).__name__, exception)
            start_response('200 OK', [])
            return [result.encode()]
        """)
      request.contentLength = length ?? Int64(text.utf8.count)
      request.flags = [.hasBody]
      return request.run(exchange).0.text
    }

    private static let rows: [(String, String)] = [
      ("i.read()", "b'line one\\nline two\\n\\nthe rest'"), ("i.read(-1)", "b'line one\\nline two\\n\\nthe rest'"),
      ("i.read(None)", "b'line one\\nline two\\n\\nthe rest'"), ("i.read(4)", "b'line'"), ("i.read(0)", "b''"),
      ("i.read(1000)", "b'line one\\nline two\\n\\nthe rest'"),
      ("i.read(4), i.read(5), i.read(1)", "(b'line', b' one\\n', b'l')"),
      ("i.read(), i.read(), i.read(5)", "(b'line one\\nline two\\n\\nthe rest', b'', b'')"), ("i.readline()", "b'line one\\n'"),
      ("i.readline(4), i.readline(), i.readline(0)", "(b'line', b' one\\n', b'')"),
      ("i.readline(-1), i.readline(100)", "(b'line one\\n', b'line two\\n')"),
      ("[i.readline() for _ in range(5)]", "[b'line one\\n', b'line two\\n', b'\\n', b'the rest', b'']"),
      ("i.readlines()", "[b'line one\\n', b'line two\\n', b'\\n', b'the rest']"),
      ("i.readlines(9)", "[b'line one\\n']"), ("i.readlines(10)", "[b'line one\\n', b'line two\\n']"),
      ("i.readlines(0)", "[b'line one\\n', b'line two\\n', b'\\n', b'the rest']"),
      ("list(i)", "[b'line one\\n', b'line two\\n', b'\\n', b'the rest']"), ("iter(i) is i", "True"),
      ("i.readline(), i.read(3), i.readline(), i.read()", "(b'line one\\n', b'lin', b'e two\\n', b'\\nthe rest')"),
      ("i.close(), i.read(4)", "(None, b'line')"),
      ("[name for name in dir(i) if name[0] != '_']", "['close', 'read', 'readline', 'readlines']"),
      ("type(i).__module__ + '.' + type(i).__name__", "'mod_wsgi.Input'"), ("i.read('x')", "TypeError"),
      ("i.read(1, 2)", "TypeError"), ("i.readline(1.5)", "TypeError"), ("type(i)()", "TypeError"),
    ]

    @Test(arguments: rows, [1, 7, 1000]) func reading(row: (String, String), piece: Int) {
      #expect(read(row.0, piece: piece).hasPrefix(row.1))
    }

    @Test func aLengthIsNoPromise() {
      // Filters change bodies: what comes counts, not what was announced.
      #expect(read("i.read()", length: 3) == "b'line one\\nline two\\n\\nthe rest'")
      #expect(read("len(i.read())", length: 1_000_000) == "27")
      #expect(read("i.read(20)", length: -1) == "b'line one\\nline two\\n\\nt'")
    }

    @Test func largeBodies() {
      let large = String(repeating: "0123456789abcde\n", count: 20000)
      #expect(read("len(i.read())", large, piece: 8000) == "320000")
      #expect(read("[len(i.read(100000)) for _ in range(4)]", large, piece: 8000) == "[100000, 100000, 100000, 20000]")
      #expect(read("sum(1 for line in i)", large, piece: 777) == "20000")
      #expect(read("len(i.readline(70000))", String(repeating: "x", count: 100_000), piece: 9999) == "70000")
    }

    private static let endings: [(ExchangeFailure, String)] = [
      (.closed, "Connection was terminated."), (.timedOut, "Timeout while waiting for request data."),
      (.tooLarge, "Request body is larger than LimitRequestBody allows."), (.failed, "Request data could not be read."),
    ]

    @Test(arguments: endings) func ending(failure: ExchangeFailure, explanation: String) {
      #expect(read("i.read()", failure: failure) == "OSError: mod_wsgi request data read error: \(explanation)")
      let twice = """
        i.read(9), [f() for f in [lambda: i.read(9), lambda: i.read(100)]]
        """
      #expect(read(twice, failure: failure).hasPrefix("OSError: mod_wsgi request data read error: "))
    }

    @Test func everyLaterReadFailsToo() {
      let code = """
        def tries(i):
            found = []
            for call in (i.read, i.readline, i.readlines, lambda: next(i), lambda: i.read(0)):
                try:
                    found.append(call())
                except OSError as exception:
                    found.append('already in error state' in str(exception))
            return found
        def application(environ, start_response):
            start_response('200 OK', [])
            return [repr(tries(environ['wsgi.input'])).encode()]
        """
      let exchange = RecordingExchange()
      exchange.readFailure = .closed
      var request = TestRequest(code)
      request.contentLength = 10
      #expect(request.run(exchange).0.text == "[False, True, True, True, True]")
    }

    @Test func aRequestWithoutABody() {
      let exchange = TestRequest(
        """
        def application(environ, start_response):
            i = environ['wsgi.input']
            start_response('200 OK', [])
            return [repr((i.read(), i.readline(), i.readlines(), list(i), i.read(5))).encode()]
        """
      ).run().0
      #expect(exchange.text == "(b'', b'', [], [], b'')")
    }

    @Test func afterTheRequest() {
      var first = TestRequest(
        """
        import builtins
        def application(environ, start_response):
            builtins.kept_input = environ['wsgi.input']
            start_response('200 OK', [])
            return []
        """)
      first.contentLength = 5
      first.run()
      let late = TestRequest(
        """
        import builtins
        def application(environ, start_response):
            found = []
            i = builtins.kept_input
            for call in (i.read, i.readline, i.readlines, i.close, lambda: next(i)):
                try:
                    call()
                except RuntimeError as exception:
                    found.append(str(exception))
            start_response('200 OK', [])
            return ['; '.join(found).encode()]
        """
      ).run().0.text
      #expect(
        late
          == ["read", "readline", "readlines", "close"].map { "\($0)() called on wsgi.input after request completed" }
          .joined(separator: "; ") + "; iteration of wsgi.input attempted after request completed")
    }
  }
}
