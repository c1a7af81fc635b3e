"""Asking a server for its tools: both eras, all pages, and nothing that it can do takes long or much."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ostiary.errors import GatewayFault, UpstreamFault
from ostiary.proxy.exchange import Upstream as Port
from ostiary.proxy.http.client import HttpUpstream
from ostiary.proxy.sse.either import EitherUpstream
from ostiary.proxy.sse.upstream import SseUpstream
from ostiary.proxy.stdio.program import Command
from ostiary.proxy.stdio.upstream import StdioUpstream
from ostiary.scan import introspect as module
from ostiary.scan import talk
from ostiary.scan.introspect import Introspection, Manner, Way, introspect
from tests.e2e import world as programs
from tests.weaknesses.world import Seen, Upstream, events, http, result, tool, within

Json = Any
MANNER = Manner(version="1", seconds=4)
NEWS = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": 1}}


def failed(message: Mapping[str, Any], code: int, **data: Json) -> bytes:
    error = {"code": code, "message": "no", **({"data": data} if data else {})}
    return json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": error}).encode()


def unknown(seen: Seen) -> bytes:
    """How a legacy server answers what it does not know."""
    return http(failed(seen.message, -32601))


def handshake(seen: Seen, *, version: str = "2025-11-25") -> bytes:
    about = {
        "protocolVersion": version,
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "s", "version": "9"},
    }
    return http(result(seen.message, about), b"application/json", 200, b"mcp-session-id: s1")


def discovered(seen: Seen) -> bytes:
    info = {"io.modelcontextprotocol/serverInfo": {"name": "m", "version": "2"}}
    about = {"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {}, "_meta": info}
    return http(result(seen.message, about))


async def asked(
    prepare: Callable[[Upstream], None] = lambda _upstream: None, *tools: Json, manner: Manner = MANNER
) -> tuple[Introspection, Upstream]:
    """Introspect a scripted server over HTTP."""
    upstream = Upstream(tools or [tool("echo")])
    upstream.script |= {"server/discover": unknown, "initialize": handshake, "DELETE": http(b"", b"", 200)}
    prepare(upstream)
    await upstream.start()
    try:
        found = await introspect(Way(lambda: HttpUpstream(f"http://127.0.0.1:{upstream.port}/mcp")), manner)
    finally:
        await upstream.stop()
    return found, upstream


def refusal_of(prepare: Callable[[Upstream], None], *, manner: Manner = MANNER) -> str:
    """What is said of a server that cannot be asked."""
    said: list[str] = []

    async def main() -> None:
        with pytest.raises(UpstreamFault) as caught:
            await asked(prepare, manner=manner)
        said.append(caught.value.message)

    within(main)
    return said[0]


def test_a_legacy_server_is_asked_by_the_handshake_and_its_session_is_ended() -> None:
    async def main() -> None:
        found, upstream = await asked()

        assert (found.era, found.revision) == ("legacy", "2025-11-25")
        assert (found.server.name, found.server.version) == ("s", "9")
        assert [one.name for one in found.tools] == ["echo"]
        methods = [one.message.get("method", one.method) for one in upstream.seen]
        assert methods == [
            "server/discover", "initialize", "notifications/initialized", "tools/list", "DELETE",
        ]  # fmt: skip
        for one in upstream.seen[2:]:
            assert one.headers["mcp-session-id"] == "s1"
            assert one.headers["mcp-protocol-version"] == "2025-11-25"

    within(main)


def test_a_modern_server_is_asked_without_a_handshake() -> None:
    async def main() -> None:
        found, upstream = await asked(lambda up: up.script.update({"server/discover": discovered}))

        assert (found.era, found.revision, found.server.name) == ("modern", "2026-07-28", "m")
        assert [one.message["method"] for one in upstream.seen] == ["server/discover", "tools/list"]
        for one in upstream.seen:
            assert one.headers["mcp-method"] == one.message["method"]
            meta = one.message["params"]["_meta"]
            assert meta["io.modelcontextprotocol/protocolVersion"] == one.headers["mcp-protocol-version"]

    within(main)


def other_revision(seen: Seen) -> bytes:
    return http(failed(seen.message, -32022, supported=["2025-06-18"]), b"application/json", 400)


def plain_400(seen: Seen) -> bytes:
    return http(b"what?", b"text/plain", 400)


def later_only(seen: Seen) -> bytes:
    return http(result(seen.message, {"supportedVersions": ["2099-01-01"]}))


@pytest.mark.parametrize(
    "answer", [unknown, other_revision, plain_400, later_only], ids=lambda one: one.__name__
)
def test_whatever_is_no_discovery_leads_to_the_handshake(answer: Any) -> None:
    async def main() -> None:
        found, _ = await asked(lambda up: up.script.update({"server/discover": answer}))

        assert found.era == "legacy"

    within(main)


def test_a_server_that_is_silent_about_discovery_is_asked_by_the_handshake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PROBE", 0.1)

    async def main() -> None:
        found, _ = await asked(lambda up: up.script.update({"server/discover": lambda _seen: None}))

        assert found.era == "legacy"

    within(main)


def test_an_older_revision_is_only_tried_where_the_newest_is_refused() -> None:
    def strict(seen: Seen) -> bytes:
        version = seen.message["params"]["protocolVersion"]
        if version != "2025-03-26":
            return http(failed(seen.message, -32602, supported=["2025-03-26", "2024-11-05"]))
        return handshake(seen, version=version)

    async def main() -> None:
        found, upstream = await asked(lambda up: up.script.update({"initialize": strict}))

        assert found.revision == "2025-03-26"
        tried = [one.message for one in upstream.seen if one.body and one.message["method"] == "initialize"]
        assert [one["params"]["protocolVersion"] for one in tried] == ["2025-11-25", "2025-03-26"]

    within(main)


def test_all_pages_are_read_and_what_comes_between_is_passed_over() -> None:
    def paged(seen: Seen) -> bytes:
        at = int(seen.message["params"].get("cursor", "0"))
        page: Json = {"tools": [tool(f"t{at}")]} | ({"nextCursor": str(at + 1)} if at < 4 else {})
        question = {"jsonrpc": "2.0", "id": seen.message["id"], "method": "roots/list"}
        other = {"jsonrpc": "2.0", "id": "x", "result": {"tools": []}}
        return events(NEWS, question, other, json.loads(result(seen.message, page)))

    async def main() -> None:
        found, _ = await asked(lambda up: up.script.update({"tools/list": paged}))

        assert [one.name for one in found.tools] == ["t0", "t1", "t2", "t3", "t4"]

    within(main)


def test_a_tool_that_is_listed_in_two_versions_is_told_of() -> None:
    async def main() -> None:
        found, _ = await asked(lambda _up: None, tool("a"), tool("b"), tool("a", title="other"))

        assert [one.name for one in found.tools] == ["a", "b"]
        assert found.ambiguous == ("a",)

    within(main)


def test_a_server_without_tools_has_none() -> None:
    async def main() -> None:
        found, _ = await asked(lambda up: up.script.update({"tools/list": unknown}))

        assert found.tools == ()

    within(main)


def endless(seen: Seen) -> bytes:
    return http(result(seen.message, {"tools": [], "nextCursor": str(seen.message["id"])}))


def circular(seen: Seen) -> bytes:
    return http(result(seen.message, {"tools": [], "nextCursor": "again"}))


def large(seen: Seen) -> bytes:
    return http(
        result(
            seen.message, {"tools": [tool("a", description="x" * 3_000)], "nextCursor": seen.message["id"]}
        )
    )


def many(seen: Seen) -> bytes:
    return http(result(seen.message, {"tools": [tool(f"t{i}") for i in range(50)]}))


def nameless(seen: Seen) -> bytes:
    return http(result(seen.message, {"tools": [{}]}))


def failing(seen: Seen) -> bytes:
    return http(failed(seen.message, -32603))


def broken(seen: Seen) -> bytes:
    return http(b'{"jsonrpc": "2.0", "id": ')


def twice(seen: Seen) -> bytes:
    return http(result(seen.message, {"tools": []}).replace(b'{"tools": []}', b'{"tools": [], "tools": [1]}'))


def silent(seen: Seen) -> None:
    return None


LISTS = [
    (endless, "more than 100 pages"),
    (circular, "page 2: the server leads back"),
    (large, "over 8000 bytes"),
    (many, "more than 20 tools"),
    (nameless, "page 1: an entry of `tools` has no usable name"),
    (failing, "page 1: the server answered with error -32603: no"),
    (broken, "page 1: the answer is not acceptable JSON-RPC"),
    (twice, "page 1: the answer is not acceptable JSON-RPC"),
    (silent, "page 1: the server did not answer within 1 seconds"),
]


@pytest.mark.parametrize(("answer", "words"), LISTS, ids=[one[0].__name__ for one in LISTS])
def test_a_broken_slow_or_endless_list_is_given_up_with_the_place(
    answer: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 8_000)
    monkeypatch.setattr(module, "MAX_TOOLS", 20)
    if answer is endless:
        monkeypatch.setattr(module, "MAX_BYTES", 10**7)
    manner = Manner(version="1", seconds=1) if answer is silent else MANNER

    assert words in refusal_of(lambda up: up.script.update({"tools/list": answer}), manner=manner)


def wants_credentials(seen: Seen) -> bytes:
    return http(b"", b"", 401)


def strange_revision(seen: Seen) -> bytes:
    return handshake(seen, version="1999\x1b[2J")


def test_what_is_wrong_with_the_handshake_is_said() -> None:
    assert "401" in refusal_of(lambda up: up.script.update({"server/discover": wants_credentials}))
    assert "error -32603" in refusal_of(lambda up: up.script.update({"initialize": failing}))
    said = refusal_of(lambda up: up.script.update({"initialize": strange_revision}))
    assert "1999" in said
    assert said.isprintable()


def test_a_server_that_is_slow_to_discover_is_not_taken_for_one_with_a_handshake(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has taken up the question by the time of the handshake, and refuses that one."""
    monkeypatch.setattr(module, "PROBE", 0.1)

    def slow(up: Upstream) -> None:
        up.script["server/discover"] = lambda seen: discovered(seen) if len(up.seen) > 1 else None
        up.script["initialize"] = lambda seen: http(failed(seen.message, -32022, supported=["2026-07-28"]))

    async def main() -> None:
        found, _ = await asked(slow)

        assert found.era == "modern"

    within(main)


