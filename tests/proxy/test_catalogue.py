from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from ostiary.calls.call import Consulted, NoCatalogue
from ostiary.errors import UpstreamFault
from ostiary.policy import schema
from ostiary.policy.compile import compile_policy
from ostiary.policy.definition import Catalogue, ToolDefinition
from ostiary.policy.load import document
from ostiary.policy.reach import validated
from ostiary.policy.schema import advertised, prepare
from ostiary.proxy import catalogue
from ostiary.proxy.catalogue import Asking, Catalogues, Pins
from ostiary.proxy.exchange import Head, Sink, UpstreamRequest
from ostiary.registry.fingerprint import definition


class Listing:
    """An upstream that answers `tools/list` with whatever `tools` is at that time."""

    def __init__(self, tools: list[dict[str, Any]]) -> None:
        self.tools = tools
        self.asked = 0

    def send(self, request: UpstreamRequest, sink: Sink) -> Listing:
        self.asked += 1
        asked = msgspec.json.decode(request.body)
        answer = {"jsonrpc": "2.0", "id": asked["id"], "result": {"tools": self.tools}}
        asyncio.get_running_loop().call_soon(self._answer, sink, msgspec.json.encode(answer))
        return self

    def _answer(self, sink: Sink, body: bytes) -> None:
        sink.head(Head(200, ((b"content-type", b"application/json"),), len(body)))
        sink.data(body)
        sink.end()

    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def cancel(self) -> None: ...
    async def close(self) -> None: ...


def at_once(catalogue: Catalogue, ready: Callable[[], None]) -> None:
    ready()


def made(upstream: Listing, changed: list[list[str]], prepare: Any = at_once) -> Catalogues:
    ids = iter(range(1_000))
    return Catalogues(
        upstream,
        mint=lambda: f"ev_{next(ids)}",
        pins=None,
        on_changed=lambda link, found: changed.append(found.names),
        prepare=prepare,
    )


async def consulted(catalogues: Catalogues) -> Consulted:
    found: asyncio.Future[Consulted] = asyncio.get_running_loop().create_future()
    catalogues.consult(Asking(("local", ""), (), None), found.set_result)
    return await asyncio.wait_for(found, 5)


def test_one_list_serves_all_who_wait_and_later_calls() -> None:
    async def main() -> None:
        upstream = Listing([{"name": "a"}])
        catalogues = made(upstream, [])

        first = await asyncio.gather(*[consulted(catalogues) for _ in range(20)])
        again = await consulted(catalogues)

        assert upstream.asked == 1
        assert all(
            isinstance(found, Catalogue) and set(found.definitions) == {"a"} for found in [*first, again]
        )

    asyncio.run(main())


def test_a_changed_list_is_read_again_and_the_change_is_told() -> None:
    """P7: the tool must be in the latest list; changes are recorded."""

    async def main() -> None:
        upstream, changed = Listing([{"name": "a"}, {"name": "b"}]), []
        catalogues = made(upstream, changed)
        await consulted(catalogues)

        upstream.tools = [{"name": "a", "description": "now other"}, {"name": "c"}]
        catalogues.invalidate(("local", ""))
        found = await consulted(catalogues)

        assert isinstance(found, Catalogue)
        assert set(found.definitions) == {"a", "c"}
        assert changed == [["+c", "-b", "~a"]]

    asyncio.run(main())


def test_a_tool_that_is_listed_in_two_versions_is_not_available() -> None:
    """P7: which of them a client would call cannot be known."""

    async def main() -> None:
        upstream = Listing([{"name": "a"}, {"name": "a", "description": "the other one"}])

        found = await consulted(made(upstream, []))

        assert isinstance(found, Catalogue)
        assert found.drifted == {"a"}

    asyncio.run(main())


def test_an_upstream_that_cannot_be_reached_gives_no_list_to_anyone_who_waits() -> None:
    class Down(Listing):
        def _answer(self, sink: Sink, body: bytes) -> None:
            sink.fault(UpstreamFault("connection refused", written=False))

    async def main() -> None:
        catalogues = made(Down([]), [])

        found = await asyncio.gather(consulted(catalogues), consulted(catalogues))

        assert not any(isinstance(one, Catalogue) for one in found)

    asyncio.run(main())


def test_a_number_and_its_text_make_two_definitions() -> None:
    """P7: a definition that changes from a number to its text has changed."""
    number = definition("x", b"", {"inputSchema": {"minimum": Decimal("1.10")}})
    text = definition("x", b"", {"inputSchema": {"minimum": "1.10"}})

    assert number.digest != text.digest


