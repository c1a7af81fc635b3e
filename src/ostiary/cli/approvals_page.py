"""How `ostiary approvals watch` looks and what its keys do: a list, one request, and an answer to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from rich.text import Text

from ostiary.approvals import lifecycle
from ostiary.approvals.request import MAX_NOTE, Request, Standing, Verdict
from ostiary.cli.asked import duration, show_lines
from ostiary.cli.keys import ANY
from ostiary.cli.live import Action
from ostiary.cli.printable import columns_of, fitted, padded, printable
from ostiary.errors import OstiaryError

EVERY_S: Final = 0.5
MIN_WIDTH: Final = 40
STATE: Final = 9
LEFT: Final = 10
MARK: Final = 2
SECOND: Final = 1_000_000
_FAR: Final = 1_000_000
LISTED: Final = 6
"""Lines of the list that stay in sight above an opened request."""

LEAST: Final = 3
"""Lines of a request that must fit on the page: of fewer, nobody can read it."""

SAID: Final = 3
"""Lines that a message may take."""

KEYS: Final = "up/down choose   a approve   d deny   page up/down scroll   q leave"
UNSEEN: Final = "page down or end: `a` approves once the end was shown   d deny   q leave"
TYPING: Final = "enter sends it   escape goes back"


class Desk(Protocol):
    """What the page reads and does."""

    def open_requests(self) -> Sequence[Standing]:
        """What is open, the newest first."""
        ...

    def look_up(self, request_id: str) -> tuple[Standing, bytes | None] | None:
        """A request, and the canonical call that it is about while it is open."""
        ...

    def answer(self, request: Request, verdict: Verdict, note: str) -> str:
        """Answer exactly this request; what came of it, in words."""
        ...


class ApprovalsPage:
    """The page. Answers are to what was shown, whatever the store says by then.

    What is chosen stays chosen while others come and go. If it goes while somebody may be about
    to answer it, nothing is chosen until a key says what: a key never meets another request than
    the one it was pressed for. Approving takes that the end of the request has been on the
    screen, so that nobody approves a call whose length they do not know.
    """

    def __init__(self, desk: Desk, now: Callable[[], int]) -> None:
        self.every = EVERY_S
        self._desk = desk
        self._now = now
        self._found: Sequence[Standing] = ()
        self._chosen: Standing | None = None
        self._content: bytes | None = None
        self._said = ""
        self._trouble = ""
        self._scroll = 0
        self._room = LEAST
        self._seen = False
        self._free = True  # to choose one without a key: nothing was there, or it was answered here
        self._answered = ""
        self._typing: Verdict | None = None
        self._prompted = False
        self._note = ""
        self._folded: tuple[object, list[str]] = (None, [])

    def refresh(self) -> None:
        try:
            self._found = self._desk.open_requests()
            if self._typing is None:
                self._keep_up()
            self._trouble = ""
        except OstiaryError as error:
            self._trouble = error.message

    def draw(self, width: int, height: int) -> Text:
        if width < MIN_WIDTH:
            return Text(fitted(f"wider than {MIN_WIDTH} columns, please", width))
        lines = [*self._list(width), Text()]
        said = folded(self._trouble or self._said, width)[:SAID]
        self._room = height - len(lines) - len(said) - 1
        if self._room < LEAST:
            return Text(fitted(f"higher than {height + LEAST - self._room - 1} lines, please", width))
        lines += self._prompt(width) if self._typing else self._request(width)
        lines += [Text()] * (height - len(lines) - len(said) - 1)
        lines += [Text(line, "bold") for line in said]
        lines.append(Text(fitted(self._help(), width), "dim"))
        return Text("\n").join(lines)

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
            "page up": lambda _key: self._turn(1 - self._room),
            "page down": lambda _key: self._turn(self._room - 1),
            "home": lambda _key: self._turn(-_FAR),
            "end": lambda _key: self._turn(_FAR),
            "a": lambda _key: self._ask("approve"),
            "d": lambda _key: self._ask("deny"),
        }

    # Drawing.

    def _list(self, width: int) -> list[Text]:
        now, waiting = self._now(), sum(1 for one in self._found if one.state == "pending")
        title = f"{waiting} waiting for approval" if waiting else "nothing waits for approval"
        lines = [Text(fitted(title, width), "bold")]
        at = max(0, self._place())
        first = max(0, min(at - LISTED // 2, len(self._found) - LISTED))
        for place, standing in enumerate(self._found[first : first + LISTED], first):
            request, chosen = standing.request, place == self._place()
            left = duration(request.expires - now)
            name = padded(f"{request.tool}  ({request.grant})", width - MARK - STATE - LEFT)
            line = f"{'> ' if chosen else '  '}{name}{standing.state:<{STATE}}{left:>{LEFT}}"
            lines.append(Text(fitted(line, width), "reverse" if chosen else ""))
        more = len(self._found) - LISTED
        if more > 0:
            lines.append(Text(fitted(f"  and {more} more", width), "dim"))
        return lines

    def _prompt(self, width: int) -> list[Text]:
        verb = "Approve" if self._typing == "approve" else "Deny"
        tool = "" if self._chosen is None else self._chosen.request.tool
        asked = fitted(f"{verb} {self._id()}, {tool}? A note, if you like:", width)
        self._prompted = True
        return [Text(asked, "bold"), Text(_end_of(self._note, width - 1) + "_")]

    def _request(self, width: int) -> list[Text]:
        """The part of the request that is scrolled to. Having been here is what makes it seen."""
        if self._chosen is None:
            return [Text(fitted("up or down chooses one", width), "dim")] if self._found else []
        lines = self._lines(self._chosen, width)
        self._scroll = max(0, min(self._scroll, len(lines) - self._room))
        shown = [Text(line) for line in lines[self._scroll : self._scroll + self._room]]
        left = len(lines) - self._scroll - self._room
        if left > 0:
            shown[-1] = Text(fitted(f"… {left + 1} lines more", width), "dim")
        elif self._content is not None:
            self._seen = True
        return shown

    def _lines(self, standing: Standing, width: int) -> list[str]:
        """All lines of a request; a long call is not folded anew for every key."""
        about = (standing, width, self._now() // SECOND)
        if self._folded[0] != about:
            shown = show_lines(standing, self._content, self._now())
            self._folded = (about, [part for line in shown for part in folded(line, width)])
        return self._folded[1]

    def _help(self) -> str:
        if self._typing is not None:
            return TYPING
        return KEYS if self._seen or self._chosen is None else UNSEEN

    # What is chosen.

    def _id(self) -> str:
        return "" if self._chosen is None else self._chosen.request.id

    def _place(self) -> int:
        """Where what is chosen stands in the list; -1 when nothing is."""
        ids = [standing.request.id for standing in self._found]
        return ids.index(self._id()) if self._id() in ids else -1

    def _keep_up(self) -> None:
        """See what became of the request that is chosen."""
        before, place = self._chosen, self._place()
        if not self._found:
            self._free = True
        if before is None:
            if self._free and self._found:
                self._choose_waiting()
        elif place < 0:
            self._gone(before)
        elif self._found[place].request != before.request:
            self._choose(None)
            self._said = (
                f"{before.request.id} is another request than before: somebody changed it in the store"
            )
        elif self._content is None:
            self._choose(self._found[place])
        else:
            self._chosen = self._found[place]

    def _gone(self, before: Standing) -> None:
        """What was chosen is no longer open: said, unless whoever sits here has answered it."""
        self._choose(None)
        watched = before.state == "pending" and before.request.id != self._answered
        self._free = not (watched and self._found)
        if watched:
            found = self._desk.look_up(before.request.id)
            state = "gone" if found is None else lifecycle.at(found[0], self._now()).state
            self._said = f"{before.request.id} is {state}"
        elif self._found:
            self._choose_waiting()

    def _choose_waiting(self) -> None:
        waiting = [standing for standing in self._found if standing.state == "pending"]
        self._choose([*waiting, *self._found][0])

    def _choose(self, standing: Standing | None) -> None:
        self._chosen, self._scroll, self._seen, self._content = standing, 0, False, None
        self._folded = (None, [])
        if standing is None:
            return
        found = self._desk.look_up(standing.request.id)
        if found is not None:  # the call and the request that it belongs to, from one look
            self._chosen, self._content = found

    # Keys.

    def _move(self, step: int) -> None:
        if self._found:
            place = self._place() + step if self._chosen is not None else 0
            self._said = ""
            try:
                self._choose(self._found[max(0, min(place, len(self._found) - 1))])
            except OstiaryError as error:
                self._said = error.message

    def _turn(self, lines: int) -> None:
        self._scroll = max(0, self._scroll + lines)

    def _ask(self, verdict: Verdict) -> None:
        """Only what was shown, and still waits, can be answered."""
        chosen = self._chosen
        if chosen is None or self._content is None:
            self._said = "nothing is chosen"
        elif lifecycle.at(chosen, self._now()).state != "pending":
            self._said = f"{self._id()} is {lifecycle.at(chosen, self._now()).state} already"
        elif verdict == "approve" and not self._seen:
            self._said = "its end was not shown yet: page down or end"
        else:
            self._typing, self._prompted, self._note, self._said = verdict, False, "", ""

    def _type(self, key: str) -> None:
        if len(key) == 1 and len(self._note) < MAX_NOTE and columns_of(key) > 0:
            self._note += key

    def _shorten(self, _key: str) -> None:
        self._note = self._note[:-1]

    def _back(self, _key: str) -> None:
        self._typing = None

    def _send(self, _key: str) -> None:
        """Answer what was shown. A line end that came before the question was seen is no answer."""
        if not self._prompted or self._typing is None or self._chosen is None:
            return
        verdict, self._typing, self._answered = self._typing, None, self._id()
        try:
            self._said = self._desk.answer(self._chosen.request, verdict, self._note)
        except OstiaryError as error:
            self._said = error.message


def folded(line: str, width: int) -> list[str]:
    """A line made printable, in pieces of at most `width` columns: nothing of a call is cut off."""
    safe = printable(line)
    if safe.isascii():
        return [safe[at : at + width] for at in range(0, len(safe), width)] or [""]
    pieces, left = [""], width
    for char in safe:
        left -= columns_of(char)
        if left < 0:
            pieces.append("")
            left = width - columns_of(char)
        pieces[-1] += char
    return pieces


def _end_of(text: str, width: int) -> str:
    """As much of the end of what somebody types as fits."""
    while columns_of(text) > width:
        text = text[1:]
    return printable(text)
