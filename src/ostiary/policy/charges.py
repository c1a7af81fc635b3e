"""From limits to charges: what one call asks of the ledger (P4.1-P4.3)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Final, cast

from ostiary.policy.conditions import BLOCKED, Arguments, read
from ostiary.policy.decision import Charge, Question
from ostiary.policy.model import Limit, Path, Window
from ostiary.policy.numbers import Number, exact, is_bounded, text_of

Conceal = Callable[[str], str]
"""Turns the canonical text of an argument value into what a counter's key may show of it."""

EVERY_TOOL: Final = "all_tools"
_EXACT: Final = Context(prec=100, traps=[Inexact, InvalidOperation])
_CONCURRENT: Final = "concurrent"


class ChargeError(ValueError):
    """A limit cannot say what this call costs, or which bucket it belongs to, so it denies."""


def conceal_by_digest(text: str) -> str:
    """SHA-256, shortened. A deployment passes a keyed digest instead: see `compile_policy`."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def is_constant(limit: Limit) -> bool:
    """True when the charges of a limit do not depend on the arguments."""
    return limit.cost is None and not limit.scope_paths


def charges_of(
    limit: Limit,
    *,
    tool: str,
    question: Question,
    conceal: Conceal,
    schema: object = None,
    wide: bool = False,
) -> list[Charge]:
    """The charges of one limit: for its window, for its slots, or both.

    `tool` is the counter's owner, see `owner_of`. `schema` is the tool's advertised schema,
    whose default stands in for a missing cost.

    Raises:
        ChargeError: when cost or scope cannot be read from the arguments.
    """
    amount = _amount(limit, question.arguments, schema)
    shared = _dimensions(limit, question)
    full = [*shared, *_argument_dimensions(limit, question.arguments, conceal, wide=wide)]
    holder = question.grant if "grant" in limit.scope or limit.scope_paths else ""
    head = [question.server, holder, tool, limit.counter]
    found: list[Charge] = []
    if limit.window is not None and limit.max is not None:
        length = f"{limit.window.seconds}s" + ("/calendar" if limit.window.calendar else "")
        keys = _canonical([*head, length, full]), _canonical([*head, length, shared])
        found.append(_window_charge(limit, limit.window, limit.max, amount, keys))
    if limit.max_concurrent is not None:
        keys = _canonical([*head, _CONCURRENT, full]), _canonical([*head, _CONCURRENT, shared])
        found.append(_slot_charge(limit, limit.max_concurrent, keys))
    return found


def _window_charge(limit: Limit, window: Window, most: int, amount: Decimal, keys: tuple[str, str]) -> Charge:
    return Charge(
        key=keys[0],
        bucket_of=keys[1],
        rule=limit.id,
        amount=amount,
        ceiling=_EXACT.multiply(Decimal(most), limit.per),
        window=window,
        refund_on_error=limit.refund == "on_error",
        message=limit.message,
    )


def _slot_charge(limit: Limit, most: int, keys: tuple[str, str]) -> Charge:
    return Charge(
        key=keys[0],
        bucket_of=keys[1],
        rule=limit.id,
        amount=Decimal(1),
        ceiling=Decimal(most),
        window=None,
        lease_seconds=limit.lease_seconds,
        message=limit.message,
    )


def owner_of(tool: str | None) -> str:
    """The element of a counter's key that names the tool; None stands for every tool.

    A tool that is called `all_tools` must not share counters with every tool.
    """
    return EVERY_TOOL if tool is None else f"tools/{tool}"


def _amount(limit: Limit, arguments: Arguments, schema: object) -> Decimal:
    """The raw cost: exact, finite, not negative (P4.3). Never a fraction cut off, never a refund."""
    if limit.cost is None:
        return Decimal(limit.cost_constant)
    found = read(arguments, limit.cost)
    if found is BLOCKED:
        raise ChargeError(f"cost `{_shown(limit.cost)}` is not a number")
    if found is None:
        found = _schema_default(schema, limit.cost)
    if found is None:
        found = limit.cost_default
    if found is None:
        raise ChargeError(f"cost `{_shown(limit.cost)}` is missing")
    cost = exact(found)
    if cost is None or not is_bounded(Decimal(cost)):
        raise ChargeError(f"cost `{_shown(limit.cost)}` is not a number within bounds")
    if cost < 0:
        raise ChargeError(f"cost `{_shown(limit.cost)}` is negative")
    return Decimal(cost)


def _schema_default(schema: object, path: Path) -> object:
    """The default that the advertised schema declares for `path`, or None."""
    node: object = schema
    for name in path:
        properties = (
            cast("Mapping[str, object]", node).get("properties") if isinstance(node, Mapping) else None
        )
        if not isinstance(properties, Mapping):
            return None
        node = cast("Mapping[str, object]", properties).get(name)
    return cast("Mapping[str, object]", node).get("default") if isinstance(node, Mapping) else None


def _dimensions(limit: Limit, question: Question) -> list[object]:
    values: Mapping[str, str] = {
        "grant": question.grant,
        "user": question.user,
        "server": question.server,
        "org": question.org,
        "track": question.track,
    }
    return [[name, values[name]] for name in limit.scope]


def _argument_dimensions(limit: Limit, arguments: Arguments, conceal: Conceal, *, wide: bool) -> list[object]:
    """One pair for each `args.*` scope; null and missing share a bucket of their own (P4.2)."""
    found: list[object] = []
    for path in limit.scope_paths:
        value = read(arguments, path)
        label = ["args", *path]
        found.append([label, None if value is None else conceal(_scalar_text(value, path, wide=wide))])
    return found


def _scalar_text(value: object, path: Path, *, wide: bool) -> str:
    """One text for each different scalar: 1, 1.0 and 1e0 are the same, 1 and "1" are not."""
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    number: Number | None = exact(value, wide=wide)
    if number is None or not is_bounded(Decimal(number)):
        raise ChargeError(f"scope `{_shown(path)}` is not a string, a boolean or a number within bounds")
    return text_of(number)


def _canonical(parts: list[object]) -> str:
    return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))


def _shown(path: Path) -> str:
    return "args." + ".".join(path)
