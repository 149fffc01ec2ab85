"""An access script: the query decides what is answered, and sys.auth_seen tells what was asked."""
import sys

sys.auth_seen = {"calls": []}


class Truth:
    def __bool__(self):
        return True


ANSWERS = {"true": True, "none": None, "false": False, "one": 1, "zero": 0, "empty": "", "text": "yes", "bytes": b"yes",
           "list": [True], "tuple": (), "object": Truth(), "type": bool}


def allow_access(environ, host):
    assert isinstance(environ, dict) and isinstance(host, str)
    sys.auth_seen["calls"].append([environ["SCRIPT_NAME"] + environ["PATH_INFO"], environ["REQUEST_URI"], host])
    query = environ["QUERY_STRING"]
    if query == "raises":
        raise ValueError("the access script fails")
    if query == "exits":
        raise SystemExit
    if query == "clear":
        del sys.auth_seen["calls"][:]
    if environ["SCRIPT_NAME"].rstrip("/").endswith("secret.txt"):
        return False
    if environ.get("HTTP_X_ONLY"):
        return environ["SCRIPT_NAME"] == environ["HTTP_X_ONLY"]
    return ANSWERS.get(query, True)