def test_the_era_can_be_chosen() -> None:
    def both(up: Upstream) -> None:
        up.script["server/discover"] = discovered

    async def main() -> None:
        found, _ = await asked(both, manner=Manner(era="legacy", seconds=4))
        assert found.era == "legacy"

    within(main)
    assert "-32601" in refusal_of(lambda _up: None, manner=Manner(era="modern", seconds=4))


def test_configured_headers_go_with_every_request() -> None:
    manner = Manner(headers=((b"x-key", b"k"),), seconds=4)

    async def main() -> None:
        _, upstream = await asked(manner=manner)

        assert all(one.headers["x-key"] == "k" for one in upstream.seen)

    within(main)


def test_a_server_that_does_not_let_go_of_its_session_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(talk, "LEAVE", 0.1)

    async def main() -> None:
        found, _ = await asked(lambda up: up.script.update({"DELETE": silent}))

        assert len(found.tools) == 1

    within(main)


# On a pipe.

SERVER = """
import json, os, sys
style = sys.argv[1]
open(sys.argv[2], "a").write(f"{os.getpid()}\\n")
for line in sys.stdin:
    asked = json.loads(line)
    method = asked.get("method")
    if "id" not in asked:
        continue
    if style == "dies" and method == "server/discover":
        sys.exit(3)
    if style == "silent":
        continue
    if method == "initialize":
        info = {"name": "pipe", "version": "1"}
        answer = {"result": {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": info}}
    elif method == "tools/list":
        print(json.dumps({"jsonrpc": "2.0", "method": "notifications/message", "params": {}}), flush=True)
        answer = {"result": {"tools": [{"name": "a", "inputSchema": {}}]}}
    else:
        answer = {"error": {"code": -32601, "message": "no"}}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **answer}), flush=True)
"""


