"""All four functions in one script: each notes its arguments for the application, which finds them in sys.auth_seen."""
import hashlib
import sys

sys.auth_seen = {}
KEPT = {}


def note(function, environ, *arguments):
    errors = environ["wsgi.errors"]
    print("written by %s" % function, file=errors)
    errors.write("without an end")
    seen = {"arguments": arguments, "type": type(environ).__name__,
            "environ": {key: [type(value).__name__, value if isinstance(value, (str, tuple)) else None]
                        for key, value in environ.items()},
            "https": environ["mod_ssl.is_https"](), "kept": use(KEPT.get(function)),
            "lookups": [looked_up(environ, name) for name in (
                "SERVER_NAME", b"SERVER_NAME", "SSL_PROTOCOL", "SSL_CLIENT_CERT", "SSL_SERVER_CERT", "NO_SUCH_VARIABLE", "",
                "nul\0", "\u65e5", 5, None)]}
    KEPT[function] = environ
    sys.auth_seen[function] = seen


def looked_up(environ, *arguments):
    try:
        return environ["mod_ssl.var_lookup"](*arguments)
    except Exception as failure:
        return "%s: %s" % (type(failure).__name__, failure)


def use(environ):
    """What the objects of an earlier environ do."""
    if environ is None:
        return None
    results = [looked_up(environ, "SERVER_NAME")]
    for use in (environ["mod_ssl.is_https"], lambda: environ["wsgi.errors"].write("late"),
                lambda: environ["wsgi.errors"].flush()):
        try:
            results.append(str(use()))
        except Exception as failure:
            results.append("%s: %s" % (type(failure).__name__, failure))
    return results


def check_password(environ, user, password):
    note("check_password", environ, user, password)
    return True


def get_realm_hash(environ, user, realm):
    note("get_realm_hash", environ, user, realm)
    return hashlib.md5(("%s:%s:secret of %s" % (user, realm, user)).encode("latin-1")).hexdigest()


def groups_for_user(environ, user):
    note("groups_for_user", environ, user)
    return ["staff"]


def allow_access(environ, host):
    note("allow_access", environ, host)
    return True
