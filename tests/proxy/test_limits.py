"""`--limit`: names, units and ranges, and that each reaches what it bounds."""

from __future__ import annotations

import resource
from dataclasses import fields

import pytest

from ostiary.errors import CallerFault
from ostiary.limits import DEFAULT_BOUNDS, LIMITS, Bounds, Limit, parse_limits
from ostiary.proxy.descriptors import needed, raise_soft_limit, shared_out
from ostiary.proxy.http.call import UpstreamLimits
from ostiary.proxy.http.request import Limits
from ostiary.proxy.network import listener_limits, make_room, upstream_limits
from ostiary.wire.strict import MAX_BYTES

SIZE = "a size such as `512KiB` or `4MiB`"
TIME = "a time with its unit, such as `500ms`, `10s`, `5m` or `1h`"

BY_NAME = pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.name)


def test_every_bound_has_a_name() -> None:
    assert [limit.field for limit in LIMITS] == [field.name for field in fields(Bounds)]


def test_defaults_are_those_of_the_parts_they_bound() -> None:
    """One number is never written in two places with two values."""
    assert listener_limits(DEFAULT_BOUNDS) == Limits()
    assert upstream_limits(DEFAULT_BOUNDS) == UpstreamLimits()
    assert DEFAULT_BOUNDS.body == MAX_BYTES


@BY_NAME
def test_default_and_both_ends_of_a_range_may_be_given(limit: Limit) -> None:
    """What the help shows is what the option takes."""
    lowest, highest = limit.range.split(" to ")

    assert parse_limits([f"{limit.name}={limit.default}"]) == DEFAULT_BOUNDS
    assert getattr(parse_limits([f"{limit.name}={lowest}"]), limit.field) == limit.lowest
    assert getattr(parse_limits([f"{limit.name}={highest}"]), limit.field) == limit.highest


@BY_NAME
def test_beyond_a_range_the_range_is_told(limit: Limit) -> None:
    unit = {"count": "", "size": "B", "time": "s"}[limit.kind]

    with pytest.raises(CallerFault) as caught:
        parse_limits([f"{limit.name}={int(limit.highest) + 1}{unit}"])

    assert caught.value.message.endswith(f"is out of range, which is {limit.range}")


@BY_NAME
def test_every_limit_reaches_the_part_it_bounds(limit: Limit) -> None:
    """Each changes something that is handed to the listener, the upstream, the gate or the drain."""
    changed = parse_limits([f"{limit.name}={limit.range.split(' to ')[1]}"])

    before = (listener_limits(DEFAULT_BOUNDS), upstream_limits(DEFAULT_BOUNDS), DEFAULT_BOUNDS.drain)
    assert (listener_limits(changed), upstream_limits(changed), changed.drain) != before


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ("body=8MiB", "body", 8 * 1024 * 1024),
        ("body=1.5KiB", "body", 1536),
        ("body=5000", "body", 5000),
        ("body = 5000B", "body", 5000),
        ("drain=0s", "drain", 0.0),
        ("head-timeout=500ms", "head_timeout", 0.5),
        ("head-timeout=2.5s", "head_timeout", 2.5),
        ("upstream-head-timeout=2h", "upstream_head_timeout", 7200.0),
        ("connections=200000", "connections", 200_000),
    ],
)
def test_values_have_units(given: str, field: str, value: float) -> None:
    assert getattr(parse_limits([given]), field) == value


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ("bdy=1MiB", "--limit: `bdy` is not a limit", "did you mean `body`"),
        ("zzz=1", "--limit: `zzz` is not a limit", "`ostiary proxy --help` lists them"),
        ("body", "--limit: expected NAME=VALUE, found `body`", "for example --limit body=8MiB"),
        ("body=1MB", f"--limit body: expected {SIZE}, found `1MB`", None),
        ("body=-1", f"--limit body: expected {SIZE}, found `-1`", None),
        ("body=1.0001KiB", f"--limit body: expected {SIZE}, found `1.0001KiB`", None),
        ("body=1024.5", "--limit body: `1024.5` is not a whole number", None),
        ("headers=1e3", "--limit headers: expected a number, found `1e3`", None),
        ("drain=10", f"--limit drain: expected {TIME}, found `10`", None),
        ("drain=inf", f"--limit drain: expected {TIME}, found `inf`", None),
    ],
)
def test_what_cannot_be_meant_is_refused(given: str, message: str, hint: str | None) -> None:
    with pytest.raises(CallerFault) as caught:
        parse_limits([given])

    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_a_limit_is_given_once() -> None:
    with pytest.raises(CallerFault, match="`body` is given twice"):
        parse_limits(["body=1MiB", "head=8KiB", "body=2MiB"])


def test_connections_that_fit_are_left_as_they_are() -> None:
    """The default holds 10,000 clients wherever the process may open enough files."""
    clients, upstream = DEFAULT_BOUNDS.connections, DEFAULT_BOUNDS.upstream_connections

    assert clients >= 10_000
    assert shared_out(needed(clients, upstream), clients, upstream) == (clients, upstream)


@pytest.mark.parametrize("limit", [256, 1024, 4096, 15_000])
def test_connections_that_do_not_fit_are_shared_out(limit: int) -> None:
    """Whoever comes then is answered 503, instead of everybody running out of descriptors."""
    clients, upstream = shared_out(limit, 10_000, 4096)

    assert clients > upstream >= 8
    assert needed(clients, upstream) <= limit


def test_soft_limit_is_raised_to_what_is_needed_and_not_beyond_the_hard_one() -> None:
    """In this process, and put back."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = max(256, soft // 4)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (low, hard))
        assert raise_soft_limit(low - 10) == low - 10
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (low, hard)
        assert raise_soft_limit(low + 10) == low + 10
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (low + 10, hard)
        if hard != resource.RLIM_INFINITY:
            assert raise_soft_limit(hard + 1) == hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_hard_limit_below_what_is_needed_is_a_warning_with_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 1024))
    monkeypatch.setattr(resource, "setrlimit", lambda _what, _limits: None)

    clients, upstream, warning = make_room(DEFAULT_BOUNDS)

    assert clients + upstream < 1024
    assert "need 15248 file descriptors, and this process may have 1024" in warning
    assert f"{clients} clients and {upstream} connections to the upstream" in warning
    assert make_room(parse_limits(["connections=100", "upstream-connections=100"])) == (100, 100, "")