async def on_a_pipe(style: str, pids: Path, manner: Manner = MANNER) -> Introspection:
    command = Command((sys.executable, "-c", SERVER, style, str(pids)))

    def dial() -> Port:
        made = StdioUpstream(command, single=True)
        made.start()
        return made

    return await introspect(
        Way(dial, lambda made: isinstance(made, StdioUpstream) and made.status is not None), manner
    )


def alive(pids: Path) -> list[int]:
    return [pid for pid in map(int, pids.read_text().split()) if Path(f"/proc/{pid}").exists()]


@pytest.mark.parametrize(("style", "starts"), [("plain", 1), ("dies", 2)])
def test_a_child_is_started_asked_and_ended(tmp_path: Path, style: str, starts: int) -> None:
    """One that dies of a question that it does not know is started anew for the handshake."""
    pids = tmp_path / "pids"

    async def main() -> None:
        found = await on_a_pipe(style, pids)

        assert (found.server.name, found.revision, found.tools[0].name) == ("pipe", "2025-06-18", "a")

    within(main, 10)
    assert len(pids.read_text().split()) == starts
    assert alive(pids) == []


def test_a_child_that_never_answers_is_given_up_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROBE", 0.1)
    pids = tmp_path / "pids"

    async def main() -> None:
        with pytest.raises(UpstreamFault) as caught:
            await on_a_pipe("silent", pids, Manner(seconds=3))
        assert "initialize: the server did not answer within 3 seconds" in caught.value.message
        assert "--timeout" in (caught.value.hint or "")

    within(main, 10)
    assert alive(pids) == []


