"""Rules about the code itself. An excuse that is no longer needed fails, so the lists only shrink."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))

LONGEST_FILE = 400
LONGEST_FUNCTION = 60
# `path: lines`, `path:function: lines`, as they are today. Never add, only take away.
LONG_FILES: dict[str, int] = {}
LONG_FUNCTIONS: dict[str, int] = {}

# Where an exception of any kind is turned into the end of one call, command, connection or piece of code.
BLIND_EXCEPTS = {
    "cli/hook_run.py",
    "calls/driver.py", "proxy/gate.py", "proxy/relay.py", "sandbox/containers/client.py",
    "sandbox/containers/inside/courier.py", "sandbox/cpython/inside/attempt.py", "servers/core/method.py",
    "wiring/scanning.py",
}  # fmt: skip

# What the core loads by name, and why it may. Only takes away.
LOADED_BY_NAME = {
    "policy/patterns.py: import_module",  # RE2 has no types; a protocol beside the call gives it some
}

PURE = [
    "arguments", "audit/chain.py", "audit/record.py", "calls/call.py", "calls/journal.py",
    "calls/machine.py", "policy", "quotas", "registry", "wire",
]  # fmt: skip


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT / "src/ostiary"))


def tracked() -> list[Path]:
    """Files that are, or would be, committed."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, check=False,
    )  # fmt: skip
    if listing.returncode:
        pytest.skip("not a git checkout")
    names = [name for name in listing.stdout.decode().split("\0") if name]
    return [path for name in names if (path := ROOT / name).is_file()]


@pytest.fixture(scope="module")
def trees() -> dict[Path, ast.Module]:
    """Every source file, parsed once; the rules only read."""
    return {path: ast.parse(path.read_bytes()) for path in SOURCES}


def test_no_source_file_is_longer_than_the_limit() -> None:
    long = {
        name_of(path): lines
        for path in SOURCES
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST_FILE
    }

    assert long == LONG_FILES


def test_no_function_is_longer_than_the_limit(trees: dict[Path, ast.Module]) -> None:
    long = {
        f"{name_of(path)}:{node.name}": lines
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > LONGEST_FUNCTION
    }

    assert long == LONG_FUNCTIONS


def test_no_check_of_types_is_switched_off() -> None:
    switched = re.compile(r"#\s*(type:\s*ignore|pyright:|mypy:)")

    found = [
        f"{name_of(path)}:{number}"
        for path in SOURCES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if switched.search(line)
    ]

    assert found == []


def test_every_lint_exception_gives_its_reason() -> None:
    """`# noqa: CODE: because …`, or a dash; a bare one explains nothing."""
    bare = re.compile(r"#\s*noqa(?!: [A-Z]+\d+(, ?[A-Z]+\d+)*\s*[-:(#–]\s*\S)")

    found = [
        f"{name_of(path)}:{number}"
        for path in SOURCES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if bare.search(line)
    ]

    assert found == []


def test_blind_excepts_stand_only_in_the_named_places(trees: dict[Path, ast.Module]) -> None:
    blind = {
        name_of(path)
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"})
        and not (isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None)
    }

    assert blind == BLIND_EXCEPTS


def test_the_core_opens_nothing_and_imports_nothing_by_name(trees: dict[Path, ast.Module]) -> None:
    """What the import contracts cannot see: `open`, `Path(...)` and dynamic imports."""
    refused = {"open", "__import__", "eval", "exec", "compile", "Path", "import_module", "print", "input"}

    found = {
        f"{name_of(path)}: {called}"
        for path, tree in trees.items()
        if any(name_of(path) == part or name_of(path).startswith(f"{part}/") for part in PURE)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (called := ast.unparse(node.func).removeprefix("pathlib.").removeprefix("importlib.")) in refused
    }

    assert found == LOADED_BY_NAME


def test_modules_are_not_drawers() -> None:
    """A file is named after the one thing it holds."""
    drawers = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base", "core"}

    assert [name_of(path) for path in SOURCES if path.stem in drawers] == []


def test_locks_name_no_host() -> None:
    """Where packages come from is the business of the machine that installs them."""
    locks = [*(ROOT / "requirements").iterdir(), ROOT / "tests/npm/package-lock.json"]

    naming = [path.name for path in locks if re.search(r"://|--index-url|--find-links", path.read_text())]

    assert naming == []


def test_every_locked_package_has_a_hash() -> None:
    for lock in sorted((ROOT / "requirements").glob("*.lock")):
        text = lock.read_text(encoding="utf-8")
        requirements = re.findall(r"^[a-z0-9][^\n]*==[^\n]*\\\n    --hash=sha256:", text, re.MULTILINE)
        assert len(requirements) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE)) > 0, lock.name


def test_locks_hold_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = {re.split(r"[<>=]", line)[0].lower() for line in project["project"]["dependencies"]}
    dev = {re.split(r"[<>=\[]", line)[0].lower() for line in project["dependency-groups"]["dev"]}

    def locked(name: str) -> set[str]:
        text = (ROOT / f"requirements/{name}.lock").read_text(encoding="utf-8")
        return set(re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE))

    assert asked <= locked("runtime")
    assert locked("runtime") | locked("build") | dev <= locked("dev")


def test_nothing_committed_names_a_machine_or_a_registry() -> None:
    """Host names of package registries and paths of one machine do not belong in a repository."""
    # Put together here, so that this file does not name them either.
    words = ["pypi" + ".org", "python" + "hosted", "npmjs" + ".", "/" + "work/", "/" + "root/"]
    allowed_binary = {".png", ".gz", ".zip"}

    found = [
        f"{path.relative_to(ROOT)}: {word}"
        for path in tracked()
        if path.suffix not in allowed_binary
        for held in [path.read_bytes()]
        for word in words
        if word.encode() in held
    ]

    assert found == []


def test_nothing_committed_cites_what_a_reader_does_not_have() -> None:
    """Clauses are cited by their number in docs/reference/semantics.md; other notes are not here."""
    notes = re.compile(
        rb"\b(rulings|contracts|wire|gateway|style|policylayer|mcp-protocol)\.md\b|\bR[1-5]\.\d+\b"
    )

    found = [
        f"{path.relative_to(ROOT)}: {match[0].decode()}"
        for path in tracked()
        if path.suffix in {".py", ".md", ".toml", ".sh", ".yaml"} and path.name != "test_house_rules.py"
        for match in notes.finditer(path.read_bytes())
    ]

    assert found == []


def test_every_test_file_stands_where_its_subject_stands() -> None:
    packages = {path.name for path in (ROOT / "src/ostiary").iterdir() if path.is_dir()}
    others = {
        "benchmarks",
        "conformance",
        "corpus",
        "differential",
        "docs",
        "e2e",
        "escapes",
        "faults",
        "fuzz",
        "house",
        "http_cases",
        "npm",
        "tools",
        "weaknesses",
    }

    strays = [
        path.name
        for path in (ROOT / "tests").iterdir()
        if path.is_dir() and path.name not in packages | others and not path.name.startswith("__")
    ]

    assert strays == []
