"""An auth user script: who asks decides what is answered. Every known user's password is `secret of <name>`."""
import hashlib


class Name(str):
    pass


class Truth:
    def __bool__(self):
        return True


ANSWERS = {
    "granted": True, "denied": False, "unknown": None, "renamed": "somebody else", "subclass": Name("of a subclass"),
    "empty": "", "one": 1, "zero": 0, "float": 1.0, "bytes": b"somebody", "list": [], "tuple": (True,), "dict": {"a": 1},
    "object": Truth(), "type": bool, "accents": "J\u00f6rg", "wide": "\u65e5\u672c \U0001f600", "surrogate": "a\udc80",
    "nul": "granted\0not", "long": "u" * 5000, "huge": "u" * 100000, "spaces": " a  b ", "line": "two\nlines",
}
HASHES = {"unknown": None, "empty": "", "emptybytes": b"", "one": 1, "true": True, "false": False, "list": [],
          "wide": "\u65e5\u672c", "nul": "a" * 32 + "\0", "short": "abc", "huge": "a" * 100000}


def check_password(environ, user, password):
    assert isinstance(environ, dict) and isinstance(user, str) and isinstance(password, str)
    if user == "raises":
        raise ValueError("the password script fails")
    if user == "exits":
        raise SystemExit(3)
    if user == "interrupts":
        raise KeyboardInterrupt
    if user == "group":
        return "interpreter " + environ["mod_wsgi.application_group"]
    if user == "shows":
        return "password " + ascii(password)
    if user in ANSWERS:
        return ANSWERS[user]
    if password == "secret of " + user:
        return True
    return None if user.startswith("un") else False


def get_realm_hash(environ, user, realm):
    assert isinstance(environ, dict) and isinstance(user, str) and isinstance(realm, str)
    if user == "raises":
        raise ValueError("the hash script fails")
    if user in HASHES:
        return HASHES[user]
    text = "%s:%s:secret of %s" % (user, realm, user)
    digest = hashlib.md5(text.encode("latin-1")).hexdigest()
    return digest.encode() if user.startswith("bytes") else digest
