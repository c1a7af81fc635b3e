"""Quotas (P4): `limits`, and the short `rate_limit`."""

from __future__ import annotations

import re
from decimal import Decimal

from ostiary.policy.formats.condition import read_path
from ostiary.policy.formats.draft import Draft, child
from ostiary.policy.formats.fields import Fields
from ostiary.policy.formats.length import LONGEST, read_length
from ostiary.policy.formats.table import SCOPES, TABLES, WINDOWS
from ostiary.policy.model import Limit, Path, Window
from ostiary.policy.numbers import exact
from ostiary.policy.source import ListNode, MapNode, Node, Scalar, shown

MAX_COUNTER = 256
_SHORT = re.compile(r"([0-9]{1,15})/(minute|hour|day)")


def read_limits(draft: Draft, fields: Fields, at: str) -> tuple[Limit, ...]:
    """The `limits` of one tool or of all tools. Counters are unique; see `check_counters`."""
    base = child(at, "limits")
    found = (read_limit(draft, node, child(base, index)) for index, node in fields.tables("limits"))
    limits = tuple(each for each in found if each is not None)
    _warn_about_scopes(draft, limits, fields)
    return limits


def read_limit(draft: Draft, node: MapNode, at: str) -> Limit | None:
    """One entry of `limits`, or None after a problem was reported."""
    fields = Fields(draft, node, TABLES["limit"])
    draft.rule(at, node)
    _check_combination(draft, fields)
    _warn_about_refund(draft, fields)
    scope, paths = _scope(draft, fields.node("scope"))
    per = _positive(draft, fields, "per")
    counter = fields.text("counter")
    if counter is None or not is_counter(counter):
        _refuse_counter(draft, fields, counter)
        return None
    return Limit(
        id=at,
        counter=counter,
        window=_window(draft, fields),
        max=fields.whole("max", 0),
        scope=scope,
        scope_paths=paths,
        cost=read_path(draft, fields.node("cost")),
        cost_constant=fields.whole("cost", 1) or 1,
        cost_default=_cost_default(draft, fields),
        per=Decimal(1) if per is None else per,
        refund="on_error" if fields.text("refund") == "on_error" else "never_left",
        max_concurrent=fields.whole("max_concurrent", 1, 1_000_000),
        lease_seconds=_lease(draft, fields),
        message=fields.message(),
    )


def is_counter(text: str) -> bool:
    """Whether `text` can be a counter's name."""
    return text.isprintable() and text == text.strip() and len(text) <= MAX_COUNTER


def _refuse_counter(draft: Draft, fields: Fields, counter: str | None) -> None:
    if counter is not None:
        message = (
            f"a counter's name is printable text of at most {MAX_COUNTER} characters, found {shown(counter)}"
        )
        draft.error("bad-name", message, fields.node("counter") or fields.at)


def _check_combination(draft: Draft, fields: Fields) -> None:
    """Either `window` and `max`, or `max_concurrent`, or all three; nothing without what it serves."""
    written = fields.written
    if "max" not in written and "max_concurrent" not in written:
        draft.error("incomplete-limit", "neither `max` nor `max_concurrent` stands here", fields.at)
    elif ("window" in written) != ("max" in written):
        draft.error("incomplete-limit", "`window` and `max` need each other", fields.at)
    for name, needs in _SERVES:
        if name in fields and needs not in written:
            draft.error("idle-key", f"`{name}` has no effect without `{needs}`", fields.spot(name))
    if "cost_default" in fields and fields.number("cost") is not None:
        message = "`cost_default` has no effect beside a `cost` that is always the same"
        draft.error("idle-key", message, fields.spot("cost_default"))


_SERVES = (
    ("cost", "max"),
    ("cost_default", "cost"),
    ("per", "cost"),
    ("refund", "max"),
    ("align", "max"),
    ("lease", "max_concurrent"),
)


def _warn_about_refund(draft: Draft, fields: Fields) -> None:
    if fields.text("refund") == "on_error":
        message = "`refund: on_error` lets a call that fails on purpose run for free"
        draft.warn("refund-on-error", message, fields.spot("refund"))


def _warn_about_scopes(draft: Draft, limits: tuple[Limit, ...], fields: Fields) -> None:
    """P4.2: buckets that the agent chooses need a limit beside them that it cannot choose."""
    if any(not limit.scope_paths for limit in limits):
        return
    for index, node in fields.tables("limits"):
        if any(limit.scope_paths and limit.id.endswith(f"/{index}") for limit in limits):
            message = "the agent chooses this scope, and no limit without `args` stands beside it"
            draft.warn("argument-scope-alone", message, node.get("scope") or node)


