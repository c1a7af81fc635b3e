"""The shipped records, looked up one at a time. Pure: they are part of the package."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Final

import msgspec

from ostiary.errors import CallerFault, GatewayFault
from ostiary.registry.change import named
from ostiary.registry.records import Record, entries, read_record
from ostiary.registry.subject import Subject

MAX_BYTES: Final = 32 * 1024 * 1024
FOLDER: Final = files("ostiary.registry") / "records" / "data"


def known() -> tuple[str, ...]:
    """Every listed package as `npm:NAME` or `pypi:NAME`, also those that no record could be made of."""
    try:
        return tuple(f"{one.registry}:{one.name}" for one in entries())
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        raise _fault("the list of known servers", error) from None


def recorded(subject: Subject) -> Record | None:
    """The record of a package; None where there is none. Raises GatewayFault for one that is damaged."""
    if subject.kind not in ("npm", "pypi") or f"{subject.kind}:{subject.name}" not in known():
        return None
    slug = f"{subject.kind}__{subject.name.removeprefix('@').replace('/', '__')}"
    file = FOLDER / f"{slug}.json"
    what = f"the record of {named(subject.name)}"
    try:
        if not file.is_file():
            return None
        with file.open("rb") as opened:
            record = read_record(opened.read(MAX_BYTES))
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _fault(what, error) from None
    if (record.package.registry, record.package.name) != (subject.kind, subject.name):
        raise _fault(what, ValueError("another package"))
    return record


def resolved(subject: Subject) -> Subject:
    """The package that a bare name stands for; the same subject where no known package has that name.

    Raises CallerFault where it stands for two.
    """
    if subject.kind != "name":
        return subject
    python = re.sub(r"[-_.]+", "-", subject.name).lower()
    found = [each for each in (f"npm:{subject.name}", f"pypi:{python}") if each in known()]
    if not found:
        found = _titled(subject.name)
    if len(found) > 1:
        shown = " and ".join(f"`{each}`" for each in found[:2])
        raise CallerFault(
            f"{named(subject.name)} stands for {shown}", hint="give one of them, with the registry before it"
        )
    if not found:
        return subject
    kind, _, name = found[0].partition(":")
    return msgspec.structs.replace(subject, kind="npm" if kind == "npm" else "pypi", name=name)


def _titled(title: str) -> list[str]:
    """Packages of servers that pages call by this title."""
    return [f"{one.registry}:{one.name}" for one in entries() if one.title.lower() == title.lower()]


def _fault(what: str, error: Exception) -> GatewayFault:
    reason = "it cannot be read" if isinstance(error, OSError) else "it is not what was shipped"
    return GatewayFault(f"{what} cannot be relied on: {reason}", hint="install Ostiary anew")
