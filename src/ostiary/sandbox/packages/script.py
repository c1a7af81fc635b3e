"""The block with which a script says what it needs (inline script metadata, PEP 723). Pure.

A comment whose first line is `# /// script` and whose last is `# ///`; what stands between is TOML
with `dependencies`, `requires-python` and `tool`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any, cast

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from ostiary.sandbox.packages.fault import PackageFault

MAX_BLOCKS = 16
"""Beginnings of blocks, of any type: the pattern looks through the rest of the comment for each."""
MAX_BLOCK = 65_536
"""Characters of the script block."""

_MARK = "# /// script"
# As the specification of inline script metadata gives it.
_BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
_SHOWN = 80
_INDEX_KEYS = frozenset({"index", "index-url"})


class Script(msgspec.Struct, frozen=True):
    """What a script asks for. `index_url` is the index it names; empty where it names none."""

    dependencies: tuple[str, ...] = ()
    requires_python: str = ""
    index_url: str = ""


def read_script(code: str, *, allow_index: bool = False) -> Script:
    """Read the script block of `code`; an empty `Script` where there is none.

    The dependencies are as they stand there and not yet read. `allow_index` lets the script
    choose the index.

    Raises:
        PackageFault: for two blocks, for text that is not TOML, for fields of the wrong type, and
            for settings of `[tool.uv]` that change what would be installed.
    """
    if _MARK not in code:
        return Script()
    content = _only_block(code)
    if content is None:
        return Script()
    try:
        document = tomllib.loads(content)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise PackageFault(f"the script block is not valid TOML: {error or 'nested too deeply'}") from None
    dependencies = document.get("dependencies", [])
    if not _are_texts(dependencies):
        raise PackageFault("`dependencies` of the script block must be a list of strings")
    requires = document.get("requires-python", "")
    if not isinstance(requires, str):
        raise PackageFault("`requires-python` of the script block must be a string")
    return Script(tuple(dependencies), requires, _index_of(document, allowed=allow_index))


def check_python(requires: str, version: str) -> None:
    """Refuse a script whose `requires-python` the engine's `version` does not meet.

    Raises:
        PackageFault: also when `requires` is not a set of version specifiers.
    """
    if not requires:
        return
    shown = repr(requires[:_SHOWN])
    try:
        wanted = SpecifierSet(requires)
    except InvalidSpecifier:
        raise PackageFault(f"`requires-python` {shown} is not a version specifier such as `>=3.11`") from None
    if not wanted.contains(Version(version), prereleases=True):
        raise PackageFault(f"the script requires Python {shown}, and this engine runs Python {version}")


def _only_block(code: str) -> str | None:
    """The TOML text of the one script block, without its comment marks."""
    text = code.replace("\r\n", "\n").replace("\r", "\n")  # a file is read with these folded, too
    if text.count("# /// ") > MAX_BLOCKS:
        raise PackageFault(f"the code holds more than {MAX_BLOCKS} lines that begin a metadata block")
    blocks = [match["content"] for match in _BLOCK.finditer(text) if match["type"] == "script"]
    if not blocks:
        return None
    if len(blocks) > 1:
        raise PackageFault("the code holds more than one script block", hint="keep one `# /// script` block")
    if len(blocks[0]) > MAX_BLOCK:
        raise PackageFault(f"the script block is longer than {MAX_BLOCK} characters")
    lines = blocks[0].splitlines(keepends=True)
    return "".join(line[2:] if line.startswith("# ") else line[1:] for line in lines)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in cast("list[object]", value))


def _index_of(document: Mapping[str, Any], *, allowed: bool) -> str:
    """The index that `[tool.uv]` names. Whatever else stands there would be ignored, so it is refused."""
    settings = _table(_table(document, "tool"), "uv")
    keys = set(settings)
    if unknown := keys - _INDEX_KEYS:
        raise PackageFault(f"`{min(unknown)}` in [tool.uv] is not supported here", hint="remove it")
    if not keys:
        return ""
    if not allowed:
        raise PackageFault(
            f"`{min(keys)}` in [tool.uv] is refused: scripts may not choose the package index here",
            hint="remove it; the operator decides where packages come from",
        )
    return _one_url(settings)


def _table(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = document.get(key, {})
    if not isinstance(found, dict):
        raise PackageFault(f"`{key}` of the script block must be a table")
    return cast("dict[str, Any]", found)


def _one_url(settings: Mapping[str, Any]) -> str:
    urls: list[object] = [settings["index-url"]] if "index-url" in settings else []
    entries = settings.get("index", [])
    if isinstance(entries, list):
        tables = cast("list[object]", entries)
        urls += [cast("dict[str, object]", one).get("url") for one in tables if isinstance(one, dict)]
    if len(urls) != 1 or not isinstance(urls[0], str):
        raise PackageFault("[tool.uv] must name exactly one index by its url")
    return urls[0]