def _window(draft: Draft, fields: Fields) -> Window | None:
    text = fields.text("window")
    if text is None:
        return None
    calendar = fields.text("align") == "calendar"
    at = fields.node("window") or fields.at
    draft.extended |= text not in WINDOWS
    seconds = WINDOWS.get(text) or read_length(draft, text, at, "window")
    if seconds is None:
        return None
    if calendar and seconds not in WINDOWS.values():
        draft.error("bad-window", "`align: calendar` takes a minute, an hour or a day", at)
    return Window(seconds, calendar)


def _lease(draft: Draft, fields: Fields) -> int:
    text = fields.text("lease")
    seconds = None if text is None else read_length(draft, text, fields.node("lease") or fields.at, "lease")
    return 600 if seconds is None else seconds


def _positive(draft: Draft, fields: Fields, name: str) -> Decimal | None:
    value = fields.number(name)
    if value is not None and (value <= 0 or exact(value) is None):
        draft.error("out-of-range", f"`{name}` takes a number above 0", fields.node(name) or fields.at)
    return value


def _cost_default(draft: Draft, fields: Fields) -> Decimal | None:
    value = fields.number("cost_default")
    if value is not None and (value < 0 or exact(value) is None):
        message = "`cost_default` takes a number that is not negative"
        draft.error("out-of-range", message, fields.node("cost_default") or fields.at)
    return value


def _scope(draft: Draft, node: Node | None) -> tuple[tuple[str, ...], tuple[Path, ...]]:
    """Dimensions in their normal order, and argument paths; `args.*` includes grant (P4.2)."""
    if node is None:
        return ("grant",), ()
    names: set[str] = set()
    paths: set[Path] = set()
    for item in node.items if isinstance(node, ListNode) else (node,):
        _add_scope(draft, item, names, paths)
    if paths:
        names.add("grant")
    return tuple(name for name in SCOPES if name in names), tuple(sorted(paths))


def _add_scope(draft: Draft, node: Node, names: set[str], paths: set[Path]) -> None:
    text = node.value if isinstance(node, Scalar) else None
    if not isinstance(text, str):
        return
    draft.extended |= text != "grant"
    path = read_path(draft, node) if text.startswith("args.") else None
    if text in names or (path is not None and path in paths):
        draft.error("duplicate-entry", f"the scope {shown(text)} stands twice", node)
    elif path is not None:
        paths.add(path)
    elif text in SCOPES:
        names.add(text)
    elif not text.startswith("args."):
        hint = "expected `grant`, `user`, `server`, `org`, `track` or `args.<path>`"
        draft.error("bad-choice", f"`scope` cannot be {shown(text)}", node, hint)


def read_rate(draft: Draft, fields: Fields, at: str, message: str | None) -> Limit | None:
    """The short `rate_limit`: `N/minute`, or `{max, window: seconds}`; sliding, for each grant."""
    node = fields.node("rate_limit")
    if node is None:
        return None
    draft.rule(at, fields.spot("rate_limit"))
    found = short_rate(draft, node) if isinstance(node, Scalar) else _table_rate(draft, node)
    if found is None:
        return None
    most, seconds = found
    return Limit(id=at, counter=f"rate_{seconds}", window=Window(seconds), max=most, message=message)


def short_rate(draft: Draft, node: Node) -> tuple[int, int] | None:
    """`N/minute|hour|day` as (N, seconds); None after a problem was reported."""
    text = node.value if isinstance(node, Scalar) else None
    if not isinstance(text, str):
        return None
    found = _SHORT.fullmatch(text)
    if found is None:
        hint = "such as `10/minute`, `100/hour` or `1000/day`"
        draft.error("bad-window", f"`rate_limit` cannot be {shown(text)}", node, hint)
        return None
    return int(found.group(1)), WINDOWS[found.group(2)]


def _table_rate(draft: Draft, node: Node) -> tuple[int, int] | None:
    if not isinstance(node, MapNode):
        return None
    fields = Fields(draft, node, TABLES["rate_limit"])
    most, seconds = fields.whole("max", 0), fields.whole("window", 1, LONGEST)
    return None if most is None or seconds is None else (most, seconds)


def check_counters(draft: Draft, limits: tuple[Limit, ...]) -> None:
    """Two limits of one tool never share a counter: each call would be counted twice."""
    seen: set[str] = set()
    for limit in limits:
        if limit.counter in seen:
            message = f"the counter {shown(limit.counter)} stands twice in one tool"
            draft.error("duplicate-counter", message, draft.places[limit.id])
        seen.add(limit.counter)
