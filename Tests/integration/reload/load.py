"""Requests without pause while a server is restarted or stopped."""
import threading

from httpd_env import wait_until
from http_client import Client

CONF = {
    "embedded": "WSGIScriptAlias /a {apps}/app.wsgi application-group=%{GLOBAL}\n"
                "WSGIScriptAlias /b {apps}/app.wsgi application-group=other\n",
    "daemon": "WSGISocketPrefix {root}/wsgi\nWSGIDaemonProcess site processes=2 threads=4\n"
              "WSGIScriptAlias /a {apps}/app.wsgi process-group=site application-group=%{GLOBAL}\n"
              "WSGIScriptAlias /b {apps}/app.wsgi process-group=site application-group=other\n",
}


class Load:
    """Clients that ask without pause, over connections that they keep, until they are told to stop."""

    def __init__(self, server, clients=4):
        self.server, self.answered, self.failures, self.over = server, 0, [], threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(index,), daemon=True) for index in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self, index):
        client, fresh = None, True
        while not self.over.is_set():
            try:
                if client is None:
                    client, fresh = Client(self.server.port), True
                answer = client.request("POST", "/" + "ab"[index % 2], (), b"body")
                if answer.status != 200 or not answer.complete or not answer.body.endswith(b" body"):
                    self.failures.append(repr(answer))
                self.answered += 1
                fresh = False
                if (answer.header("Connection") or "").lower() == "close":
                    client.close()
                    client = None
            except OSError as failure:
                # A server may close a connection that it had kept open, just as the next request is on its way (RFC 9112,
                # 9.3.1); one that was just made, it may not.
                if fresh:
                    self.failures.append(repr(failure))
                if client:
                    client.close()
                client = None
        if client:
            client.close()

    def wait_for(self, more):
        target = self.answered + more
        wait_until(lambda: self.answered >= target or self.failures, lambda: "%d of %d answers" % (self.answered, target))

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(30)
