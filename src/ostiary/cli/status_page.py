"""How `ostiary status` looks: the same lines for the live page and for one print."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from rich.text import Text

from ostiary.calls.stop import Stop
from ostiary.cli.following import Following
from ostiary.cli.live import Action
from ostiary.cli.near_limits import NearLimit
from ostiary.cli.overview import HOUR, MINUTE, SECOND, Totals, most_common, spark
from ostiary.cli.printable import clock_time, columns_of, fitted, padded, printable

MIN_WIDTH: Final = 40
UNCUT: Final = 1_000
"""The width of what is not a terminal: nothing is cut off, and columns are as wide as they need."""
WIDE: Final = 110
"""From this width on there is a second column."""
TITLE: Final = "most refused"
COUNT: Final = 12
"""Columns for a number and what parts it from the next column."""
TOP: Final = 5
ROOMY: Final = 20
"""From this height on there are blank lines."""
BARS: Final = 10
REVISION: Final = 19
TIME: Final = 8
LATENCIES: Final = ((1_000, 1, 0, "µs"), (100_000, 1_000, 1, "ms"), (10_000_000, 1_000, 0, "ms"))
"""Below how many microseconds a latency is told in which unit, with how many digits."""
EVERY_S: Final = 1.0


@dataclass
class Facts:
    """What one drawing is made of.

    `waiting` is None where nobody counts approvals. `notices` are what concerns every gate and
    stands above all else, such as the `stops` in force.
    """

    following: Following
    waiting: int | None
    near: list[NearLimit]
    notices: tuple[str, ...] = ()
    stops: tuple[Stop, ...] = ()


class StatusPage:
    """`ostiary status --watch` as a live page. `read` looks at the state directory."""

    def __init__(self, read: Callable[[], Facts]) -> None:
        self.every = EVERY_S
        self._read = read
        self._facts: Facts | None = None
        self._held = False

    def refresh(self) -> None:
        if self._facts is None or not self._held:
            self._facts = self._read()

    def draw(self, width: int, height: int) -> Text:
        if self._facts is None or width < MIN_WIDTH:
            return Text(fitted(f"wider than {MIN_WIDTH} columns, please", width))
        return _joined(lines(self._facts, width, height, held=self._held), height)

    def actions(self) -> Mapping[str, Action]:
        return {"space": self._hold}

    def _hold(self, key: str) -> None:
        self._held = not self._held


def lines(facts: Facts, width: int, height: int | None = None, *, held: bool = False) -> list[Text]:
    """The whole page: at most `height` lines when it is given, else as many as there are.

    Raises nothing for any content; every word from a record is made printable.
    """
    follow = facts.following
    top = [_head(facts, width)] if height is not None else []
    top += [Text(fitted(f"! {notice}", width), style="bold red") for notice in facts.notices]
    top += _gates(follow.gates, width, most=None if height is None else max(2, height // 4))
    top += ["", *_numbers(facts, width)] if height is None or height >= ROOMY else _numbers(facts, width)
    top += _near(facts.near, width)
    rows = None if height is None else max(0, height - len(top) - 2)
    below = _refusals(facts, width, rows)
    found = [line if isinstance(line, Text) else Text(line) for line in [*top, *below]]
    for line in found if width < UNCUT else ():
        line.truncate(width)
    if height is None:
        return found
    found = found[: height - 1]
    found += [Text()] * (height - 1 - len(found))
    return [*found, _foot(follow, width, held=held)]


def _widest(names: Iterable[str]) -> int:
    """How wide a column is that cuts nothing."""
    return max((columns_of(name) for name in names), default=0)


def _joined(parts: list[Text], height: int) -> Text:
    page = Text("\n", no_wrap=True, overflow="crop", end="").join(parts[:height])
    page.no_wrap, page.overflow = True, "crop"
    return page


def _head(facts: Facts, width: int) -> Text:
    time = f"{clock_time(facts.following.now)} UTC"
    path = padded(f"ostiary status  {facts.following.path}", width - len(time) - 1)
    return Text.assemble((path, "bold"), " ", (time, "dim"))


def _foot(follow: Following, width: int, *, held: bool) -> Text:
    keys = "q leave   space " + ("go on" if held else "hold")
    state = "held" if held else follow.problem
    left = width - len(keys) - 1
    return Text.assemble((padded(f"! {state}" if state else "", left), "yellow"), " ", (keys, "dim"))


def _gates(gates: list[dict[str, str]], width: int, most: int | None) -> Iterator[Text]:
    if not gates:
        yield Text("no gate is running", style="yellow")
        return
    every = [line for gate in gates for line in _gate(gate, width)]
    if most is not None and len(every) > most:
        hidden = sum(1 for line in every[most - 1 :] if line.plain.startswith("gate"))
        yield from every[: most - 1]
        yield Text(fitted(f"… and more lines about gates, {hidden} more gates", width), style="dim")
        return
    yield from every


def _gate(gate: Mapping[str, str], width: int) -> Iterator[Text]:
    where = f"listens on {gate['listen']}" if gate.get("listen") else "on stdio"
    server = gate.get("server", "?")
    if gate.get("target"):
        server = f"{gate['target']} as {server}"
    head = f"gate {gate.get('id', '?')} (pid {gate.get('pid', '?')}) {where}, in front of {server}"
    yield Text(fitted(head, width))
    if gate.get("policy"):
        revision = gate.get("revision", "")[:REVISION]
        policy = gate["policy"] if not revision else f"{gate['policy']}  {revision}"
        yield Text("  " + fitted(policy, width - 2), style="dim")
    if gate.get("unsafe"):
        yield Text(fitted(f"  ! {gate['unsafe']}", width), style="bold red")


def _numbers(facts: Facts, width: int) -> Iterator[Text]:
    follow = facts.following
    minute, hour = (follow.overview.totals(follow.now, length) for length in (MINUTE, HOUR))
    known = ["allow", "deny", *sorted(set(hour.decisions) - {"allow", "deny"})][:4]
    names = "".join(f"{padded(_past(name), 9):>10}" for name in known)
    yield Text(f"{'':<12}{names}{'failed':>8}{'p50':>10}{'p95':>10}", style="dim")
    for title, totals in (("last minute", minute), ("last hour", hour)):
        yield Text(f"{title:<12}" + _row(totals, known))
    bars = min(6, (width - 20) // BARS) * BARS
    if bars and hour.decisions:
        for name, style in (("allow", "green"), ("deny", "red")):
            line = spark(follow.overview.series(follow.now, name, bars))
            yield Text.assemble(f"{_past(name):<12}", (line, style), ("┤ now", "dim"))
    if follow.overview.begins is not None:
        since = clock_time(follow.overview.begins)
        yield Text(fitted(f"  counted since {since} UTC; there are older rows", width), style="dim")
    if facts.waiting is not None:
        waits = f"{facts.waiting} {'approval waits' if facts.waiting == 1 else 'approvals wait'} for a person"
        yield Text(waits, style="bold yellow" if facts.waiting else "dim")


def _row(totals: Totals, known: list[str]) -> str:
    counts = "".join(f"{totals.decisions[name]:>10}" for name in known)
    times = "".join(f"{_latency(totals.quantile(share)):>10}" for share in (0.5, 0.95))
    return f"{counts}{totals.failed:>8}{times}"


def _past(decision: str) -> str:
    return {"allow": "allowed", "deny": "denied", "hold": "held"}.get(decision, decision)


def _latency(microseconds: int | None) -> str:
    if microseconds is None:
        return "-"
    for below, unit, digits, name in LATENCIES:
        if microseconds < below:
            return f"{microseconds / unit:.{digits}f} {name}"
    return f"{microseconds / SECOND:.0f} s"


def _near(near: list[NearLimit], width: int) -> Iterator[Text]:
    for one in near:
        text = f"  {one.used} of {one.most}  {one.rule}  {one.scope}"
        yield Text(fitted(f"near its limit:{text}", width), style="yellow")


def _refusals(facts: Facts, width: int, rows: int | None) -> list[Text | str]:
    hour = facts.following.overview.totals(facts.following.now, HOUR)
    if not hour.decisions.total() - hour.decisions["allow"]:
        return ["", Text("nothing was refused in the last hour", style="dim")]
    top = TOP if rows is None else max(1, min(TOP, (rows - 4) // 2))
    half = max(len(TITLE), _widest(hour.tools)) + COUNT if width >= UNCUT else width // 2 - 1
    left = _ranking(TITLE, hour.tools, top, half)
    right = _ranking("by rule", hour.rules, top, width - half - 1)
    found: list[Text | str] = [""]
    found += [Text.assemble(one, " ", two) for one, two in _pairs(left, right, half)]
    room = None if rows is None else max(0, rows - len(found) - 2)
    return [*found, "", *_latest(facts, width, room)]


def _ranking(title: str, counts: Mapping[str, int], most: int, width: int) -> list[Text]:
    found = [Text(padded(title, width), style="dim")]
    number = len(str(max(counts.values(), default=0)))
    for name, count in most_common(counts, most):
        found.append(Text(padded(f"{count:>{number}}  {printable(name)}", width)))
    return found


def _pairs(left: list[Text], right: list[Text], width: int) -> Iterator[tuple[Text, Text]]:
    for number in range(max(len(left), len(right))):
        yield (
            left[number] if number < len(left) else Text(" " * width),
            right[number] if number < len(right) else Text(),
        )


def _latest(facts: Facts, width: int, rows: int | None) -> Iterator[Text]:
    yield Text("latest denials, newest first", style="dim")
    grant = 16 if width >= WIDE else 10
    tool = (width - TIME - grant - 6) // 2
    rule = width - TIME - grant - tool - 6
    newest = list(facts.following.overview.denials)[::-1][: TOP if rows is None else rows]
    if width >= UNCUT:
        tool, rule = _widest(one.tool for one in newest), _widest(one.rule for one in newest)
    for one in newest:
        name = one.tool if one.count == 1 else f"{one.tool or 'requests'} x {one.count}"
        cells = (clock_time(one.ts), padded(name, tool), padded(one.rule, rule), padded(one.grant, grant))
        yield Text("  ".join(cells).rstrip())
