import CPosix
import Glibc
import Platform
import WSGICore

/// The control socket: who connects, what they want, and what they are told.
extension Supervisor {
  /// Connections that are accepted before the loop looks after workers again.
  private static let arrivalsAtOnce = 16
  /// Between two looks at a listener of which there was too much, or for which there was no room.
  private static let pause: Int64 = 100_000
  private static let complaintPause: Int64 = 60_000_000

  func watchCallers() { poller.watch(desk.listener, .callers, events: Poller<Source>.readable) }

  func acceptCallers(now: Int64) {
    for _ in 0..<Self.arrivalsAtOnce {
      guard desk.refuse.count < CommandDesk.mostRefuse, desk.arrivals.take(now: now) else { return pauseCallers(now: now) }
      var user: uid_t = 0
      var process: pid_t = 0
      let descriptor = wsgi_posix_accept(desk.listener, &user, &process)
      if descriptor == -EAGAIN { return }
      guard descriptor >= 0 else { return pauseCallers(now: now) }
      let connection = CommandConnection(descriptor: descriptor, user: user, process: process, now: now)
      guard desk.hasRoom(for: user) else {
        connection.add([.outcome(.refused("too many commands at a time"))])
        _ = connection.send(now: now)
        dismiss(connection, now: now)
        continue
      }
      desk.connections.append(connection)
      serve(connection, now: now)
    }
  }

  private func pauseCallers(now: Int64) {
    poller.forget(desk.listener)
    desk.pausedUntil = now &+ Self.pause
  }

  /// Does what is due.
  func attendCallers(now: Int64) {
    if desk.pausedUntil > 0, now >= desk.pausedUntil {
      desk.pausedUntil = 0
      watchCallers()
    }
    for connection in desk.connections where now >= connection.deadline { end(connection, now: now) }
    discardRefuse(now: now)
  }

  // MARK: a connection

  /// Takes a client's request, or goes on with the answer.
  func serve(_ connection: CommandConnection, now: Int64) {
    guard connection.hasRequest else {
      switch connection.receive() {
      case .request(let request):
        begin(request, connection)
        return answer(connection, now: now)
      // What has come stays where it is: only more of it is news.
      case .incomplete:
        poller.watch(connection.descriptor, .caller(connection), events: Poller<Source>.readable | EPOLLET.rawValue)
      case .worthless: end(connection, now: now)
      }
      return
    }
    answer(connection, now: now)
  }

  /// Writes as much of an answer as the client has room for, within bounds.
  private func answer(_ connection: CommandConnection, now: Int64) {
    for _ in 0..<4 {
      while connection.wantsMore, let place = connection.places.popLast() { connection.add(parts(of: place)) }
      if connection.places.isEmpty, let outcome = connection.outcome {
        connection.add([.outcome(outcome)])
        connection.outcome = nil
      }
      switch connection.send(now: now) {
      case .all where connection.places.isEmpty && connection.outcome == nil: return end(connection, now: now)
      case .all: continue
      case .failed: return end(connection, now: now)
      case .some: break
      }
      break
    }
    poller.watch(connection.descriptor, .caller(connection), events: EPOLLOUT.rawValue)
  }

  private func end(_ connection: CommandConnection, now: Int64) {
    poller.forget(connection.descriptor)
    desk.connections.removeAll { $0 === connection }
    dismiss(connection, now: now)
  }

  /// Closes a connection, unless that could take long.
  private func dismiss(_ connection: CommandConnection, now: Int64) {
    guard wsgi_posix_shut_out(connection.descriptor) == 0 else {
      close(connection.descriptor)
      return
    }
    shutdown(connection.descriptor, Int32(SHUT_RDWR))
    desk.refuse.append(connection.descriptor)
    guard now >= desk.nextComplaint else { return }
    desk.nextComplaint = now &+ Self.complaintPause
    log(
      nil, .warning,
      "WSGI0747: Process \(connection.process) of uid \(connection.user) sent something other than a command to the control"
        + " socket; its connection is dropped.")
  }

  /// Gives sockets that are not closed here to processes that end with them.
  private func discardRefuse(now: Int64) {
    guard !desk.refuse.isEmpty, now >= desk.nextDiscard, let program = plans.first?.program else { return }
    desk.nextDiscard = now &+ Self.pause
    desk.discards.removeAll { !unattended.contains($0) }
    guard desk.discards.count < CommandDesk.mostDiscards, desk.discarding.take(now: now) else { return }
    discard(program)
  }

  private func discard(_ program: [UInt8]) {
    let sockets = desk.refuse.prefix(Discard.most)
    desk.refuse.removeFirst(sockets.count)
    let pid = execute(
      program, Discard.arguments, [], Discard.descriptors(sockets, null: nullDevice), Array(sockets))
    guard pid > 0 else { return }
    unattended.append(pid)
    desk.discards.append(pid)
  }

  /// Everything ends. This process must not be the last to close what hostile clients have sent.
  func dismissCallers() {
    for connection in desk.connections { end(connection, now: Clock.monotonicMicroseconds()) }
    while let program = plans.first?.program, !desk.refuse.isEmpty { discard(program) }
  }
}
