import Testing
import WSGICore

@testable import WSGIAdapter

extension AdapterTests {
  /// Events, in an interpreter of each test's own, as there is no way to unsubscribe.
  @Suite(.serialized) struct EventTests {
    private func run(_ group: String, _ source: String, path: String = "/") -> RecordingExchange {
      var request = TestRequest("import mod_wsgi\n" + source)
      request.group = group
      return request.run().0
    }

    private let recorder = """
      import builtins
      events = builtins.events = []
      def record(name, **payload):
          events.append((name, payload))
      mod_wsgi.subscribe_events(record)

      """

    /// What subscribers in `group` have seen.
    private func seen(_ group: String, _ expression: String) -> String {
      run(
        group,
        """
        import builtins
        events = list(builtins.events)
        mod_wsgi.event_callbacks.clear()
        def keys(name):
            return [sorted(payload) for event, payload in events if event == name]
        def payload(name):
            return [payload for event, payload in events if event == name][0]
        def application(environ, start_response):
            \(ok)
            return [repr((\(expression))).encode()]
        """
      ).text
    }

    @Test func aRequestFromBeginningToEnd() {
      let first = run(
        "events-1", recorder + "def application(environ, start_response):\n    \(ok)\n    return [b'abc', b'd']")
      #expect(first.text == "abcd" && first.hasEnded && first.head?.headers == ["Content-Length: 4"])
      #expect(
        seen("events-1", "[name for name, payload in events]")
          == "['request_started', 'response_started', 'request_finished']")
    }

    @Test func payloads() {
      _ = run("events-2", recorder + "def application(environ, start_response):\n    \(ok)\n    return iter([b'abc', b'd'])")
      let expression = "keys('request_started'), keys('response_started'), keys('request_finished')"
      #expect(
        seen("events-2", expression)
          == "([['application_object', 'application_start', 'callable_object', 'daemon_connects', 'daemon_restarts', "
          + "'daemon_start', 'queue_start', 'request_data', 'request_environ', 'request_id', 'request_start', 'server_pid', "
          + "'thread_id']], [['exception_info', 'request_data', 'request_id', 'response_headers', 'response_status']], "
          + "[['application_finish', 'application_time', 'cpu_system_time', 'cpu_time', 'cpu_user_time', 'daemon_start', "
          + "'gil_wait_count', 'gil_wait_time', 'input_length', 'input_reads', 'input_time', 'output_length', "
          + "'output_time', 'output_writes', 'queue_start', 'request_data', 'request_id', 'request_start', 'server_pid', "
          + "'status', 'thread_id']])")
    }

    @Test func values() {
      _ = run("events-3", recorder + "def application(environ, start_response):\n    \(ok)\n    return iter([b'abc', b'd'])")
      #expect(
        seen(
          "events-3",
          "[payload('request_finished')[key] for key in ('request_id', 'server_pid', 'output_length', 'output_writes', "
            + "'input_length', 'status', 'queue_start')], payload('request_started')['callable_object'], "
            + "payload('request_started')['request_data'] is payload('request_finished')['request_data'], "
            + "payload('request_started')['daemon_connects'], payload('response_started')['response_status'], "
            + "payload('request_started')['request_environ']['PATH_INFO']")
          == "(['id-1', 4711, 4, 3, 0, 200, 0.0], 'application', True, 0, '200 OK', '/')")
    }

    @Test func exceptions() {
      let failing = run(
        "events-4", recorder + "def application(environ, start_response):\n    \(ok)\n    raise ValueError('seen')")
      #expect(failing.head == nil && failing.logged("ValueError: seen"))
      #expect(
        seen(
          "events-4",
          "[name for name, _ in events], keys('request_exception'), payload('request_exception')['exception_info'][0], "
            + "payload('request_exception')['exception_info'][2] is not None, payload('request_finished')['status']")
          == "(['request_started', 'response_started', 'request_exception', 'request_finished'], "
          + "[['exception_info', 'request_data', 'request_id']], <class 'ValueError'>, True, 500)")
    }

    @Test func theApplicationCanBeWrapped() {
      let wrapped = run(
        "events-5",
        """
        def wrap(name, application_object=None, **payload):
            if name == 'request_started':
                def wrapper(environ, start_response):
                    return [b'<'] + list(application_object(environ, start_response)) + [b'>']
                return {'application_object': wrapper}
        mod_wsgi.subscribe_events(wrap)
        def application(environ, start_response):
            \(ok)
            return [b'inner']
        """)
      #expect(wrapped.text == "<inner>")
      // A second subscriber sees what the first gave.
      let twice = run(
        "events-5",
        """
        mod_wsgi.subscribe_events(mod_wsgi.event_callbacks[0])
        def application(environ, start_response):
            \(ok)
            return [b'inner']
        """)
      #expect(twice.text == "<<inner>>")
    }

    @Test func finishedComesAfterCloseAndAfterTheResponse() {
      let order = run(
        "events-6",
        """
        order = []
        def record(name, **payload):
            order.append(name)
            if name == 'request_finished':
                print(order, list(mod_wsgi.active_requests), mod_wsgi.request_data())
        mod_wsgi.subscribe_events(record)
        class Body:
            def __iter__(self):
                mod_wsgi.request_data()['kept'] = 1
                yield b'x'
            def close(self):
                order.append('close')
        def application(environ, start_response):
            \(ok)
            return Body()
        """)
      #expect(
        order.logged("['request_started', 'response_started', 'close', 'request_finished'] ['id-1'] {'kept': 1}"))
      #expect(run("events-6", "def application(environ, start_response):\n    \(ok)\n    return []").hasEnded)
      #expect(
        run(
          "events-6",
          "def application(environ, start_response):\n    \(ok)\n    return [repr(mod_wsgi.active_requests).encode()]"
        ).text == "{'id-1': {}}")
    }

    @Test func failingSubscribersAreLoggedAndPassedOver() {
      let failing = run(
        "events-7",
        """
        def fail(name, **payload):
            raise KeyError(name)
        def leave(name, **payload):
            raise SystemExit(3)
        mod_wsgi.subscribe_events(fail)
        mod_wsgi.subscribe_events(leave)
        def application(environ, start_response):
            \(ok)
            return [b'fine']
        """)
      #expect(failing.text == "fine" && failing.logged("WSGI0112") && failing.logged("WSGI0190"))
      #expect(failing.logged("KeyError: 'request_started'") && failing.logged("KeyError: 'request_finished'"))
    }

    @Test func bodiesReadAreTold() {
      let exchange = RecordingExchange()
      exchange.pieces = [Array("abc".utf8), Array("defg".utf8)]
      var request = TestRequest(
        "import mod_wsgi\n" + recorder
          + "def application(environ, start_response):\n    environ['wsgi.input'].read()\n    \(ok)\n    return []")
      request.group = "events-8"
      request.contentLength = 7
      request.run(exchange)
      #expect(
        seen("events-8", "[payload('request_finished')[key] for key in ('input_length', 'input_reads')]") == "[7, 1]")
    }
  }
}
