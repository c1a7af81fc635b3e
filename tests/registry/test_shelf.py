"""Shipped records, looked up by name; a damaged one is an error, never less knowledge."""

from __future__ import annotations

from pathlib import Path

import pytest

from ostiary.errors import CallerFault, GatewayFault
from ostiary.registry import shelf
from ostiary.registry.subject import Subject, typed
from tests.registry.shelved import shelve


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return shelve(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("mcp-server-time", "pypi:mcp-server-time"),
        ("MCP_Server_Time", "pypi:mcp-server-time"),
        ("time", "pypi:mcp-server-time"),
        ("@modelcontextprotocol/server-filesystem", "npm:@modelcontextprotocol/server-filesystem"),
        ("other", "name:other"),
    ],
)
def test_a_name_or_title_stands_for_the_known_package(text: str, key: str) -> None:
    assert shelf.resolved(typed(text)).key == key


def test_a_name_that_stands_for_two_packages_is_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "known", lambda: ("npm:twice", "pypi:twice"))

    with pytest.raises(CallerFault, match="stands for"):
        shelf.resolved(typed("twice"))


def test_a_package_has_its_record_and_another_has_none() -> None:
    found = shelf.recorded(typed("pypi:mcp-server-time"))

    assert found is not None
    assert [tool.name for tool in found.tools] == ["get_current_time"]
    assert shelf.recorded(typed("npm:mcp-server-time")) is None
    assert shelf.recorded(Subject(kind="npm", name="../../../etc/passwd")) is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"format": 1}', b"\xff\xfe", b"[" * 100_000, b'{"format": 99}']
)
def test_a_damaged_record_is_an_error(folder: Path, content: bytes) -> None:
    (folder / "pypi__mcp-server-time.json").write_bytes(content)

    with pytest.raises(GatewayFault, match="cannot be relied on"):
        shelf.recorded(typed("pypi:mcp-server-time"))


def test_a_record_of_another_package_is_an_error(folder: Path) -> None:
    other = (folder / "npm__poisoned-mcp.json").read_bytes()
    (folder / "pypi__mcp-server-time.json").write_bytes(other)

    with pytest.raises(GatewayFault, match="cannot be relied on"):
        shelf.recorded(typed("pypi:mcp-server-time"))
