"""An HTTP/1 client that shows what crossed the wire: interim answers, framing, and whether a response came whole."""
import socket


class Response:
    """`complete` tells whether the response ended where its framing says it ends; `framing` is `length`, `chunked`,
    `close` or `none`. `interim` lists the statuses of 1xx answers before it."""

    def __init__(self, version, status, reason, headers, interim):
        self.version, self.status, self.reason, self.headers, self.interim = version, status, reason, headers, interim
        self.body, self.framing, self.complete, self.chunks = b"", "none", True, []

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name):
        values = self.all(name)
        return ", ".join(values) if values else None

    @property
    def text(self):
        return self.body.decode("utf-8", "backslashreplace")

    def __repr__(self):
        return "<%s %s %r, %s, %s, %d bytes: %r>" % (self.status, self.reason, self.headers, self.framing,
                                                    "complete" if self.complete else "CUT", len(self.body), self.body[:300])


class Client:
    """A connection. All reads raise `socket.timeout` when the server is silent for `timeout` seconds."""

    def __init__(self, port, timeout=30, host="127.0.0.1"):
        self.host = host
        self.socket = socket.create_connection((host, port), timeout)
        self.file = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.file.close()
        self.socket.close()

    def reset(self):
        """Closes with a TCP reset, as a client that has gone away."""
        import struct
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def send(self, data):
        self.socket.sendall(data)

    def head(self, method, path, headers=(), body=None, version="HTTP/1.1", host="localhost"):
        lines = ["%s %s %s" % (method, path, version)]
        names = [name.lower() for name, _ in headers]
        if "host" not in names and version != "HTTP/1.0":
            lines.append("Host: %s" % host)
        if body is not None and "content-length" not in names and "transfer-encoding" not in names:
            lines.append("Content-Length: %d" % len(body))
        lines += ["%s: %s" % pair for pair in headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def request(self, method, path, headers=(), body=None, version="HTTP/1.1", host="localhost"):
        self.send(self.head(method, path, headers, body, version, host) + (body or b""))
        return self.read_response(method)

    def read_head(self):
        """The final response head, after any interim ones; ConnectionError when the server closes instead."""
        interim = []
        while True:
            line = self.file.readline(65537)
            if not line:
                raise ConnectionError("closed without a response")
            version, _, rest = line.decode("latin-1").rstrip("\r\n").partition(" ")
            status, _, reason = rest.partition(" ")
            headers = []
            while True:
                line = self.file.readline(1 << 20)
                if line in (b"\r\n", b"\n"):
                    break
                if not line:
                    raise ConnectionError("closed within the response head")
                name, _, value = line.decode("latin-1").rstrip("\r\n").partition(":")
                headers.append((name, value.strip()))
            if 100 <= int(status) < 200 and int(status) != 101:
                interim.append(int(status))
                continue
            return Response(version, int(status), reason, headers, interim)

    def read_response(self, method="GET"):
        response = self.read_head()
        length = response.header("Content-Length")
        if method == "HEAD" or response.status in (204, 304):
            return response
        try:
            if (response.header("Transfer-Encoding") or "").lower() == "chunked":
                response.framing = "chunked"
                response.complete = self._read_chunks(response)
            elif length is not None:
                response.framing = "length"
                response.body = self._read_up_to(int(length))
                response.complete = len(response.body) == int(length)
            else:
                response.framing = "close"
                response.body = self.file.read()
        except ConnectionResetError:
            response.complete = False
        return response

    def _read_up_to(self, count):
        parts = []
        while count > 0:
            part = self.file.read1(min(count, 1 << 16))
            if not part:
                break
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def read_chunk(self):
        """The next chunk; b"" for the last one with its trailer, None when the connection ended instead."""
        line = self.file.readline(1024)
        if not line.endswith(b"\n"):
            return None
        size = int(line.split(b";")[0], 16)
        data = self._read_up_to(size)
        if len(data) < size:
            self.partial = data
            return None
        while size == 0:
            line = self.file.readline(65537)
            if not line:
                return None
            if line in (b"\r\n", b"\n"):
                return b""
        return data if self.file.readline(8) in (b"\r\n", b"\n") else None

    def _read_chunks(self, response):
        self.partial = b""
        while True:
            chunk = self.read_chunk()
            if not chunk:
                response.body = b"".join(response.chunks) + self.partial
                return chunk is not None
            response.chunks.append(chunk)

    def ended(self):
        """Whether the server closes the connection: waits for its next byte or its end."""
        try:
            return self.file.read(1) == b""
        except ConnectionResetError:
            return True
