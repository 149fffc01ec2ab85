"""An auth group script: the user is a name of `ANSWERS`, or a list of groups with dots between them."""


class Name(str):
    pass


class Refusing:
    def __iter__(self):
        raise LookupError("no groups today")


def late():
    yield "staff"
    raise ValueError("the directory went away")


def early():
    raise ValueError("the directory is away")
    yield "staff"


def endless():
    while True:
        yield "x" * 1000


ANSWERS = {
    "list": lambda: ["other", "staff"], "tuple": lambda: ("staff",), "set": lambda: {"staff", "other"},
    "dict": lambda: {"staff": 1}, "generator": lambda: (name for name in ["other", "staff"]), "bytes": lambda: [b"staff"],
    "mixed": lambda: [b"other", "staff"], "subclass": lambda: [Name("staff")], "upper": lambda: ["STAFF"],
    "spaces": lambda: ["two words"], "accents": lambda: [b"caf\xc3\xa9"], "many": lambda: map(str, range(100000)),
    "stranger": lambda: ["strangers"], "part": lambda: ["staf"], "longer": lambda: ["staff "], "nul": lambda: ["staff\0x"],
    "text": lambda: "staff", "nothing": lambda: [], "nobody": lambda: "", "exhausted": lambda: iter(()),
    "none": lambda: None, "number": lambda: 5, "true": lambda: True, "function": lambda: early,
    "item": lambda: ["staff", 1], "itemnone": lambda: [None], "itemlist": lambda: [["staff"]],
    "wide": lambda: ["staff", "\u65e5\u672c"], "late": late, "early": early, "refusing": Refusing, "endless": endless,
}
CALLS = []


def groups_for_user(environ, user):
    assert isinstance(environ, dict) and isinstance(user, str)
    CALLS.append(user)
    if user == "raises":
        raise ValueError("the group script fails")
    if user == "exits":
        raise SystemExit
    if user == "counted":
        return [str(len(CALLS))]
    if user == "reset":
        del CALLS[:]
        return ["staff"]
    if user == "interpreter":
        return ["in " + environ["mod_wsgi.application_group"]]
    return ANSWERS[user]() if user in ANSWERS else user.split(".")
