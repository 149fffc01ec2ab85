import PythonForTests
import Testing
import WSGICore

@testable import WSGIAdapter

extension AdapterTests {
  /// The environ of one request after another on one thread, whatever the ones before left to be used again.
  @Suite struct EnvironTests {
    private static let source = """
      def application(environ, start_response):
          start_response('200 OK', [])
          keys = sorted(key for key in environ if key.startswith('HTTP_'))
          return [' '.join('%s=%d:%s' % (key, len(environ[key]), environ[key][:6]) for key in keys).encode('latin-1')]
      """

    private func run(_ request: inout TestRequest, _ environ: [(String, String)]) -> String {
      request.environ = environ
      return request.run().0.text
    }

    /// Later pairs count, as in a dict.
    private func expected(_ environ: [(String, String)]) -> String {
      var last: [String: String] = [:]
      for (key, value) in environ { last[key] = value }
      return last.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value.utf8.count):\($0.value.prefix(6))" }
        .joined(separator: " ")
    }

    @Test func followsWhateverChanges() {
      var request = TestRequest(EnvironTests.source)
      let long = String(repeating: "l", count: 5000)
      let rows: [[(String, String)]] = [
        [("HTTP_A", "1"), ("HTTP_B", "2")],
        [("HTTP_A", "1"), ("HTTP_B", "2")],
        [("HTTP_A", "1"), ("HTTP_B", "")],
        [("HTTP_A", "123456789"), ("HTTP_B", "2")],
        [("HTTP_B", "2"), ("HTTP_A", "1")],
        [("HTTP_A", "3"), ("HTTP_C", "2")],
        [("HTTP_A", "4")],
        [],
        [("HTTP_A", long), ("HTTP_B", "2")],
        [("HTTP_A", "1"), ("HTTP_B", long)],
        [("HTTP_A", long), ("HTTP_B", long)],
        [("HTTP_A", "1"), ("HTTP_B", "2")],
        [("HTTP_A", "1"), ("HTTP_A", "2"), ("HTTP_B", "3")],
        [("HTTP_A", "4"), ("HTTP_A", "5"), ("HTTP_B", "3")],
        [("HTTP_A", "4"), ("HTTP_A", "6"), ("HTTP_A", "7")],
        [("HTTP_A", "8"), ("HTTP_A", "6"), ("HTTP_A", "7")],
        [("HTTP_AB", "C"), ("HTTP_D", "E")],
        [("HTTP_A", "BC"), ("HTTP_D", "E")],
      ]
      for environ in rows + rows.reversed() { #expect(run(&request, environ) == expected(environ)) }
    }

    @Test func manyKeysAndManySequences() {
      var request = TestRequest(EnvironTests.source)
      for count in [1, 60, 180, 250, 400, 60, 250] {
        let environ = (0..<count).map { ("HTTP_K\($0)", "\($0 &* count)") }
        #expect(run(&request, environ) == expected(environ))
      }
      for turn in 0..<60 {
        let environ = [("HTTP_T\(turn % 20)", "\(turn)")]
        #expect(run(&request, environ) == expected(environ))
      }
    }

    /// The pairs are cut, or there are fewer than the head says.
    @Test(arguments: [1, 9, 30]) func refusesWhatIsCut(_ bytes: Int) throws {
      let script = Engine.script(EnvironTests.source)
      let exchange = RecordingExchange()
      var writer = RequestHeadWriter()
      let empty = UnsafeRawBufferPointer(start: nil, count: 0)
      Array(script.utf8).withUnsafeBytes { script in
        Array("application".utf8).withUnsafeBytes { callable in
          writer.begin(
            flags: [], contentLength: -1, scriptModified: 1, requestStart: 0, queueStart: 0, processGroup: empty,
            applicationGroup: empty, script: script, callable: callable)
        }
      }
      writer.writer.appendPair("HTTP_A", "1")
      writer.writer.appendPair("HTTP_B", "234567890123456789")
      writer.writer.truncate(to: writer.writer.count - bytes)
      let outcome = Engine.adapter.run(
        try RequestHead(decoding: writer.finish(pairs: 2)), exchange, ticket: 8, flags: [])
      #expect(outcome.end == .failed && outcome.status == 500)
      #expect(exchange.head == nil)
      #expect(exchange.logged("WSGI0502"))
    }
  }
}
