"""Functions for the auth phases; the user's name, or the query, says what each is to do."""
import hashlib
import json

KEPT = []

PASSWORDS = {"false": False, "none": None, "empty": "", "one": 1, "bytes": b"bytes", "rename": "some\u00f6ne"}
GROUPS = {"staff": ["Staff", "other"], "bytes": [b"staff"], "nobody": [], "number": ["a", 5], "none": None,
          "wide": ["\u20ac"], "text": "staff"}


def check_password(environ, user, password):
    if user == "raise":
        raise ValueError("check_password on purpose")
    if user == "environ":
        KEPT.append(environ)
        return json.dumps({key: str(value) for key, value in environ.items()})
    if user == "ssl":
        return "%d %s" % (environ["mod_ssl.is_https"](), environ["mod_ssl.var_lookup"]("SERVER_NAME"))
    if user == "kept":
        try:
            KEPT.pop()["mod_ssl.is_https"]()
        except RuntimeError as failure:
            return str(failure)
    if user in PASSWORDS:
        return PASSWORDS[user]
    return password == "secret"


def get_realm_hash(environ, user, realm):
    text = "%s:%s:%s" % (user, realm, "secret")
    return {"none": None, "empty": "", "number": 5}.get(user, hashlib.md5(text.encode()).hexdigest())


def groups_for_user(environ, user):
    if user == "raise":
        raise ValueError("groups_for_user on purpose")
    if user == "late":
        return late()
    return GROUPS.get(user, ["unknown"])


def late():
    yield "staff"
    raise ValueError("after one group")


def allow_access(environ, host):
    query = environ["QUERY_STRING"]
    if query == "raise":
        raise ValueError("allow_access on purpose")
    return {"true": True, "false": False, "none": None, "one": 1, "host": host == "127.0.0.1"}.get(query, True)
