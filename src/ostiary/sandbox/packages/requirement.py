"""One requirement: a name, extras, versions and a marker, and nothing that says where from. Pure.

A requirement is the words of whoever wrote the code. It may say what is wanted, and nothing about
where it comes from or how it is put in place: no address, no path, no option, no repository.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from ostiary.sandbox.packages.fault import PackageFault

MAX_REQUIREMENTS = 64
MAX_LENGTH = 512
"""Characters of one requirement."""

_SHOWN = 80
_ADDRESS = re.compile(r"@|://|\bgit\+|\bhg\+|\bsvn\+|\bbzr\+")
_PATH = re.compile(r"[./~\\]|[A-Za-z]:[\\/]")
_HINT = "a requirement is a name, extras, versions and a marker: `pandas[parquet]>=2; python_version>'3.10'`"


def read_requirement(text: str) -> Requirement:
    """Read one requirement (PEP 508), with its name in the one normal spelling.

    Raises:
        PackageFault: also for a direct reference, a path, an option or a repository.
    """
    shown = f"requirement {text[:_SHOWN]!r}"
    if len(text) > MAX_LENGTH:
        raise PackageFault(f"{shown} is longer than {MAX_LENGTH} characters")
    if not text.isprintable():
        raise PackageFault(f"{shown} holds a control or invisible character")
    stripped = text.strip()
    before_marker = stripped.partition(";")[0]
    if stripped.startswith("-"):
        raise PackageFault(f"{shown} is an option, and options are not accepted", hint=_HINT)
    if _ADDRESS.search(before_marker):
        raise PackageFault(f"{shown} says where to fetch from, and only the index is used", hint=_HINT)
    if _PATH.match(stripped):
        raise PackageFault(f"{shown} is a path, and only the index is used", hint=_HINT)
    try:
        requirement = Requirement(stripped)
    except InvalidRequirement as error:
        reason = str(error).partition("\n")[0]
        raise PackageFault(f"{shown} cannot be read: {reason}", hint=_HINT) from None
    except RecursionError:
        raise PackageFault(f"{shown} is nested too deeply", hint=_HINT) from None
    if requirement.url is not None:
        raise PackageFault(f"{shown} says where to fetch from, and only the index is used", hint=_HINT)
    requirement.name = str(canonicalize_name(requirement.name))
    return requirement


def merge(*lists: Iterable[str]) -> tuple[str, ...]:
    """Read every requirement of the lists, in the one spelling, sorted, each once.

    Two of one name that differ both stay: the resolver must satisfy both, or says why it cannot.

    Raises:
        PackageFault: for one that cannot be read, or when there are more than `MAX_REQUIREMENTS`.
    """
    texts = [text for one in lists for text in one]
    if len(texts) > MAX_REQUIREMENTS:
        raise PackageFault(f"{len(texts)} requirements are too many: a run may have {MAX_REQUIREMENTS}")
    return tuple(sorted({str(read_requirement(text)) for text in texts}))
