"""What is to be said of the servers that were asked: their tools classified, graded and counted. Pure."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from ostiary.registry.classification import (
    Category,
    Classification,
    Described,
    Finding,
    Grade,
    Sensitivity,
    Severity,
)
from ostiary.registry.classify import described, grade
from ostiary.registry.fingerprint import canonical
from ostiary.registry.judged import judged, was_judged
from ostiary.registry.poisoning import findings
from ostiary.registry.work import MOST, work_of
from ostiary.scan.concealed import concealed, masks_of
from ostiary.scan.scanned import Scanned

BYTES_PER_TOKEN: Final = 4
"""What a token of English text and JSON comes to, roughly; no two models cut a text alike."""
MAX_NAME: Final = 64
_FRONT: Final = 24
"""Characters of the begin of a name that is cut."""


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """One server. `name` is how it is told from the others of its scan.

    `tools` and `judged` belong together, in the server's own order. `grade` is None where the
    server could not be asked. `findings` are what works on its reader in the texts beside its tools, as in
    `instructions` or `prompts[0].description`: a model is given those as well.
    `tokens` is the sum of `tokens_of` its tools: what every
    conversation pays for having the server, as an estimate.
    """

    name: str
    scanned: Scanned
    tools: tuple[Described, ...] = ()
    judged: tuple[Classification, ...] = ()
    grade: Grade | None = None
    tokens: int = 0
    findings: tuple[Finding, ...] = ()

    @property
    def ambiguous(self) -> tuple[str, ...]:
        """The names that stand in the server's list twice, with two definitions."""
        return self.scanned.found.ambiguous if self.scanned.found else ()


def examine(scanned: Sequence[Scanned], most: int = MOST, root: str = "") -> tuple[Examined, ...]:
    """One for each server, in order. Files below the folder `root` are named from there on.

    The tools of all servers of one client are judged together, whichever of its files name them, because
    its agent sees them together: one server may take the name of another's tool, or give orders about it.
    Two projects' servers may never meet, and one of them that looks like another's is found all the same.
    Where the client is not known, those of one file belong together.
    A server with more to judge than `most` (see `work`), in its tools or beside them, counts as not scanned:
    whoever wants something overlooked would list much before it.
    """
    names = _names(scanned, root)
    tools = [_tools(one, name) for one, name in zip(scanned, names, strict=True)]
    together: dict[tuple[str, str], list[int]] = {}
    for index, one in enumerate(scanned):
        client = one.target.client
        together.setdefault((client, "" if client else one.target.source), []).append(index)
    known: dict[int, tuple[Classification, ...]] = {}
    for indices in together.values():
        results = iter(judged([tool for index in indices for tool in tools[index]], most))
        for index in indices:
            known[index] = tuple(next(results) for _ in tools[index])
    return tuple(
        _shown(_examined(name, one, tools[index], known[index], most))
        for index, (one, name) in enumerate(zip(scanned, names, strict=True))
    )


def _examined(
    name: str, one: Scanned, tools: tuple[Described, ...], known: tuple[Classification, ...], most: int
) -> Examined:
    beside = _beside(one)
    if not all(map(was_judged, known)) or work_of(beside, most) > most:
        return Examined(name=name, scanned=_too_much(one, len(tools), most))
    told = _told(beside)
    return Examined(
        name=name,
        scanned=one,
        tools=tools,
        judged=known,
        grade=_grade(name, known, told) if one.found is not None else None,
        tokens=sum(map(tokens_of, tools)),
        findings=told,
    )


def _too_much(one: Scanned, tools: int, most: int) -> Scanned:
    """What came of asking it, with the fault that it is more than is judged."""
    return msgspec.structs.replace(
        one,
        found=None,
        fault=f"what the server listed is too much to judge: {tools} tools and the texts beside them have "
        f"more than {most:,} characters and values, so that it is not known what they do",
        hint="no honest server on record has a tenth of that: take it for hostile until you know better",
    )


