"""What is asked of one value, and values on both sides of it. Pure.

A placeholder names a place that is not there: what it is in the way of is refused until a person
has filled in a real one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final, cast

import msgspec

from ostiary.registry.change import MAX_VALUE
from ostiary.registry.recommended_schema import Members, kind_of, members_of, number_of, size_of

FOLDER: Final = "/replace-me"
HOST: Final = "replace-me.invalid"
"""No host has a name that ends in `.invalid` (RFC 2606)."""

MAX_TEXT: Final = 10_000
MAX_ITEMS: Final = 100
MAX_MEMBERS: Final = 50
MAX_CHOICES: Final = 40
_SHORT_TEXT: Final = 300
_QUERY: Final = 1_000
_WHOLE: Final = 1_000_000_000

_LONG: Final = frozenset({
    "content", "contents", "body", "text", "message", "description", "html", "code", "script", "data",
    "markdown", "comment", "prompt", "diff", "patch", "summary", "notes", "note", "document", "source",
    "input", "value", "sql", "query", "program", "expression", "command",
})  # fmt: skip
_COUNTS: Final = frozenset({
    "limit", "count", "size", "top", "results", "n", "max", "maximum", "lines", "rows", "items",
    "depth", "pages", "per", "page_size", "first", "last",
})  # fmt: skip
_AMOUNTS: Final = frozenset({"amount", "total", "sum", "price", "quantity"})
_QUERIES: Final = frozenset({"query", "sql", "search", "q", "filter"})


class Asked(msgspec.Struct, frozen=True):
    """`tests` that a value must pass, why, and what a refusal says; `good` passes, each of `bad` fails.

    `closes`: nothing but what the rule lists is left. `placeholder`: refused until a person fills it
    in. `must_be_there`: leaving it out is no way around. `amount`: a number of money or things.
    """

    tests: tuple[Mapping[str, object], ...]
    good: object
    bad: tuple[object, ...]
    why: str
    on_deny: str
    closes: bool = False
    placeholder: bool = False
    must_be_there: bool = False
    amount: bool = False


def asked_of(name: str, schema: Members, items: Members, codes: frozenset[str]) -> Asked | None:
    """What to ask of an argument; None for one of which nothing can be asked, such as a plain boolean."""
    kind = kind_of(schema)
    if isinstance(schema.get("enum"), list) or "const" in schema:
        found = _choice(schema)
        if found is not None:
            return found
    if "force" in codes and kind in {"boolean", ""}:
        return _unforced(schema)
    if kind == "array":
        return _list(schema, _of_kind(name, kind_of(items), items, codes))
    return _of_kind(name, kind, schema, codes)


def _of_kind(name: str, kind: str, schema: Members, codes: frozenset[str]) -> Asked | None:
    if codes & {"file-path", "url"} and kind in {"string", ""}:
        return _folder() if "url" not in codes else _address(name)
    listed = _choice(schema) if isinstance(schema.get("enum"), list) else None
    if listed is not None:
        return listed
    if kind in {"integer", "number"}:
        return _number(name, schema)
    if kind == "string":
        return _text(name, schema)
    if kind == "object":
        return _object(schema)
    return None if kind in {"boolean", "null"} else _any(name)


def _choice(schema: Members) -> Asked | None:
    """The values that the schema lists, if a rule can hold them."""
    listed = schema.get("enum")
    values = [*cast("list[object]", listed)] if isinstance(listed, list) else [schema.get("const")]
    values = [each for each in values if each is not None]
    if not 0 < len(values) <= MAX_CHOICES:
        return None
    if all(isinstance(each, str) and each.isprintable() and len(each) <= MAX_VALUE for each in values):
        texts = [*dict.fromkeys(cast("list[str]", values))]
        other = "another"
        while other in texts:
            other += "-one"
        return _listed(texts, other)
    numbers = [number_of(each) for each in values]
    if any(each is None for each in numbers):
        return None
    whole = [*dict.fromkeys(cast("list[int | Decimal]", numbers))]
    return _listed(whole, max(whole) + 1)


def _listed(values: Sequence[object], other: object) -> Asked:
    return Asked(
        ({"op": "in", "value": [*values]},),
        values[0],
        (other,),
        "its schema lists these and no others",
        "only what the tool lists",
        closes=True,
    )


def _unforced(schema: Members) -> Asked:
    return Asked(
        ({"op": "eq", "value": False},),
        good=False,
        bad=(True,),
        why="it takes away a check that the tool would make, or widens the call to everything below",
        on_deny="not by force: a person has to do that",
        closes=True,
        must_be_there=schema.get("default") is True,
    )


def _folder() -> Asked:
    return Asked(
        ({"op": "path_within", "value": FOLDER},),
        f"{FOLDER}/example",
        ("/etc/passwd", f"{FOLDER}/../etc/passwd", "example"),
        f"a path can leave the folder that was meant; put your own folder in place of {FOLDER}",
        "only full paths below the folder that the policy names",
        placeholder=True,
    )


def _address(name: str) -> Asked:
    bare = name.lower().rstrip("s").endswith(("host", "hostname"))
    host: Mapping[str, object] = {"op": "host_in", "value": [HOST]}
    scheme: Mapping[str, object] = {"op": "url_scheme_in", "value": ["https"]}
    prefix = "" if bare else "https://"
    bad = [f"{prefix}localhost", f"{prefix}169.254.169.254", f"{prefix}{HOST}.example.org"]
    return Asked(
        (host,) if bare else (scheme, host),
        f"{prefix}{HOST}",
        tuple(bad if bare else [*bad, f"http://{HOST}"]),
        f"an address can lead into your own network, or carry data out; put your hosts in place of {HOST}",
        "only hosts that the policy names" + ("" if bare else ", by https"),
        placeholder=True,
    )


def _text(name: str, schema: Members) -> Asked:
    own = size_of(schema.get("maxLength"), MAX_TEXT)
    most = _length(name) if own is None else own
    least = min(size_of(schema.get("minLength"), MAX_TEXT) or 0, most)
    good = "example" if least <= len("example") <= most else "x" * max(least, min(most, 1))
    return Asked(
        ({"op": "len_lte", "value": most},),
        good,
        ("x" * (most + 1),),
        _origin(own, schema.get("maxLength"), "texts of any length"),
        f"at most {most:,} characters",
    )


def _length(name: str) -> int:
    last = name.lower().replace("-", "_").rpartition("_")[2]
    if last in _QUERIES:
        return _QUERY
    return MAX_TEXT if last in _LONG else _SHORT_TEXT


def _origin(taken: int | Decimal | None, said: object, otherwise: str) -> str:
    """Where a bound comes from."""
    if taken is None:
        return f"chosen: its schema admits {otherwise}"
    return "from its schema" if number_of(said) == taken else "chosen: its schema admits far more"


def _number(name: str, schema: Members) -> Asked:
    words = set(name.lower().replace("-", "_").split("_"))
    amount = bool(words & _AMOUNTS)
    high, under = _edge(schema, "maximum", "exclusiveMaximum")
    low, over = _edge(schema, "minimum", "exclusiveMinimum")
    counted = amount or bool(words & _COUNTS)
    chosen = (1_000 if amount else MAX_ITEMS) if counted else _WHOLE
    if low is None and counted:
        low, over = 0, False
    most = high if high is not None else max(chosen, chosen if low is None else low + 1)
    if low is not None and low > most:
        low = None
    tests: list[Mapping[str, object]] = [{"op": "lt" if under else "lte", "value": most}]
    bad: list[object] = [most if under else most + 1]
    if low is not None:
        tests.append({"op": "gt" if over else "gte", "value": low})
        bad.append(low if over else low - 1)
    good = _between(most, low, under=under, over=over)
    if good is None:  # a schema that no number fits
        tests, good, bad = tests[:1], most - 1, bad[:1]
    why = _origin(high, high, "numbers of any size")
    edges = f"{'below' if under else 'at most'} {most}"
    edges += "" if len(tests) == 1 else f", {'above' if over else 'at least'} {low}"
    return Asked(tuple(tests), good, tuple(bad), why, edges, amount=amount)


def _edge(schema: Members, closed: str, exclusive: str) -> tuple[int | Decimal | None, bool]:
    """A bound of a schema, and whether it is no longer inside."""
    found = number_of(schema.get(closed))
    if found is not None:
        return found, False
    found = number_of(schema.get(exclusive))
    return found, found is not None


def _between(
    most: int | Decimal, low: int | Decimal | None, *, under: bool, over: bool
) -> int | Decimal | None:
    """A number that fits, near to one; None without any."""
    tries: list[int | Decimal] = [1, most - 1 if under else most]
    if low is not None:
        tries += [low + 1 if over else low, (Decimal(low) + Decimal(most)) / 2]
    for each in tries:
        below = each < most if under else each <= most
        above = low is None or (each > low if over else each >= low)
        if below and above and number_of(each) == each:
            return each
    return None


def _object(schema: Members) -> Asked:
    own = size_of(schema.get("maxProperties"), MAX_MEMBERS)
    most = MAX_MEMBERS if own is None else own
    many = {f"k{index}": index for index in range(most + 1)}
    why = _origin(own, schema.get("maxProperties"), "any number of members")
    names = [*members_of(schema)]
    closed = 0 < len(names) <= MAX_MEMBERS and "additionalProperties" not in schema
    if not closed or not all(name.isprintable() and len(name) <= MAX_VALUE for name in names):
        return Asked(({"op": "len_lte", "value": most},), {}, (many,), why, f"at most {most} members")
    other = "undeclared"
    while other in names:
        other += "-one"
    only = {"properties": dict.fromkeys(names, True), "additionalProperties": False}
    return Asked(
        ({"op": "len_lte", "value": most}, {"op": "json_schema", "value": only}),
        {},
        (many, {other: 1}),
        f"{why}; what it does not declare has no bound",
        f"at most {most} members, and only those that the tool declares",
    )


def _any(name: str) -> Asked:
    most = _length(name)
    bounds = {"maxLength": most, "maxItems": MAX_ITEMS, "maxProperties": MAX_MEMBERS}
    return Asked(
        ({"op": "json_schema", "value": bounds},),
        "example",
        ("x" * (most + 1),),
        "chosen: its schema admits anything",
        f"at most {most:,} characters, {MAX_ITEMS} elements or {MAX_MEMBERS} members",
    )


def _list(schema: Members, one: Asked | None) -> Asked:
    """How many, and what is asked of each."""
    own = size_of(schema.get("maxItems"), MAX_ITEMS)
    most = MAX_ITEMS if own is None else own
    least = min(size_of(schema.get("minItems"), MAX_ITEMS) or 0, most)
    item = "example" if one is None else one.good
    tests: list[Mapping[str, object]] = [{"op": "len_lte", "value": most}]
    bad: list[object] = [[item] * (most + 1)]
    if one is not None:
        every = [{"any": [{"op": "len_eq", "value": 0}, {"all_of": dict(test)}]} for test in one.tests]
        tests += every
        bad += [[each] for each in one.bad if most > 0]
    good = [item] * max(least, min(most, 1))
    why = _origin(own, schema.get("maxItems"), "lists of any length")
    each = "" if one is None else f", and each: {one.on_deny}"
    return Asked(
        tuple(tests),
        good,
        tuple(bad),
        why if one is None else f"{why}; each element: {one.why}",
        f"at most {most} elements{each}",
        closes=one is not None and one.closes,
        placeholder=one is not None and one.placeholder,
    )
