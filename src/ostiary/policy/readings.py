"""Checks that first read what a text means: patterns, paths, URLs, hosts, versions, schemas."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from ostiary.arguments import address, path, url
from ostiary.arguments.fault import ArgumentError
from ostiary.arguments.text import refuse_dot_segments
from ostiary.policy import semver
from ostiary.policy.model import Value
from ostiary.policy.numbers import all_bounded
from ostiary.policy.operand import Check, Mode, OperandError, plain, text, texts
from ostiary.policy.outcome import ERROR, FALSE, TRUE, Outcome
from ostiary.policy.patterns import PatternError, compile_glob, compile_regex
from ostiary.policy.schema import SchemaError, compile_schema

T = TypeVar("T")


def regex(value: Value, mode: Mode) -> Check:
    """`regex`: RE2 finds the pattern anywhere in a string."""
    del mode
    try:
        found_in = compile_regex(text(value))
    except PatternError as error:
        raise OperandError(f"needs a usable pattern: {error}") from error
    return _judging(found_in)


def glob(value: Value, mode: Mode) -> Check:
    """`glob`: the whole string matches (see `patterns.compile_glob`).

    A string with `.` or `..` parts, backslashes, percent-encoded characters or invisible ones
    is an error: it is another spelling of a text that the pattern would judge differently.
    """
    del mode
    try:
        matches = compile_glob(text(value))
    except PatternError as error:
        raise OperandError(f"needs a usable glob: {error}") from error

    def judge(found: str) -> bool:
        refuse_dot_segments(found)
        return matches(found)

    return _judging(judge)


def path_within(value: Value, mode: Mode) -> Check:
    """`path_within`: an absolute path at or below one of the folders, once normalised."""
    del mode
    folders = _read(texts(value), path.segments)

    def judge(found: str) -> bool:
        segments = path.segments(found)
        return any(path.is_within(segments, folder) for folder in folders)

    return _judging(judge)


def host_in(value: Value, mode: Mode) -> Check:
    """`host_in`: the host of a URL, or a bare host, is listed; `*.x` means any name below `x`."""
    del mode
    listed = texts(value)
    exactly = frozenset(_read([item for item in listed if not item.startswith("*.")], url.read_host))
    below = tuple(
        "." + name for name in _read([item[2:] for item in listed if item.startswith("*.")], url.read_host)
    )
    if any(_is_address(name[1:]) for name in below):
        raise OperandError("has a wildcard before an address")

    def judge(found: str) -> bool:
        host = url.read_host_or_url(found)
        return host in exactly or host.endswith(below)

    return _judging(judge)


def url_scheme_in(value: Value, mode: Mode) -> Check:
    """`url_scheme_in`: the scheme is one of these, letters compared without case."""
    del mode
    schemes = frozenset(_read(texts(value), lambda item: url.read_scheme(item + ":")))
    return _judging(lambda found: url.read_scheme(found) in schemes)


def cidr_in(value: Value, mode: Mode) -> Check:
    """`cidr_in`: an address, or a URL's address, lies in one of the networks. A name is an error."""
    del mode
    networks = tuple(_read(texts(value), address.read_network))
    return _judging(lambda found: address.is_member(address.read_address(found), networks))


def version_in(value: Value, mode: Mode) -> Check:
    """`semver`: a full version within a range (see `policy.semver`)."""
    del mode
    try:
        admits = semver.compile_range(text(value))
    except semver.VersionError as error:
        raise OperandError(f"needs a version range: {error}") from error
    return _judging(lambda found: admits(semver.read_version(found)))


def json_schema(value: Value, mode: Mode) -> Check:
    """`json_schema`: any value that is valid under a schema written in the policy (P3.8)."""
    try:
        schema = compile_schema(plain(value), formats=True)
    except SchemaError as error:
        raise OperandError(f"needs a usable schema: {error}") from error

    def check(found: object) -> Outcome:
        if not mode.wide and not all_bounded(found):
            return ERROR
        try:
            return TRUE if schema.admits(found) else FALSE
        except SchemaError:
            return ERROR

    return check


def _judging(judge: Callable[[str], bool]) -> Check:
    """A check for strings only; text that cannot be read is an error, never a guess (P3.7)."""

    def check(found: object) -> Outcome:
        if not isinstance(found, str):
            return ERROR
        try:
            return TRUE if judge(found) else FALSE
        except (ArgumentError, semver.VersionError, UnicodeEncodeError):
            return ERROR

    return check


def _read(items: Iterable[str], read: Callable[[str], T]) -> list[T]:
    """Read a rule's own literals; one that cannot be read is a mistake in the policy."""
    try:
        return [read(item) for item in items]
    except ArgumentError as error:
        raise OperandError(f"has a value that {error}") from error


def _is_address(host: str) -> bool:
    try:
        address.read_address(host)
    except ArgumentError:
        return False
    return True