def _shown(one: Examined) -> Examined:
    """Without what its configuration gives the server as a secret, and the server may say back."""
    masks = masks_of(one.scanned.target)
    if not masks.forms:
        return one
    return msgspec.structs.replace(
        one,
        scanned=msgspec.structs.replace(one.scanned, found=concealed(one.scanned.found, masks)),
        tools=concealed(one.tools, masks),
        judged=concealed(one.judged, masks),
        findings=concealed(one.findings, masks),
    )


def _beside(one: Scanned) -> list[tuple[str, str]]:
    """What a server says beside its tools, each text with its place."""
    if one.found is None:
        return []
    lists = {"resources": one.found.resources, "templates": one.found.templates, "prompts": one.found.prompts}
    texts = [("instructions", one.found.instructions)]
    texts += [
        (f"{key}[{number}].{what}", text)
        for key, listed in lists.items()
        for number, each in enumerate(listed)
        for what, text in (("name", each.name), ("title", each.title), ("description", each.description))
    ]
    return [each for each in texts if each[1]]


def _told(texts: Sequence[tuple[str, str]]) -> tuple[Finding, ...]:
    """What works on its reader in them."""
    return tuple(
        msgspec.structs.replace(finding, where=finding.where.replace("description", where, 1))
        for where, text in texts
        for finding in findings([Described(name="text", description=text)])[0]
    )


def _grade(name: str, known: Sequence[Classification], told: tuple[Finding, ...]) -> Grade:
    """The grade of the tools, with what was found beside them: it counts as if a harmless tool said it."""
    if not told:
        return grade(known)
    beside = Classification(
        server=name,
        name="",
        category=Category.READ,
        sensitivity=Sensitivity.PUBLIC,
        severity=Severity.LOW,
        score=1,
        signals=(),
        owasp=(),
        confidence=1.0,
        evidence=(),
        findings=told,
    )
    return grade((*known, beside))


def tokens_of(tool: Described) -> int:
    """An estimate of what a tool takes of a model's context, in tokens.

    It is a fourth of the bytes of name, description and input schema as compact JSON in UTF-8,
    rounded up: what a client hands to a model. Titles, annotations and output schemas are left out.
    """
    text = canonical([tool.name, tool.description, tool.input_schema])
    return -(-len(text) // BYTES_PER_TOKEN)


def from_there(source: str, root: str) -> str:
    """The name of a configuration file from the folder `root` on, where it lies below it."""
    inside = root.rstrip("/") + "/"
    return (source.removeprefix(inside) if root else source).removeprefix("./")


def brief(name: str) -> str:
    """A name in at most 64 characters: of a longer one its begin and its end, where file and number stand."""
    return name if len(name) <= MAX_NAME else f"{name[:_FRONT]}…{name[_FRONT + 1 - MAX_NAME :]}"


def _names(scanned: Sequence[Scanned], root: str) -> list[str]:
    """The names of the targets; those that two have in common get the client or file, then a number.

    They differ also where they are shown `brief`.
    """
    plain = [one.target.name for one in scanned]
    counted = Counter(plain)
    named: dict[str, set[str]] = {}
    for one in scanned:
        named.setdefault(one.target.name, set()).add(one.target.source)
    more = [
        from_there(one.target.source, root) if len(named[one.target.name]) > 1 else one.target.client
        for one in scanned
    ]
    longer = [
        f"{name} ({each})" if counted[name] > 1 and each else name
        for name, each in zip(plain, more, strict=True)
    ]
    taken: set[str] = set()
    for index, name in enumerate(longer):
        numbered = (name if number == 1 else f"{name} #{number}" for number in itertools.count(1))
        longer[index] = next(each for each in numbered if brief(each) not in taken)
        taken.add(brief(longer[index]))
    return longer


def _tools(one: Scanned, name: str) -> tuple[Described, ...]:
    found = one.found.tools if one.found is not None else ()
    return tuple(described(tool, name) for tool in found)
