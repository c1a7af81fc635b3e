"""Reads and writes the settings file that holds the hook, and what is kept of the change."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, get_args

from ostiary.cli.written import replace_file
from ostiary.errors import CallerFault
from ostiary.scan import hook_settings
from ostiary.scan.clients import jsonc
from ostiary.scan.clients.config import BOM, placed
from ostiary.scan.clients.fetch import fetch
from ostiary.scan.clients.spans import ConfigFault
from ostiary.scan.hook_settings import Edited, Made, Receipt
from ostiary.store.hook_receipts import Kept, read_receipts, write_receipts
from ostiary.store.prechecks import turn
from ostiary.store.state import StateDir

_MADE: Final = {str(each): each for each in get_args(Made)}


class Settings:
    """One settings file of Claude Code. Two commands at once take turns."""

    def __init__(self, path: Path, state: StateDir) -> None:
        self.path = path
        self._state = state
        self.switched_off = False

    def install(self, command: str) -> bool:
        """Put the hook in; False where it was. Raises CallerFault, and then nothing was written."""
        with turn(self._state):
            receipts = read_receipts(self._state)
            raw, text = self._read()
            edited = self._edit(text, lambda: hook_settings.install(text, command))
            self.switched_off = _switched_off(edited.text or "")
            if not edited.changed:
                return False
            if edited.receipt.made:
                kept = Kept(edited.receipt.made, edited.receipt.gap)
                write_receipts(self._state, {**receipts, str(self.path): kept})
            self._write(raw, edited.text or "")
            return True

    def remove(self) -> bool:
        """Take the hook out; False where there is none. Raises CallerFault, and then nothing was written."""
        with turn(self._state):
            receipts = read_receipts(self._state)
            raw, text = self._read()
            kept = receipts.get(str(self.path), Kept(""))
            receipt = Receipt(_MADE.get(kept.made, ""), kept.gap)
            edited = self._edit(text, lambda: hook_settings.remove(text, receipt))
            if not edited.changed:
                return False
            if edited.text is None:
                self._delete()
            else:
                self._write(raw, edited.text)
            write_receipts(
                self._state, {name: one for name, one in receipts.items() if name != str(self.path)}
            )
            return True

    def _read(self) -> tuple[bytes, str | None]:
        found = fetch(self.path)
        if found is None:
            return b"", None
        try:
            return found.raw, found.raw.removeprefix(BOM).decode()
        except UnicodeDecodeError as error:
            raise CallerFault(f"`{self.path}` is not UTF-8 text at byte {error.start}") from None

    def _edit(self, text: str | None, change: Callable[[], Edited]) -> Edited:
        try:
            return change()
        except ConfigFault as fault:
            hint = fault.hint or "nothing was changed"
            raise CallerFault(placed(self.path, text or "", fault), hint=hint) from None

    def _write(self, raw: bytes, text: str) -> None:
        """The new text, with the byte order mark that the old one had."""
        try:
            content = (BOM if raw.startswith(BOM) else b"") + text.encode()
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except UnicodeEncodeError:
            raise CallerFault("the path of this program is no text that a settings file can hold") from None
        except OSError as error:
            raise CallerFault(f"cannot write `{self.path}`: {(error.strerror or 'failed').lower()}") from None
        replace_file(self.path, content)

    def _delete(self) -> None:
        try:
            self.path.unlink()
        except OSError as error:
            raise CallerFault(
                f"cannot remove `{self.path}`: {(error.strerror or 'failed').lower()}"
            ) from None


def _switched_off(text: str) -> bool:
    node = jsonc.read(text).at("disableAllHooks")
    return node is not None and jsonc.plain(node, text) is True


def program(environ: Mapping[str, str]) -> tuple[str, ...]:
    """This program by its absolute path, so that neither a search path nor a folder can replace it.

    Raises CallerFault where it has none.
    """
    packed = environ.get("PEX", "")
    if packed and Path(packed).is_absolute() and Path(packed).is_file():
        return (packed,)
    if not sys.executable or not Path(sys.executable).is_absolute():
        raise CallerFault("the Python that runs this program has no path that could be written down")
    # -E and -P: neither variables nor the current folder decide which modules are imported.
    return (sys.executable, "-EP", "-m", "ostiary")