def test_schemas_that_a_policy_checks_are_compiled_before_the_list_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """P3.8: advertised schemas are hostile input; compiling one must not hold up the loop."""
    policy = document(
        b'{"version":"1","default":"deny","tools":{"a":{"validate":{"schema":"advertised"}},"b":{}}}',
        file="p.json",
    ).single
    assert policy is not None
    tools = {name: ToolDefinition(name, f"sha256:ahead-{name}", {"type": "object"}) for name in ("a", "b")}

    checked = validated(compile_policy(policy), Catalogue(tools))
    prepare(checked)
    monkeypatch.setattr(schema, "compile_schema", lambda source: pytest.fail("compiled on the loop"))
    advertised(tools["a"])

    assert [definition.name for definition in checked] == ["a"]


def test_a_list_that_was_read_before_the_server_was_started_anew_is_not_relied_on() -> None:
    """P7: also where an earlier doubt is still open, and while the list is only being prepared."""

    async def main() -> None:
        held: list[Callable[[], None]] = []

        def later(catalogue: Catalogue, ready: Callable[[], None]) -> None:
            held.append(ready)

        upstream = Listing([{"name": "a"}])
        catalogues = made(upstream, [], later)
        catalogues.doubt()
        first = asyncio.ensure_future(consulted(catalogues))
        while not held:
            await asyncio.sleep(0)

        upstream.tools = [{"name": "a", "description": "now other"}]
        catalogues.doubt()
        held.pop()()
        await first

        assert catalogues.known(("local", "")) is None

    asyncio.run(asyncio.wait_for(main(), 5))


def test_who_comes_while_a_list_is_read_again_waits_for_it() -> None:
    """P7.2: the list from before is in doubt until the new one is there."""

    async def main() -> None:
        upstream = Listing([{"name": "a"}])
        catalogues = made(upstream, [])
        await consulted(catalogues)
        upstream.tools = [{"name": "b"}]
        catalogues.invalidate(("local", ""))

        first = asyncio.ensure_future(consulted(catalogues))
        while upstream.asked < 2:
            await asyncio.sleep(0)
        assert catalogues.known(("local", "")) is None
        second = await consulted(catalogues)

        assert isinstance(second, Catalogue)
        assert set(second.definitions) == {"b"}
        assert await first == second
        assert upstream.asked == 2

    asyncio.run(asyncio.wait_for(main(), 5))


def test_a_list_is_judged_by_the_pins_that_are_in_force_when_it_is_kept() -> None:
    """P7.3: other pins may be accepted while a list is still being prepared."""

    async def main() -> None:
        held: list[Callable[[], None]] = []

        def later(catalogue: Catalogue, ready: Callable[[], None]) -> None:
            held.append(ready)

        tool = {"name": "a"}
        pinned = Pins({"a": definition("a", b"", tool).digest})
        for before, after, drifted in ((pinned, Pins({}), {"a"}), (Pins({}), pinned, set[str]())):
            catalogues = made(Listing([tool]), [], later)
            catalogues.repin(before)
            reading = asyncio.ensure_future(consulted(catalogues))
            while not held:
                await asyncio.sleep(0)
            catalogues.repin(after)
            held.pop()()
            found = await reading

            assert isinstance(found, Catalogue)
            assert found.drifted == drifted

    asyncio.run(asyncio.wait_for(main(), 5))


def test_a_list_that_is_too_large_in_all_its_pages_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page is bounded, and so is what is kept of all of them."""
    monkeypatch.setattr(catalogue, "MAX_BYTES", 4_000)

    class Endless(Listing):
        def send(self, request: UpstreamRequest, sink: Sink) -> Listing:
            self.asked += 1
            asked = msgspec.json.decode(request.body)
            tools = [{"name": f"a{self.asked}", "description": "x" * 1_000}]
            answer = {"jsonrpc": "2.0", "id": asked["id"], "result": {"tools": tools, "nextCursor": "more"}}
            asyncio.get_running_loop().call_soon(self._answer, sink, msgspec.json.encode(answer))
            return self

    async def main() -> None:
        upstream = Endless([])

        found = await consulted(made(upstream, []))

        assert isinstance(found, NoCatalogue)
        assert "bytes" in found.reason
        assert upstream.asked == 4

    asyncio.run(main())
