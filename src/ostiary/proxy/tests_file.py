"""The tests beside a policy file: `<policy stem>.tests.yaml` or `.json`."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ostiary.errors import CallerFault
from ostiary.policy.definition import Catalogue
from ostiary.policy.model import Document
from ostiary.policy.source import MAX_BYTES
from ostiary.policy.testing.document import TestFile, read_tests
from ostiary.policy.testing.report import MAX_FAILURES, failure_lines, summary
from ostiary.policy.testing.run import Result, run_tests
from ostiary.proxy.tests_name import tests_beside
from ostiary.proxy.tool_file import read_tools


def find_tests(policy: Path) -> Path | None:
    """The tests file beside `policy`, or None. Whatever bears the name counts, so that none is passed over.

    Raises CallerFault when there are several: which of them were meant cannot be known.
    """
    found = [path for path in tests_beside(policy) if os.path.lexists(path)]
    if len(found) > 1:
        names = " and ".join(f"`{path}`" for path in found)
        raise CallerFault(f"{names} both hold tests of one policy", hint="keep one of them")
    return found[0] if found else None


def read_test_file(path: Path) -> TestFile:
    """The tests in `path`.

    Raises CallerFault when it cannot be read, PolicyError for what is wrong in it.
    """
    return read_tests(_content(path, "tests"), file=str(path))


def tools_of(tests: TestFile, given: Path | None = None) -> Catalogue | None:
    """The tool list that the tests are decided with: `given`, else the one that they name.

    Raises CallerFault when it cannot be read.
    """
    path = given
    if path is None and tests.tools is not None:
        path = Path(tests.file).parent / tests.tools
    if path is None:
        return None
    _content(path, "tools")
    return read_tools(path)


def _content(path: Path, what: str) -> bytes:
    """The bytes of a regular file, at most one more than may be read: a pipe would be waited for."""
    try:
        with open(path, "rb", opener=_at_once) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise CallerFault(f"cannot read {what} `{path}`: not a regular file")
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise CallerFault(f"cannot read {what} `{path}`: {reason}") from error


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def prove(document: Document, policy: Path) -> Result | None:
    """Run the tests beside `policy` on its document; None when there are none.

    Raises CallerFault when any fails, with the first of them.
    """
    path = find_tests(policy)
    if path is None:
        return None
    tests = read_test_file(path)
    result = run_tests(tests, document, tools_of(tests))
    if result.failures:
        shown = [line for failure in result.failures[:MAX_FAILURES] for line in failure_lines(failure)]
        more = len(result.failures) - MAX_FAILURES
        shown += [f"and {more:,} more"] if more > 0 else []
        raise CallerFault("\n".join([summary(result), *shown]))
    return result
