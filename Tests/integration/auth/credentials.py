"""What clients say of themselves: Basic and Digest."""
import base64
import hashlib
import re


def basic(user, password=None):
    """The header, for text (sent as UTF-8) or bytes. The password is the one that apps/auth/users.py knows."""
    user = user if isinstance(user, bytes) else user.encode("utf-8")
    password = b"secret of " + user if password is None else password
    password = password if isinstance(password, bytes) else password.encode("utf-8")
    return [("Authorization", "Basic " + base64.b64encode(user + b":" + password).decode("ascii"))]


class DigestClient:
    """Speaks Digest (RFC 7616, MD5, qop=auth) on one connection: it asks once, and then counts on with the same nonce."""

    def __init__(self, client, user, password=None):
        self.client, self.user = client, user
        self.password = "secret of " + user if password is None else password
        self.challenge, self.count = None, 0

    def request(self, path, method="GET"):
        if self.challenge is None:
            answer = self.client.request(method, path)
            if answer.status != 401:
                return answer
            self.challenge = dict(re.findall(r'(\w+)="?([^",]+)"?', answer.header("WWW-Authenticate")))
        return self.client.request(method, path, [("Authorization", self.answer(path, method))])

    def answer(self, path, method):
        def md5(*parts):
            return hashlib.md5(":".join(parts).encode("utf-8")).hexdigest()
        self.count += 1
        count, nonce, realm = "%08x" % self.count, self.challenge["nonce"], self.challenge["realm"]
        response = md5(md5(self.user, realm, self.password), nonce, count, "a client nonce", "auth", md5(method, path))
        user = self.user.encode("utf-8").decode("latin-1")
        return ('Digest username="%s", realm="%s", nonce="%s", uri="%s", algorithm=MD5, qop=auth, nc=%s, '
                'cnonce="a client nonce", response="%s"' % (user, realm, nonce, path, count, response))
