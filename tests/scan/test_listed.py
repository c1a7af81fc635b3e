"""The lists beside the tools: asked for where a scan wants them and a server has them, at no tool's cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ostiary.scan import introspect as module
from ostiary.scan.introspect import Introspection, Manner
from tests.scan.test_introspect import asked, failed, unknown
from tests.weaknesses.world import Seen, Upstream, http, result, within

ALL = {"tools": {}, "resources": {}, "prompts": {}}
MANNER = Manner(version="1", seconds=4, everything=True)


def handshake(capabilities: Any, instructions: Any = "read me\x1b") -> Callable[[Seen], bytes]:
    def answer(seen: Seen) -> bytes:
        about = {"protocolVersion": "2025-11-25", "capabilities": capabilities, "serverInfo": {"name": "s"}}
        return http(result(seen.message, about | {"instructions": instructions}))

    return answer


def discovered(seen: Seen) -> bytes:
    about = {
        "resultType": "complete",
        "supportedVersions": ["2026-07-28"],
        "capabilities": ALL,
        "instructions": "modern",
    }
    return http(result(seen.message, about))


def listing(key: str, *entries: Any) -> Callable[[Seen], bytes]:
    return lambda seen: http(result(seen.message, {key: list(entries)}))


def full(up: Upstream) -> None:
    resource = {"uri": "file:///a", "name": "a", "title": "A", "description": "d", "mimeType": "text/plain"}
    up.script["initialize"] = handshake(ALL)
    up.script["resources/list"] = listing("resources", resource)
    up.script["resources/templates/list"] = listing(
        "resourceTemplates", {"uriTemplate": "x:{y}", "name": "t"}
    )
    up.script["prompts/list"] = listing("prompts", {"name": "p", "description": "\u200bhidden"})


def found(prepare: Callable[[Upstream], None], manner: Manner = MANNER) -> tuple[Introspection, list[str]]:
    got: list[tuple[Introspection, list[str]]] = []

    async def main() -> None:
        introspection, upstream = await asked(prepare, manner=manner)
        got.append((introspection, [one.message["method"] for one in upstream.seen if one.body]))

    within(main, 15)
    return got[0]


def test_every_list_is_read_with_what_its_entries_say() -> None:
    one, _ = found(full)

    assert one.instructions == "read me\x1b"
    (resource,) = one.resources
    assert (resource.uri, resource.name, resource.title) == ("file:///a", "a", "A")
    assert (resource.description, resource.mime) == ("d", "text/plain")
    assert resource.digest.startswith("sha256:")
    assert b'"file:///a"' in resource.raw
    assert [(each.uri, each.name) for each in one.templates] == [("x:{y}", "t")]
    assert [(each.uri, each.name, each.description) for each in one.prompts] == [("", "p", "\u200bhidden")]
    assert [tool.name for tool in one.tools] == ["echo"]
    assert one.troubles == ()


def test_the_modern_era_says_the_same_in_its_discovery() -> None:
    def both(up: Upstream) -> None:
        full(up)
        up.script["server/discover"] = discovered

    one, methods = found(both)

    assert (one.era, one.instructions, len(one.prompts)) == ("modern", "modern", 1)
    assert "initialize" not in methods


def test_nobody_else_asks_for_more_than_the_tools() -> None:
    one, methods = found(full, Manner(version="1", seconds=4))

    assert (one.instructions, one.resources, one.templates, one.prompts) == ("", (), (), ())
    assert methods[-1] == "tools/list"


@pytest.mark.parametrize("capabilities", [{"tools": {}}, {"resources": None, "prompts": 1}, [], "x"])
def test_what_a_server_does_not_say_that_it_has_is_not_asked_for(capabilities: Any) -> None:
    def only_tools(up: Upstream) -> None:
        full(up)
        up.script["initialize"] = handshake(capabilities, ["no text"])

    one, methods = found(only_tools)

    assert (one.instructions, one.resources, one.prompts, one.troubles) == ("", (), (), ())
    assert methods[-1] == "tools/list"


def broken(seen: Seen) -> bytes:
    return http(failed(seen.message, -32603))


def endless(seen: Seen) -> bytes:
    return http(result(seen.message, {"resources": [], "nextCursor": str(seen.message["id"])}))


def circular(seen: Seen) -> bytes:
    return http(result(seen.message, {"resources": [], "nextCursor": "again"}))


def nameless(seen: Seen) -> bytes:
    return http(result(seen.message, {"resources": [{"name": "a"}]}))


def silent(seen: Seen) -> None:
    return None


TROUBLES = [
    (broken, "resources/list, page 1: the server answered with error -32603"),
    (endless, "resources/list: the list has more than 100 pages"),
    (circular, "resources/list, page 2: the server leads back"),
    (nameless, "resources/list, page 1: an entry of `resources` has no usable uri"),
    (silent, "resources/list, page 1: the server did not answer in time"),
]


@pytest.mark.parametrize(("answer", "words"), TROUBLES, ids=[one[0].__name__ for one in TROUBLES])
def test_a_list_that_cannot_be_had_is_told_of_and_loses_nothing_else(answer: Any, words: str) -> None:
    def bad(up: Upstream) -> None:
        full(up)
        up.script["resources/list"] = answer

    one, _ = found(bad, Manner(version="1", seconds=3, everything=True))

    assert len(one.troubles) == 1
    assert words in one.troubles[0]
    assert one.resources == ()
    assert (len(one.tools), len(one.templates), len(one.prompts)) == (1, 1, 1)


def test_a_server_that_is_silent_about_all_of_them_does_not_take_the_tools_with_it() -> None:
    def mute(up: Upstream) -> None:
        full(up)
        for method in ("resources/list", "resources/templates/list", "prompts/list"):
            up.script[method] = silent

    one, _ = found(mute, Manner(version="1", seconds=2, everything=True))

    assert len(one.tools) == 1
    assert len(one.troubles) == 3


def test_a_list_that_it_has_no_method_for_is_empty() -> None:
    def partly(up: Upstream) -> None:
        full(up)
        up.script["resources/templates/list"] = unknown

    one, _ = found(partly)

    assert (one.templates, one.troubles, len(one.resources)) == ((), (), 1)


def test_all_lists_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 3_000)

    def much(up: Upstream) -> None:
        full(up)
        up.script["resources/list"] = listing("resources", {"uri": "a", "name": "x" * 4_000})

    one, _ = found(much)

    assert one.resources == ()
    assert "over 3000 bytes together" in one.troubles[0]
