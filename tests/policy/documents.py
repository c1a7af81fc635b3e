"""Documents of every format as Hypothesis strategies: few names and values, so that rules meet calls."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

TOOLS = ["run", "read.file", "yes", "a b", "ünï", "10"]
KEYS = ["path", "n", "deep", "flag", "list"]
WORDS = [
    "a",
    "5",
    "true",
    "it's",
    'say "no"',
    "c:\\x",
    "x: y # z",
    " pad ",
    "no",
    "two\nlines\n",
    "\u2028",
    "ö",
]
"""Texts that a careless writer of YAML or JSON gets wrong."""

PATHS = st.sampled_from(["args.path", "args.n", "args.deep.n", "args.flag", "args.list"])
NUMBERS = st.sampled_from([0, 1, 5, -3, 2.5, 1e-7, 10**15, 2**53 - 1, 1e300])
TEXTS = st.sampled_from(WORDS)
SCALARS = TEXTS | NUMBERS | st.booleans()
MESSAGES = st.sampled_from(
    ["not here", "why: because", 'a "quoted" \\ one', "#1", "line one\nline two", "yes"]
)


def _optional(**keys: st.SearchStrategy[Any]) -> dict[str, st.SearchStrategy[Any]]:
    return keys


_ONE_TYPE = st.one_of(*(st.lists(each, min_size=1, max_size=3) for each in (TEXTS, NUMBERS, st.booleans())))
_FIRST: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("eq", "neq", "contains"), SCALARS),
    **dict.fromkeys(("lt", "lte", "gt", "gte"), NUMBERS),
    **dict.fromkeys(("in", "not_in"), _ONE_TYPE),
    "exists": st.booleans(),
    "regex": st.sampled_from(["^a", r"\d", "(?i)TRUE|x", r"\\", "#"]),
}
_ALL: dict[str, st.SearchStrategy[Any]] = {
    **_FIRST,
    "glob": st.sampled_from(["a*", "**", "[!a]"]),
    "path_within": st.sampled_from(["/srv", ["/srv", "/tmp"]]),
    "host_in": st.sampled_from(["example.org", ["*.example.org", "a.example"]]),
    "url_scheme_in": st.sampled_from(["https", ["http", "https"]]),
    "cidr_in": st.sampled_from(["10.0.0.0/8", ["::1/128"]]),
    "semver": st.sampled_from(["^1.2", ">=1.0.0 <2"]),
    "len_lte": st.integers(0, 9),
    "json_schema": st.sampled_from(
        [{"type": "string"}, {"enum": [None, 1, "x", {"b": 1, "a": 2}]}, {"anyOf": [{"type": "number"}]}]
    ),
}


@st.composite
def _compared(draw: st.DrawFn, operators: dict[str, st.SearchStrategy[Any]]) -> dict[str, Any]:
    op = draw(st.sampled_from(sorted(operators)))
    return {"op": op, "value": draw(operators[op])}


@st.composite
def _test(draw: st.DrawFn, operators: dict[str, st.SearchStrategy[Any]]) -> dict[str, Any]:
    return {"path": draw(PATHS), **draw(_compared(operators))}


@st.composite
def _own_test(draw: st.DrawFn) -> dict[str, Any]:
    found = draw(_test(_ALL))
    if found["op"] in {"eq", "neq", "in", "not_in", "contains"} and draw(st.booleans()):
        found["numeric_text"] = draw(st.booleans())
    if draw(st.integers(0, 4)) == 0:
        found["path"] = draw(st.sampled_from([["deep", "n"], ["args", "dotted.key"]]))
    return found


_CONDITIONS = st.recursive(
    _own_test()
    | st.fixed_dictionaries({"path": PATHS, "any_of": _compared(_ALL)})
    | st.fixed_dictionaries({"path": PATHS, "all_of": _compared(_FIRST)}),
    lambda inner: (
        st.fixed_dictionaries({"any": st.lists(inner, min_size=1, max_size=2)})
        | st.fixed_dictionaries({"all": st.lists(inner, min_size=1, max_size=2)})
        | st.fixed_dictionaries({"not": inner})
    ),
    max_leaves=4,
)
_COMMENT = MESSAGES | st.lists(MESSAGES, min_size=1, max_size=2)


def _rules(least: int) -> st.SearchStrategy[Any]:
    return st.lists(
        st.fixed_dictionaries(
            {"conditions": st.lists(_CONDITIONS, min_size=least, max_size=3)},
            optional=_optional(on_deny=MESSAGES) | {"$comment": _COMMENT},
        ),
        max_size=2,
    )


@st.composite
def _limit(draw: st.DrawFn, counter: str) -> dict[str, Any]:
    limit: dict[str, Any] = {"counter": counter}
    if draw(st.booleans()):
        limit["max_concurrent"] = draw(st.integers(1, 5))
        limit |= draw(st.fixed_dictionaries({}, optional=_optional(lease=st.sampled_from(["90s", "2h"]))))
    if draw(st.booleans()) or "max_concurrent" not in limit:
        limit |= {"window": draw(st.sampled_from(["minute", "day", "30s"])), "max": draw(st.integers(0, 9))}
        optional = _optional(refund=st.just("never_left"), cost=st.sampled_from(["args.n", 3]))
        limit |= draw(st.fixed_dictionaries({}, optional=optional))
        if isinstance(limit.get("cost"), str):
            limit |= draw(
                st.fixed_dictionaries({}, optional=_optional(cost_default=NUMBERS.filter(lambda n: n >= 0)))
            )
        if limit["window"] != "30s" and draw(st.booleans()):
            limit["align"] = "calendar"
    scopes = st.sampled_from(["grant", "server", ["user", "grant"], ["args.path", "track"]])
    return limit | draw(
        st.fixed_dictionaries({}, optional=_optional(scope=scopes, reason=MESSAGES) | {"$comment": _COMMENT})
    )


@st.composite
def _limits(draw: st.DrawFn) -> list[dict[str, Any]]:
    return [
        draw(_limit(counter))
        for counter in draw(st.lists(st.sampled_from(WORDS[:3]), max_size=2, unique=True))
    ]


_VALIDATE = st.fixed_dictionaries(
    {"required_args": st.just(value=True)},
    optional=_optional(schema=st.just("advertised"), extra=st.sampled_from(["deny", "allow"])),
)
_TERMS = st.fixed_dictionaries(
    {"timeout": st.sampled_from(["90s", "2h"])},
    optional=_optional(approvers=st.just(["user:ann"]), hold=st.just("10s"), message=MESSAGES),
)
_ASKING = st.fixed_dictionaries(
    {"approve_if": st.lists(
        st.fixed_dictionaries(
            {"conditions": st.lists(_CONDITIONS, max_size=2)},
            optional=_optional(reason=MESSAGES) | {"$comment": _COMMENT},
        ),
        min_size=1, max_size=2,
    )},
    optional=_optional(approval=_TERMS),
)  # fmt: skip
_SHARED = _optional(require=_rules(1), deny_if=_rules(0), limits=_limits(), validate=_VALIDATE)


@st.composite
def _tool(draw: st.DrawFn) -> dict[str, Any]:
    tool = draw(
        st.fixed_dictionaries({}, optional={**_SHARED, "$comment": _COMMENT, "wide_numbers": st.booleans()})
    )
    short = draw(st.sampled_from([{}, {"action": "deny", "reason": "never"}, {"rate_limit": "5/hour"}]))
    return tool | short | (draw(_ASKING) if draw(st.booleans()) else {})


_METHODS = st.fixed_dictionaries(
    {},
    optional=_optional(
        default=st.sampled_from(["allow", "deny"]), allow=st.just(["file://**"]), deny=st.just(["x*"])
    ),
)
_SERVER = st.fixed_dictionaries(
    {"default": st.sampled_from(["allow", "deny"])},
    optional=_optional(
        hide=st.lists(st.sampled_from([*TOOLS, "*"]), max_size=2, unique=True),
        all_tools=st.fixed_dictionaries({}, optional=_SHARED),
        tools=st.dictionaries(st.sampled_from(TOOLS), _tool(), max_size=3),
        resources=_METHODS,
    )
    | {"$comment": _COMMENT},
)


@st.composite
def ostiary(draw: st.DrawFn, *, servers: bool = True) -> dict[str, Any]:
    """Formats 1 and 4."""
    head: dict[str, Any] = {
        "version": "1",
        **draw(st.fixed_dictionaries({}, optional=_optional(description=MESSAGES))),
    }
    if servers and draw(st.integers(0, 5)) == 0:
        return head | {"servers": draw(st.dictionaries(st.sampled_from(["s", "t"]), _SERVER, min_size=1))}
    found = head | draw(_SERVER)
    return dict(draw(st.permutations(list(found.items()))))


@st.composite
def _intercept_rule(draw: st.DrawFn, tool: str, number: int) -> dict[str, Any]:
    rule: dict[str, Any] = {"name": draw(MESSAGES)}
    rule |= draw(st.fixed_dictionaries({}, optional=_optional(on_deny=MESSAGES)))
    kind = draw(st.sampled_from(["deny", "rate", "conditions", "state", "asking"]))
    if kind == "deny":
        return rule | {"action": "deny"}
    if kind == "rate":
        return rule | {"rate_limit": f"{number}/{draw(st.sampled_from(['minute', 'hour', 'day']))}"}
    conditions = draw(st.lists(_test(_FIRST), min_size=1, max_size=2))
    if kind == "asking":
        timeout = draw(
            st.fixed_dictionaries({}, optional=_optional(approval_timeout=st.sampled_from(["5m", "2h"])))
        )
        return (
            rule
            | {"action": "require_approval", **timeout}
            | ({"conditions": conditions} if draw(st.booleans()) else {})
        )
    if kind == "state":
        counter = draw(st.sampled_from(["spent", "new\nline", " pad ", "_rate_day"]))
        owner = "_global" if tool == "*" else tool
        bound = {"path": f"state.{owner}.{counter}", "op": draw(st.sampled_from(["lte", "lt"])), "value": 7}
        conditions = [*conditions[: draw(st.integers(0, 1))], bound]
        more = draw(st.sampled_from([{}, {"increment": 4}, {"increment_from": "args.n"}]))
        window = draw(st.sampled_from(["minute", "hour", "day"]))
        rule["state"] = {"counter": counter, "window": window, **more}
    return rule | {"conditions": conditions}


@st.composite
def intercept(draw: st.DrawFn) -> dict[str, Any]:
    """Format 2. Some have two limits under one counter, which does not load."""
    names = draw(st.lists(st.sampled_from([*TOOLS, "*"]), min_size=1, max_size=3, unique=True))
    tools = {
        name: {"rules": [draw(_intercept_rule(name, at)) for at in range(draw(st.integers(0, 3)))]}
        for name in names
    }
    optional = _optional(
        default=st.sampled_from(["allow", "deny"]),
        hide=st.lists(st.sampled_from([*TOOLS, "*"]), max_size=2, unique=True),
        description=MESSAGES,
    )
    return {"version": "1", "tools": tools, **draw(st.fixed_dictionaries({}, optional=optional))}


@st.composite
def short(draw: st.DrawFn) -> dict[str, Any]:
    """Format 3. Some have two limits under one counter, which does not load."""
    rate = st.sampled_from(["3/minute", "4/day", {"max": 2, "window": 90}, {"max": 2, "window": 7200}])
    rules = st.one_of(
        st.fixed_dictionaries(
            {"action": st.just("deny")}, optional=_optional(reason=MESSAGES, validate=_VALIDATE)
        ),
        st.fixed_dictionaries(
            {"rate_limit": rate}, optional=_optional(reason=MESSAGES, action=st.just("allow"))
        ),
        st.fixed_dictionaries({"validate": _VALIDATE}),
        st.fixed_dictionaries({"action": st.just("allow")}),
        st.fixed_dictionaries({"action": st.just("require_approval")}, optional=_optional(reason=MESSAGES)),
    )
    tool = st.fixed_dictionaries({"rules": st.lists(rules, max_size=3)})
    optional = _optional(
        default=st.sampled_from(["allow", "deny"]), hide=st.just(["read.file"]), description=MESSAGES
    )
    tools = draw(st.dictionaries(st.sampled_from(TOOLS), tool, min_size=1, max_size=3))
    return {"tools": tools, **draw(st.fixed_dictionaries({}, optional=optional))}


DOCUMENTS = ostiary() | intercept() | short()
"""A document of any format; most of them load."""

_DEEP = st.fixed_dictionaries({}, optional=_optional(n=SCALARS)) | st.sampled_from(["flat", None])
ARGUMENTS = st.fixed_dictionaries(
    {},
    optional=_optional(
        path=SCALARS | st.just("/srv/x"), n=SCALARS | st.none(), deep=_DEEP, flag=SCALARS,
        list=st.lists(SCALARS, max_size=2), N=st.just(1),
    )
    | {"dotted.key": SCALARS},
)  # fmt: skip
"""Arguments of a call that such rules look at."""