def test_a_command_that_does_not_exist_is_named() -> None:
    async def main() -> None:
        def dial() -> Port:
            made = StdioUpstream(Command(("no-such-server-anywhere",)), single=True)
            made.start()
            return made

        with pytest.raises(GatewayFault) as caught:
            await introspect(Way(dial), MANNER)
        assert "no-such-server-anywhere" in caught.value.message

    within(main)


# Published servers.


def published(dial: Callable[[], Port], *, era: Any = None) -> Introspection:
    found: list[Introspection] = []

    async def main() -> None:
        found.append(await introspect(Way(dial), Manner(version="1", era=era)))

    asyncio.run(asyncio.wait_for(main(), 50))
    return found[0]


def stdio(command: list[str]) -> Callable[[], Port]:
    def dial() -> Port:
        made = StdioUpstream(Command(tuple(command)), single=True)
        made.start()
        return made

    return dial


@pytest.mark.service
@pytest.mark.parametrize(
    ("name", "expected"), [("time", {"get_current_time", "convert_time"}), ("fetch", {"fetch"})]
)
def test_published_servers_on_a_pipe(name: str, expected: set[str]) -> None:
    found = published(stdio(programs.published(name)))

    assert {one.name for one in found.tools} == expected


@pytest.mark.service
@pytest.mark.parametrize("way", ["stdio", "http", "sse"])
def test_the_reference_server_over_every_transport(way: str, tmp_path: Path) -> None:
    if way == "stdio":
        found = published(stdio(programs.everything()))
    else:
        start = programs.everything_over_http if way == "http" else programs.everything_over_sse
        server = start(tmp_path / "server.log")
        url = server.url if way == "http" else server.sse

        def dial() -> Port:
            http_ = HttpUpstream(url)
            return EitherUpstream(http_, SseUpstream(http_, url))

        try:
            found = published(dial)
        finally:
            server.stop()

    assert {"echo", "get-sum"} <= {one.name for one in found.tools}
    assert found.era == "legacy"
    assert found.revision == "2025-11-25"


@pytest.mark.service
@pytest.mark.parametrize("era", ["modern", "legacy", None])
def test_a_server_of_both_eras_on_a_pipe_and_over_http(era: Any, tmp_path: Path) -> None:
    server = programs.modern_over_http(tmp_path / "server.log")
    try:
        over_http = published(lambda: HttpUpstream(server.url), era=era)
    finally:
        server.stop()
    on_pipe = published(stdio(programs.MODERN), era=era)

    assert over_http.era == on_pipe.era == (era or "modern")
    assert {one.name for one in over_http.tools} == {one.name for one in on_pipe.tools} >= {"add", "fail"}
    assert over_http.server.name == "modern"
