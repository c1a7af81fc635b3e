"""Which packages a run sees: its own, read-only, and those that every run has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ostiary.sandbox.isolation.cache import cache_folder
from ostiary.sandbox.runner import Environment
from tests.sandbox.cpython.world import Sandbox, sandbox, stock


@pytest.fixture
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that workers' users can reach, which a folder of pytest's is not."""
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(dir=cache_folder({"PATH": ""})))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def module(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(text)


@pytest.mark.parametrize("level", ["none", "strict"])
def test_a_run_imports_its_own_packages_and_those_of_every_run(shared: Path, level) -> None:
    module(shared / "packages/one", "mine", "WHO = 'one'")
    module(shared / "packages/two", "mine", "WHO = 'two'")
    module(shared / "wheels", "always", "HERE = True")

    async def resolve(code: str, requirements: tuple[str, ...], owner: str) -> Environment:
        return (
            Environment(str(shared / "packages" / requirements[0]), requirements)
            if requirements
            else Environment()
        )

    of = stock(level, packages=str(shared / "packages"), wheels=str(shared / "wheels"), preload=("always",))
    with sandbox(of, resolve=resolve) as made:
        code = "import always, mine\n(mine.WHO, always.HERE)"
        texts = [made.run(code, requirements=(name,)).result for name in ("one", "two", "one")]
        without = made.run(code)
        preloaded = made.run("import sys\n'always' in sys.modules")

    assert [one.text for one in texts if one] == ["('one', True)", "('two', True)", "('one', True)"]
    assert without.error is not None
    assert without.error.type == "ModuleNotFoundError"
    assert preloaded.result is not None
    assert preloaded.result.text == "True"


def test_packages_of_others_are_hidden_and_ones_own_cannot_be_written(shared: Path) -> None:
    module(shared / "packages/one", "mine", "WHO = 'one'")
    module(shared / "packages/secret", "other", "")

    async def resolve(code: str, requirements: tuple[str, ...], owner: str) -> Environment:
        return Environment(str(shared / "packages/one")) if requirements else Environment()

    with sandbox(stock("strict", packages=str(shared / "packages")), resolve=resolve) as made:
        seen = "import os\n[os.listdir(p) for p in ('/packages', '/deps')]"
        given, plain = made.run(seen, requirements=("x",)), made.run(seen)
        written = made.run("open('/deps/mine.py', 'a')", requirements=("x",))

    assert given.result is not None, given.error
    assert given.result.json == '[[], ["mine.py"]]'
    assert plain.result is not None, plain.error
    assert plain.result.json == "[[], []]"
    assert written.error is not None
    assert written.error.type in {"OSError", "PermissionError"}


def test_a_folder_elsewhere_is_never_shown(shared: Path) -> None:
    (shared / "packages").mkdir()

    async def resolve(code: str, requirements: tuple[str, ...], owner: str) -> Environment:
        return Environment(str(shared / "packages") + "/../..")

    with sandbox(stock("strict", packages=str(shared / "packages")), resolve=resolve) as made:
        record = _quiet(made)

    assert record.status == "killed"
    assert record.error is not None
    assert "are not where this server keeps them" in record.error.message


def _quiet(made: Sandbox):
    return made.run("1")
