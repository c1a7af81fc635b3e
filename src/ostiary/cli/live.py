"""The plumbing of a live page: raw keys, one loop, and a terminal that is left as it was found.

A page says how often it is read anew, draws itself into a given size and maps keys to actions.
Everything runs in one thread, so an action and a drawing never meet half-way.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, NoReturn, Protocol, Self

from rich.console import Console, ConsoleDimensions, RenderableType
from rich.live import Live

from ostiary.cli.keys import ANY, keys_of, rest_of

DEFAULT_SIZE: Final = (80, 24)
READ_BYTES: Final = 1024
ESCAPE_WAIT_S: Final = 0.05
"""How long the rest of an escape sequence may take before its first byte counts as the key."""

Action = Callable[[str], None]
"""What a key does; it is given the key's name. Raises Leave to end the page."""


class Leave(Exception):
    """Raised by an action: the page ends, and the terminal is restored."""


class Page(Protocol):
    """What is shown. `every` is the time between two readings, in seconds."""

    every: float

    def refresh(self) -> None:
        """Read what is shown anew. Called at the start, every `every` seconds and after each action."""
        ...

    def draw(self, width: int, height: int) -> RenderableType:
        """The page for a terminal of this size; what does not fit is cut off."""
        ...

    def actions(self) -> Mapping[str, Action]:
        """What keys do now, by their names in `keys`; `ANY` is what every other key does.

        `q` and Ctrl-C leave unless `q` has an action of its own. It is asked for at each key,
        so a page can take typed text for a while.
        """
        ...


def is_terminal(environment: Mapping[str, str]) -> bool:
    """Whether a live page can be shown: a keyboard, a screen, and a terminal that can place text."""
    if environment.get("TERM", "dumb") in {"", "dumb", "unknown"}:
        return False
    return sys.stdin.isatty() and sys.stdout.isatty()


def run(page: Page, environment: Mapping[str, str]) -> None:
    """Show `page` until somebody leaves it. Call it only where `is_terminal` says yes.

    The terminal is restored whatever happens: leaving, an exception, SIGTERM, SIGHUP, and for
    as long as the process is suspended.
    """
    keyboard = sys.stdin.fileno()
    colour = None if environment.get("NO_COLOR") else "auto"
    console = Console(file=sys.stdout, force_terminal=True, color_system=colour, highlight=False, emoji=False)
    with _signals() as wake, _Screen(console, keyboard) as screen:
        try:
            page.refresh()
            _loop(page, screen, keyboard, wake)
        except Leave:
            return


class _Screen:
    """The alternate screen and the raw keyboard, entered and left together."""

    def __init__(self, console: Console, keyboard: int) -> None:
        self._console = console
        self._keyboard = keyboard
        self._before: list[Any] = termios.tcgetattr(keyboard)
        self._live: Live | None = None

    def __enter__(self) -> Self:
        self.enter()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def enter(self) -> None:
        """Take the terminal: keys come one by one and are not echoed; Ctrl-C stays a signal."""
        tty.setcbreak(self._keyboard, termios.TCSAFLUSH)
        self._resize()
        live = Live(
            console=self._console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live = live
        live.start()

    def leave(self) -> None:
        """Give the terminal back as it was; keys that nobody read are dropped."""
        try:
            if self._live is not None:
                self._live.stop()
                self._live = None
        finally:
            termios.tcsetattr(self._keyboard, termios.TCSAFLUSH, self._before)

    def show(self, page: Page) -> None:
        """Draw the page for the size that the terminal has now."""
        width, height = self._resize()
        if self._live is not None:
            self._live.update(page.draw(width, height), refresh=True)

    def _resize(self) -> tuple[int, int]:
        """Asked of the terminal itself: COLUMNS and LINES do not follow it."""
        try:
            size = os.get_terminal_size(sys.stdout.fileno())
        except OSError:
            size = os.terminal_size(DEFAULT_SIZE)
        width, height = size.columns or DEFAULT_SIZE[0], size.lines or DEFAULT_SIZE[1]
        self._console.size = ConsoleDimensions(width, height)
        return width, height


def _loop(page: Page, screen: _Screen, keyboard: int, wake: int) -> NoReturn:
    due = time.monotonic() + page.every
    screen.show(page)
    while True:
        ready, _, _ = select.select([keyboard, wake], [], [], max(0.0, due - time.monotonic()))
        told = os.read(wake, READ_BYTES) if wake in ready else b""
        if signal.SIGINT in told:
            raise Leave
        if signal.SIGTSTP in told:
            _suspend(screen)
        pressed = _read_keys(keyboard) if keyboard in ready else []
        for key in pressed:
            _press(page, key)
        if pressed or time.monotonic() >= due:
            page.refresh()
            due = time.monotonic() + page.every
        screen.show(page)


def _press(page: Page, key: str) -> None:
    actions = page.actions()
    action = actions.get(key) or actions.get(ANY)
    if action is not None:
        action(key)
    elif key == "q":
        raise Leave


def _read_keys(keyboard: int) -> list[str]:
    """Every key that was pressed. Raises Leave when the terminal is gone."""
    try:
        data = os.read(keyboard, READ_BYTES)
    except OSError as error:
        raise Leave from error
    if not data:
        raise Leave
    while rest_of(data) and len(data) < READ_BYTES and select.select([keyboard], [], [], ESCAPE_WAIT_S)[0]:
        more = os.read(keyboard, READ_BYTES)
        if not more:
            break
        data += more
    return keys_of(data)


def _suspend(screen: _Screen) -> None:
    """Stop as Ctrl-Z asks, with the terminal given back meanwhile."""
    screen.leave()
    os.kill(os.getpid(), signal.SIGSTOP)
    screen.enter()


@contextmanager
def _signals() -> Generator[int, None, None]:
    """Signals wake the loop through a pipe whose reading end this yields; those that end it, end it."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    before_wake = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    # As an exception, Ctrl-C would be lost where it comes while an object is let go of.
    waking = (signal.SIGINT, signal.SIGWINCH, signal.SIGTSTP, signal.SIGCONT)
    handlers: dict[int, Any] = dict.fromkeys(waking, _noted)
    handlers |= {signal.SIGTERM: _ended, signal.SIGHUP: _ended}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield reading
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before_wake)
        os.close(reading)
        os.close(writing)


def _noted(number: int, frame: FrameType | None) -> None:
    """Do nothing here: the byte in the pipe is what counts."""


def _ended(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
