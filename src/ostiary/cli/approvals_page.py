"""How `ostiary approvals watch` looks and what its keys do: a list, one request, and an answer to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from rich.text import Text

from ostiary.approvals import lifecycle
from ostiary.approvals.request import MAX_NOTE, Standing, Verdict
from ostiary.cli.asked import duration, show_lines
from ostiary.cli.keys import ANY
from ostiary.cli.live import Action
from ostiary.cli.printable import columns_of, fitted, padded
from ostiary.errors import OstiaryError

EVERY_S: Final = 0.5
MIN_WIDTH: Final = 40
STATE: Final = 9
LEFT: Final = 10
MARK: Final = 2
LISTED: Final = 6
"""Lines of the list that stay in sight above an opened request."""

KEYS: Final = "up/down choose   a approve   d deny   page up/down scroll   q leave"
TYPING: Final = "enter sends it   escape goes back"


class Desk(Protocol):
    """What the page reads and does."""

    def open_requests(self) -> Sequence[Standing]:
        """What is open, the newest first."""
        ...

    def call_of(self, request_id: str) -> bytes | None:
        """The canonical call of a request; None when it is over."""
        ...

    def answer(self, request_id: str, verdict: Verdict, note: str) -> str:
        """Answer a request; what came of it, in words."""
        ...


class ApprovalsPage:
    """The page. What is chosen stays chosen while others come and go; answers are to what was shown."""

    def __init__(self, desk: Desk, now: Callable[[], int]) -> None:
        self.every = EVERY_S
        self._desk = desk
        self._now = now
        self._found: Sequence[Standing] = ()
        self._chosen = ""
        self._content: bytes | None = None
        self._said = ""
        self._scroll = 0
        self._typing: Verdict | None = None
        self._note = ""

    def refresh(self) -> None:
        try:
            self._found = self._desk.open_requests()
            ids = [standing.request.id for standing in self._found]
            if self._chosen not in ids and self._typing is None:
                self._choose(next((one.request.id for one in self._found if one.state == "pending"), ""))
            elif self._content is None and self._chosen:
                self._content = self._desk.call_of(self._chosen)
        except OstiaryError as error:
            self._said = error.message

    def draw(self, width: int, height: int) -> Text:
        if width < MIN_WIDTH:
            return Text(fitted(f"wider than {MIN_WIDTH} columns, please", width))
        lines = [*self._list(width), Text()]
        room = height - len(lines) - 3
        lines += self._request(width, max(0, room))
        lines += [Text()] * max(0, height - len(lines) - 2)
        lines.append(Text(fitted(self._said, width), "bold"))
        lines.append(Text(fitted(TYPING if self._typing else KEYS, width), "dim"))
        return Text("\n").join(lines[:height])

    def actions(self) -> Mapping[str, Action]:
        if self._typing is not None:
            return {
                "enter": self._send,
                "escape": self._back,
                "backspace": self._shorten,
                "space": lambda _key: self._type(" "),
                ANY: self._type,
            }
        return {
            "up": lambda _key: self._move(-1),
            "down": lambda _key: self._move(1),
            "page up": lambda _key: self._turn(-10),
            "page down": lambda _key: self._turn(10),
            "a": lambda _key: self._ask("approve"),
            "d": lambda _key: self._ask("deny"),
        }

    # Drawing.

    def _list(self, width: int) -> list[Text]:
        now, waiting = self._now(), sum(1 for one in self._found if one.state == "pending")
        title = f"{waiting} waiting for approval" if waiting else "nothing waits for approval"
        lines = [Text(fitted(title, width), "bold")]
        at = next((i for i, one in enumerate(self._found) if one.request.id == self._chosen), 0)
        first = max(0, min(at - LISTED // 2, len(self._found) - LISTED))
        for standing in self._found[first : first + LISTED]:
            request = standing.request
            mark = "> " if request.id == self._chosen else "  "
            left = duration(request.expires - now)
            name = padded(f"{request.tool}  ({request.grant})", width - MARK - STATE - LEFT)
            style = "reverse" if request.id == self._chosen else ""
            lines.append(Text(f"{mark}{name}{standing.state:<{STATE}}{left:>{LEFT}}", style))
        more = len(self._found) - LISTED
        if more > 0:
            lines.append(Text(fitted(f"  and {more} more", width), "dim"))
        return lines

    def _request(self, width: int, room: int) -> list[Text]:
        if self._typing is not None:
            verb = "Approve" if self._typing == "approve" else "Deny"
            shown = fitted(f"{verb} {self._chosen}? A note, if you like: ", width)
            tail = self._note[-(width - 2) :]
            return [Text(shown, "bold"), Text(fitted(tail, width - 1) + "_")]
        standing = next((one for one in self._found if one.request.id == self._chosen), None)
        if standing is None:
            return []
        lines = [
            part for line in show_lines(standing, self._content, self._now()) for part in _folded(line, width)
        ]
        self._scroll = max(0, min(self._scroll, len(lines) - room))
        shown = [Text(line) for line in lines[self._scroll : self._scroll + room]]
        if shown and self._scroll + room < len(lines):
            shown[-1] = Text(fitted(f"… {len(lines) - self._scroll - room + 1} lines more", width), "dim")
        return shown

    # Keys.

    def _choose(self, request_id: str) -> None:
        self._chosen, self._scroll, self._content = request_id, 0, None
        if request_id:
            self._content = self._desk.call_of(request_id)

    def _move(self, step: int) -> None:
        ids = [standing.request.id for standing in self._found]
        if ids:
            at = ids.index(self._chosen) if self._chosen in ids else 0
            self._choose(ids[max(0, min(at + step, len(ids) - 1))])

    def _turn(self, lines: int) -> None:
        self._scroll = max(0, self._scroll + lines)

    def _ask(self, verdict: Verdict) -> None:
        """Only what is shown, and still waits, can be answered."""
        standing = next((one for one in self._found if one.request.id == self._chosen), None)
        if standing is None or self._content is None:
            self._said = "nothing is chosen"
        elif lifecycle.at(standing, self._now()).state != "pending":
            self._said = f"{self._chosen} is {standing.state} already"
        else:
            self._typing, self._note, self._said = verdict, "", ""

    def _type(self, key: str) -> None:
        if len(key) == 1 and len(self._note) < MAX_NOTE and columns_of(key) > 0:
            self._note += key

    def _shorten(self, _key: str) -> None:
        self._note = self._note[:-1]

    def _back(self, _key: str) -> None:
        self._typing = None

    def _send(self, _key: str) -> None:
        verdict, self._typing = self._typing, None
        if verdict is not None:
            try:
                self._said = self._desk.answer(self._chosen, verdict, self._note)
            except OstiaryError as error:
                self._said = error.message


def _folded(line: str, width: int) -> list[str]:
    """A line in pieces of at most `width`: nothing of a call is cut off before somebody approves it."""
    pieces = [line[at : at + width] for at in range(0, len(line), width)]
    return pieces or [""]
