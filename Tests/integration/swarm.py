"""Many kept connections that one thread drives: each asks again as soon as it was answered, or at a common pace, and a refused
one when Retry-After says."""
import collections
import errno
import selectors
import socket
import threading
import time

# How a request failed. `fresh`: it was the first on its connection. `sent`: bytes of it that the socket took. `received`: bytes
# of the answer that came.
Failure = collections.namedtuple("Failure", "what number path fresh sent received")


class Connection:
    def __init__(self, swarm):
        self.swarm, self.socket, self.answered = swarm, None, 0
        self.due = 0.0
        self.idle = True

    def connect(self):
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.socket.connect_ex(("127.0.0.1", self.swarm.port)) not in (0, errno.EINPROGRESS):
            raise OSError("connect")
        self.answered = 0

    def ask(self, now):
        self.number, path = self.swarm.next_request()
        self.path, self.since, self.idle = path, now, False
        self.request = ("GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path).encode()
        self.sent, self.received = 0, b""
        if self.socket is None:
            self.connect()
            self.swarm.selector.register(self.socket, selectors.EVENT_WRITE, self)
        else:
            self.send()

    def send(self):
        if self.sent == len(self.request):
            return
        self.sent += self.socket.send(self.request[self.sent:])
        wants = selectors.EVENT_READ if self.sent == len(self.request) else selectors.EVENT_WRITE
        self.swarm.selector.modify(self.socket, wants, self)

    def serve(self, events):
        try:
            if events & selectors.EVENT_WRITE:
                failure = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if failure:
                    raise OSError(failure, "connect")
                self.send()
            if events & selectors.EVENT_READ:
                self.receive()
        except BlockingIOError:
            return
        except OSError as failure:
            self.fail(errno.errorcode.get(failure.errno, str(failure)))

    def receive(self):
        block = self.socket.recv(65536)
        if self.idle:
            # Closed between two requests, as a server may.
            return self.close()
        if not block:
            return self.fail("closed")
        self.received += block
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found:
            return
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if headers.get("transfer-encoding"):
            if not body.endswith(b"0\r\n\r\n"):
                return
        elif len(body) < int(headers.get("content-length", 0)):
            return
        if headers.get("retry-after", "").isdigit():
            self.due = time.monotonic() + int(headers["retry-after"])
        self.end(int(lines[0].split()[1]), body, headers.get("connection", "").lower() == "close")

    def end(self, status, body, closes):
        self.swarm.note(self, status, body)
        self.answered += 1
        self.idle = True
        if closes:
            self.close()

    def fail(self, what):
        failure = Failure(what, self.number, self.path, self.answered == 0, self.sent, len(self.received))
        self.swarm.lose(self, failure)
        self.idle = True
        self.close()

    def close(self):
        if self.socket is not None:
            self.swarm.selector.unregister(self.socket)
            self.socket.close()
            self.socket = None


class Swarm:
    """Runs until `stop`. `path` may hold one %d, for the request's number. `rate`: requests a second, of all together.

    `statuses` counts the answers, `wrong` has those whose body `expect` refused, `failures` what was not answered, `retried`
    what was not and may be asked again: a server may close a connection that it kept open just as a request is on its way
    (RFC 9112, 9.3.1). `times` are seconds, of all answers; `answered` are the connections that have had one."""

    def __init__(self, port, count, path, rate=None, expect=None):
        self.port, self.path, self.rate, self.expect = port, path, rate, expect
        self.selector = selectors.DefaultSelector()
        self.connections = [Connection(self) for _ in range(count)]
        self.statuses, self.failures, self.retried, self.wrong, self.times = collections.Counter(), [], [], [], []
        self.answers, self.answered = {}, set()
        self.number, self.over = 0, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def next_request(self):
        self.number += 1
        return self.number, self.path % self.number if "%d" in self.path else self.path

    def note(self, connection, status, body):
        self.times.append(time.monotonic() - connection.since)
        self.statuses[status] += 1
        self.answered.add(connection)
        self.answers[connection.number] = status
        if status == 200 and self.expect and not self.expect(body):
            self.wrong.append(body[:200])

    def lose(self, connection, failure):
        if not failure.fresh and failure.received == 0:
            self.retried.append(failure)
        else:
            self.failures.append(failure)

    def run(self):
        spacing = len(self.connections) / self.rate if self.rate else 0
        start = time.monotonic()
        for index, connection in enumerate(self.connections):
            connection.due = start + spacing * index / len(self.connections)
        while not self.over.is_set() or not all(connection.idle for connection in self.connections):
            now = time.monotonic()
            wait = 0.05
            for connection in self.connections:
                if connection.idle and not self.over.is_set():
                    if connection.due <= now:
                        connection.due = max(connection.due + spacing, now - 1)
                        try:
                            connection.ask(now)
                        except OSError as failure:
                            connection.fail(errno.errorcode.get(failure.errno, str(failure)))
                    else:
                        wait = min(wait, connection.due - now)
                elif connection.idle:
                    # A kept one may have a thread of httpd for which others wait.
                    connection.close()
            for key, events in self.selector.select(max(wait, 0)):
                if key.data.socket is key.fileobj:
                    key.data.serve(events)
            if self.over.is_set() and time.monotonic() > self.deadline:
                break
        for connection in self.connections:
            if not connection.idle:
                connection.fail("no answer")
            connection.close()

    def stop(self, deadline=30):
        """Asks no more, and waits for what was asked."""
        self.deadline = time.monotonic() + deadline
        self.over.set()
        self.thread.join(deadline + 10)
        return self

    @property
    def lost(self):
        """What a client that follows the rules of HTTP has lost: no answer, a server's failure, or another body."""
        bad = sum(count for status, count in self.statuses.items() if status >= 500)
        return bad + len(self.failures) + len(self.wrong)

    def quantile(self, share):
        """Seconds."""
        ordered = sorted(self.times)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
