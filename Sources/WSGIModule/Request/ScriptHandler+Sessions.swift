import CHTTPD
import DaemonTransport
import Glibc
import ProcessSupervision
import RequestCounting
import WSGIConfig
import WSGICore

// Requests of groups whose sessions stay with processes.

extension ScriptHandler {
  /// Runs a request in the process that has its session, where one has, and has it counted.
  func runInSession(
    _ group: ChildGroup, _ destination: Destination, _ body: RequestBody, _ writer: inout RequestHeadWriter,
    _ tenant: (name: QueuesOnDemand.Name, held: QueuesOnDemand.Held)?
  ) throws(Refusal) -> Int32 {
    var account = RequestAccount(
      request, view, group: group, showsPath: destination.flags.isOn(.statusPaths), generation)
    do throws(Refusal) {
      try check(group)
      guard let slots = tenant?.held.sessions ?? group.sessions, let queue = tenant?.held.queue ?? group.queue,
        let board = group.scoreboard
      else { throw notStarted(destination) }
      var fields = wsgi_httpd_get_request(request)
      let session = Session(slots, board, &fields, wsgi_httpd_request_pool(request))
      let head = try encode(destination, body, &writer, group, &fields)
      guard let seat = HTTPDChild.current?.seat else { throw notStarted(destination) }
      let before = limitClient(group)
      defer { if before >= 0 { _ = wsgi_httpd_set_client_timeout(request, before) } }
      var exchange = SessionRequest(
        DaemonRequest(
          request, of: group, seat: seat, script: script, response: response(for: destination), body: body,
          account: account),
        session, owners: queue.owners, head: head, isMounted: alias != nil)
      let outcome = run(head, on: queue, destination, tenant, seat, &exchange)
      let result = exchange.conclude(outcome)
      account.note(outcome, exchange.base.response, group)
      account.end(result)
      return result
    } catch {
      account.cause = .refused
      account.end(error.status)
      throw error
    }
  }

  /// A queue made on demand that was given back since it was last used is asked for again: nothing has been begun then.
  private func run(
    _ head: UnsafeRawBufferPointer, on queue: GroupQueue, _ destination: Destination,
    _ tenant: (name: QueuesOnDemand.Name, held: QueuesOnDemand.Held)?,
    _ seat: ChildSeat, _ exchange: inout SessionRequest
  ) -> DaemonOutcome {
    var held = tenant?.held
    var outcome = DaemonOutcome.failed(.queueClosed)
    for _ in 0..<3 {
      outcome = ThreadState.withForwarder(seat: seat) { forwarder in
        forwarder.run(
          head, on: held?.queue ?? queue, patience: exchange.patience, logLevel: LogLevel(of: request), origin: &exchange)
      }
      guard case .failed(.queueClosed) = outcome, let name = tenant?.name, let closed = held,
        let queues = HTTPDChild.current?.queues
      else { break }
      queues.forget(closed, name)
      guard let new = try? hold(name, destination), let slots = new.sessions else { return .failed(.notServed) }
      exchange.use(slots, owners: new.queue.owners)
      held = new
    }
    return outcome
  }
}
