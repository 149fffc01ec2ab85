def application_group(environ):
    query = environ["QUERY_STRING"]
    if query == "raise":
        raise ValueError("application_group on purpose")
    return {"number": 5, "named": "chosen", "bytes": b"chosen", "server": "%{SERVER}", "wide": "\u20ac"}.get(query)


def callable_object(environ):
    return "other" if environ["QUERY_STRING"] == "callable" else None
