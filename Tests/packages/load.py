"""Requests, one after the other on two threads, each over a connection of its own, while something else happens."""
import collections
import http.client
import threading
import time

LIMIT = 20000


def get(path="/", host="localhost", port=80):
    """(status, headers, body)"""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"Host": host, "Connection": "close"})
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read().decode("utf-8", "replace")
    finally:
        connection.close()


def wait_for(what, condition, seconds=30):
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, "waited %d s in vain for %s" % (seconds, what)
        time.sleep(0.05)


class Load:
    """`answers`: how many there were of each kind; whatever is not 200 with the body that is expected has failed."""

    def __init__(self, expected):
        self.expected = expected  # host: beginning of the body
        self.answers = collections.Counter()
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.ask, args=item, daemon=True) for item in expected.items()]

    def ask(self, host, body):
        for _ in range(LIMIT):
            if self.over.is_set():
                break
            try:
                status, _, text = get("/", host)
                kind = status if status != 200 or text.startswith(body) else "200, but another body"
            except OSError as error:
                kind = type(error).__name__
            except http.client.HTTPException as error:
                kind = type(error).__name__
            with self.lock:
                self.answers[kind] += 1
            time.sleep(0.002)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.wait_for_more()
        return self

    def wait_for_more(self, count=100):
        before = sum(self.answers.values())
        wait_for("%d more answers" % count, lambda: sum(self.answers.values()) >= before + count)

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()

    @property
    def failed(self):
        return sum(count for kind, count in self.answers.items() if kind != 200)

    def __str__(self):
        return "%d requests, %d failed %s" % (
            sum(self.answers.values()), self.failed, {k: v for k, v in self.answers.items() if k != 200} or "")
