"""The policy file of a running gate: read at start, swapped when it changes."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ostiary.errors import CallerFault
from ostiary.policy.charges import Conceal, conceal_by_digest
from ostiary.policy.compile import Compiled, compile_policy
from ostiary.policy.diagnostic import Diagnostic, PolicyError
from ostiary.policy.load import load_text
from ostiary.policy.model import Document, Policy
from ostiary.proxy.desk import Desk
from ostiary.proxy.reload import read_bounded
from ostiary.proxy.tests_name import tests_beside

log = logging.getLogger("ostiary.policy")


class UntestedFault(CallerFault):
    """The policy is valid, and its tests fail or cannot be run."""


def read_policy(path: Path) -> bytes:
    """The bytes of a policy file. Raises CallerFault saying why it cannot be read."""
    content = read_bounded(path)
    if content is None:
        try:
            path.open("rb").close()
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            raise CallerFault(f"cannot read policy `{path}`: {reason}") from error
        raise CallerFault(f"cannot read policy `{path}`")
    return content


def activate(
    content: bytes,
    *,
    file: str,
    server: str,
    unsafe_monitor: bool,
    unsafe_skip_tests: bool = False,
    conceal: Conceal = conceal_by_digest,
) -> Compiled:
    """Check, test and compile a policy for `server`. Raises CallerFault with every error in it.

    The tests are those in the file beside `file`; one that fails keeps the policy from being put in
    force, unless `unsafe_skip_tests`. `conceal` makes what counter keys show of argument values, since
    they are kept in records.
    """
    document, diagnostics = load_text(content, file=file, unsafe_monitor=unsafe_monitor)
    errors = [item for item in diagnostics if item.severity == "error"]
    if document is None or errors:
        raise CallerFault("the policy was not activated\n" + render(errors))
    for warning in diagnostics:
        log.warning("%s", warning.render())
    policy = policy_for(document, server)
    if not unsafe_skip_tests:
        _test(document, Path(file))
    return compile_policy(policy, conceal=conceal)


def _test(document: Document, file: Path) -> None:
    """Run the tests beside `file`, if there are any. Raises UntestedFault."""
    if not any(map(os.path.lexists, tests_beside(file))):
        return
    from ostiary.proxy.tests_file import prove  # noqa: PLC0415 - most gates have no tests, and start often

    try:
        prove(document, file)
    except PolicyError as error:
        raise UntestedFault(
            "the policy was not activated: its tests are not valid\n" + render(error.diagnostics)
        ) from error
    except CallerFault as error:
        raise UntestedFault(f"the policy was not activated: {error.message}", hint=error.hint) from error


def policy_for(document: Document, server: str) -> Policy:
    """The policy that a document holds for `server`. Raises CallerFault when it holds none."""
    if document.single is not None:
        return document.single
    policy = document.servers.get(server)
    if policy is None:
        names = ", ".join(f"`{name}`" for name in document.servers) or "none"
        raise CallerFault(
            f"{document.file} has no policy for the server `{server}`",
            hint=f"it knows {names}; name the server with --server NAME",
        )
    return policy


def render(diagnostics: Sequence[Diagnostic]) -> str:
    """Diagnostics as lines for people."""
    return "\n".join(item.render() for item in diagnostics)


class Reloader:
    """Puts a changed policy in force, or keeps the old one and says why."""

    def __init__(
        self,
        desk: Desk,
        *,
        file: Path,
        server: str,
        unsafe_monitor: bool,
        unsafe_skip_tests: bool = False,
        conceal: Conceal,
    ) -> None:
        self._desk = desk
        self._conceal = conceal
        self._file = file
        self._server = server
        self._unsafe_monitor = unsafe_monitor
        self._unsafe_skip_tests = unsafe_skip_tests
        self._turn = 0

    def __call__(self, content: bytes) -> None:
        """Take new content of the file. Reading a large policy takes long, so a thread does it."""
        self._turn += 1
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, self._read, content).add_done_callback(partial(self._swap, self._turn))

    def _read(self, content: bytes) -> Compiled | CallerFault:
        try:
            return activate(
                content,
                file=str(self._file),
                server=self._server,
                unsafe_monitor=self._unsafe_monitor,
                unsafe_skip_tests=self._unsafe_skip_tests,
                conceal=self._conceal,
            )
        except CallerFault as fault:
            return fault

    def _swap(self, turn: int, reading: asyncio.Future[Compiled | CallerFault]) -> None:
        if reading.cancelled() or turn != self._turn:
            return  # the file has changed again meanwhile
        read = reading.result()
        if isinstance(read, CallerFault):
            log.warning("%s; the policy in force stays", read.message)
            tested = isinstance(read, UntestedFault)
            reason = "a test of the changed file fails" if tested else "the changed file is not valid"
            self._desk.note("policy-rejected", str(self._file), reasons=(reason,))
        elif self._desk.policy is None or read.revision != self._desk.policy.revision:
            before, self._desk.policy = self._desk.policy, read
            self._desk.note("policy-activated", str(self._file))
            log.warning("policy %s is in force: %s", self._file, read.revision)
            self._desk.room.revise(read.revision)
            self._desk.changes.announce(before, read)
