import PythonForTests
import Testing
import WSGICore

@testable import WSGIAdapter

extension AdapterTests {
  /// What `import mod_wsgi` gives.
  @Suite struct ModuleTests {
    /// Evaluates a Python expression in an application.
    static func evaluate(_ expression: String, setUp: String = "", group: String = "") -> String {
      var request = TestRequest(
        """
        import mod_wsgi, apache, sys, logging
        \(setUp)
        def application(environ, start_response):
            \(ok)
            try:
                return [repr((\(expression))).encode()]
            except BaseException as exception:
                return [('%s: %s' % (type(exception).__name__, exception)).encode()]
        """)
      request.group = group
      return request.run().0.text
    }

    private func evaluate(_ expression: String, setUp: String = "") -> String {
      ModuleTests.evaluate(expression, setUp: setUp)
    }

    @Test func names() {
      #expect(
        evaluate("sorted(name for name in dir(mod_wsgi) if not name.startswith('_'))")
          == "['FileWrapper', 'LogHandler', 'RequestTimeout', 'active_requests', 'application_group', 'event_callbacks', "
          + "'maximum_processes', 'process_group', 'process_metrics', 'reload', 'request_data', 'request_metrics', "
          + "'server_metrics', 'shutdown_callbacks', 'signal_callbacks', 'start_recording_metrics', 'subscribe_events', "
          + "'subscribe_shutdown', 'subscribe_signals', 'threads_per_process', 'version']")
    }

    @Test(arguments: [
      ("mod_wsgi.version", "(6, 1, 1)"), ("mod_wsgi.process_group", "''"), ("mod_wsgi.application_group", "''"),
      ("mod_wsgi.maximum_processes", "2"), ("mod_wsgi.threads_per_process", "5"),
      ("mod_wsgi.RequestTimeout.__bases__", "(<class 'BaseException'>,)"),
      ("mod_wsgi.RequestTimeout.__module__", "'mod_wsgi'"), ("issubclass(mod_wsgi.LogHandler, logging.Handler)", "True"),
      ("mod_wsgi.__spec__, mod_wsgi.__loader__", "(None, None)"), ("apache.version", "(2, 4, 62)"),
      ("apache.mpm_name", "'event'"), ("mod_wsgi.request_metrics(1)", "TypeError"), ("sys.argv", "['mod_wsgi']"),
    ])
    func values(expression: String, value: String) { #expect(evaluate(expression).hasPrefix(value)) }

    @Test func eachInterpreterHasItsOwn() {
      #expect(ModuleTests.evaluate("mod_wsgi.application_group", group: "module-test") == "'module-test'")
      let mark = ModuleTests.evaluate("setattr(mod_wsgi, 'mark', 1)", group: "module-test")
      #expect(mark == "None" && evaluate("hasattr(mod_wsgi, 'mark')") == "False")
    }

    @Test func requestData() {
      #expect(evaluate("mod_wsgi.request_data() is mod_wsgi.request_data()") == "True")
      #expect(evaluate("mod_wsgi.active_requests['id-1'] is mod_wsgi.request_data()") == "True")
      #expect(evaluate("list(mod_wsgi.active_requests)") == "['id-1']")
      let elsewhere = """
        import threading
        def elsewhere():
            found = []
            def ask():
                try:
                    mod_wsgi.request_data()
                except Exception as exception:
                    found.append(exception)
            thread = threading.Thread(target=ask)
            thread.start()
            thread.join()
            return found
        """
      #expect(evaluate("elsewhere()", setUp: elsewhere) == "[RuntimeError('no active request for thread')]")
    }

    @Test func signalsAreTheServersInEmbeddedMode() {
      #expect(evaluate("(mod_wsgi.subscribe_signals(len), mod_wsgi.signal_callbacks)") == "(<built-in function len>, [])")
    }

    @Test func serverMetrics() {
      #expect(
        evaluate("mod_wsgi.server_metrics()['processes'][0]['workers'][0]")
          == "{'thread_num': 0, 'generation': 3, 'status': 'W', 'access_count': 12, 'bytes_served': 3456, "
          + "'start_time': 1.5, 'stop_time': 1.6, 'last_used': 1.7, 'client': '10.0.0.1', "
          + "'request': 'GET /a\\tb HTTP/1.1', 'vhost': 'example.com:80'}")
      #expect(
        evaluate("{key: type(value).__name__ for key, value in mod_wsgi.server_metrics().items()}")
          == "{'server_limit': 'int', 'thread_limit': 'int', 'running_generation': 'int', 'restart_time': 'float', "
          + "'current_time': 'float', 'running_time': 'int', 'processes': 'list'}")
      #expect(
        evaluate(
          "[m[key] for key in ('server_limit', 'thread_limit', 'running_generation', 'restart_time')], "
            + "[[p[key] for key in ('process_num', 'pid', 'quiescing')] + [len(p['workers'])] for p in m['processes']]",
          setUp: "m = mod_wsgi.server_metrics()")
          == "([2, 2, 3, 1.0], [[0, 77, True, 2], [1, 0, False, 2]])")
      #expect(
        evaluate("list(mod_wsgi.server_metrics()['processes'][1]['workers'][1].values())")
          == "[1, 0, '.', 0, 0, 0.0, 0.0, 0.0, '', '', '']")
    }

    @Test func serverMetricsThatCannotBeRead() {
      let scoreboard = Engine.host.scoreboard
      defer { Engine.host.scoreboard = scoreboard }
      Engine.host.scoreboard = [("server", "x"), ("process", ""), ("worker", "?")]
      #expect(evaluate("mod_wsgi.server_metrics()['processes'][0]['workers'][0]['status']") == "'?'")
      Engine.host.scoreboard = [("worker", "")]
      #expect(evaluate("mod_wsgi.server_metrics()") == "None")
      #expect(Engine.host.log.contains { $0.contains("WSGI0512") })
    }
  }
}
