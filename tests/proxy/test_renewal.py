"""A session that the server has lost is begun anew for clients that would not do so themselves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ostiary.identity.grant import Grant
from ostiary.proxy.bridge.client import ClientBridge
from ostiary.proxy.bridge.complaint import Complaints
from ostiary.proxy.bridge.glance import glance
from ostiary.proxy.bridge.port import ClientPort
from ostiary.proxy.bridge.questions import answered, asked
from ostiary.proxy.bridge.renewal import OnRenewed, RenewalLimits, Renewed
from ostiary.proxy.exchange import ClientRequest, Handler, Responder
from ostiary.proxy.gate import Gate
from ostiary.proxy.renewed import session_renewed
from tests.proxy.sse_world import Asked
from tests.proxy.stdio_world import notification, on_uvloop, request
from tests.weaknesses import world
from tests.weaknesses.world import encoded, until

Json = dict[str, Any]

VERSION = "2025-11-25"
CAPABILITIES: Json = {"tools": {"listChanged": True}, "resources": {}, "logging": {}}
GONE = {"code": -32001, "message": "Session not found"}


class World:
    """A bridge, what it asked of the handler, and what it wrote to its client."""

    def __init__(
        self, handler: Handler | None = None, renewed: OnRenewed | None = None, **limits: Any
    ) -> None:
        self.asked: asyncio.Queue[Asked] = asyncio.Queue()
        self.written: asyncio.Queue[Json] = asyncio.Queue()
        self.log: list[str] = []
        self.renewed: list[Renewed] = []
        self.lost = 0
        port = ClientPort(
            lambda message: self.written.put_nowait(json.loads(message)),
            lambda: None,
            Complaints(self.log.append, every=0),
            "stdio",
            lost=self._lost,
            renewed=renewed or self._renewed,
            renewal=RenewalLimits(**limits),
        )
        self.bridge = ClientBridge(handler or self._keep, port)

    def _keep(self, request: ClientRequest, responder: Responder) -> None:
        self.asked.put_nowait(Asked(request, responder))

    def _lost(self) -> None:
        self.lost += 1

    def _renewed(self, renewed: Renewed) -> list[bytes]:
        self.renewed.append(renewed)
        return [b'{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}']

    def say(self, *messages: Mapping[str, object]) -> None:
        for message in messages:
            raw = encoded(message)
            self.bridge.take(raw, glance(raw))

    async def next(self, method: str) -> Asked:
        """The next request, which must be of this JSON-RPC or HTTP method."""
        one = await self.asked.get()
        assert method == (one.message["method"] if one.sent.body else one.sent.method)
        return one

    async def told(self) -> Json:
        """The next message that the client is given."""
        return await self.written.get()

    async def initialize(self, session: bytes = b"s1", **more: Any) -> Asked:
        """The client's own handshake; returns the GET after it."""
        self.say(request("initialize", 0, protocolVersion=VERSION, clientInfo={"name": "c"}))
        await self.welcome(session, **more)
        assert (await self.told())["id"] == 0
        self.say(notification("notifications/initialized"))
        (await self.next("notifications/initialized")).empty(202)
        return await self.next("GET")

    async def welcome(
        self,
        session: bytes | None,
        version: str = VERSION,
        name: str = "srv",
        capabilities: Json | None = None,
    ) -> Asked:
        """Answer the `initialize` that comes next."""
        one = await self.next("initialize")
        agreed = {
            "protocolVersion": version,
            "serverInfo": {"name": name, "version": "1"},
            "capabilities": CAPABILITIES if capabilities is None else capabilities,
        }
        one.result(agreed, *([] if session is None else [(b"mcp-session-id", session)]))
        return one

    async def renew(self, session: bytes | None = b"s2", **more: Any) -> Asked:
        """Answer a whole renewal; returns its GET."""
        await self.welcome(session, **more)
        (await self.next("notifications/initialized")).empty(202)
        return await self.next("GET")


def gone(one: Asked) -> None:
    one.json({"jsonrpc": "2.0", "id": one.message.get("id"), "error": GONE}, 404)


def refuse_initialize(one: Asked) -> None:
    one.empty(502)


# --- what a client does not notice ----------------------------------------------------------------


def test_refused_call_is_sent_once_more_in_a_session_begun_in_the_client_s_own_words() -> None:
    async def main() -> None:
        one = World()
        stream = await one.initialize()
        one.say(request("tools/call", 7, name="echo"))
        refused = await one.next("tools/call")
        assert refused.header("mcp-session-id") == "s1"
        gone(refused)

        hello = await one.welcome(b"s2")
        assert hello.header("mcp-session-id") is None
        assert {**hello.message, "id": 0} == request(
            "initialize", 0, protocolVersion=VERSION, clientInfo={"name": "c"}
        )
        assert hello.message["id"] != 0
        confirmed = await one.next("notifications/initialized")
        assert confirmed.header("mcp-session-id") == "s2"
        assert one.asked.empty()
        confirmed.empty(202)
        reopened = await one.next("GET")
        again = await one.next("tools/call")

        assert stream.gone.is_set()
        assert again.sent.body == refused.sent.body
        for sent in (reopened, again):
            assert sent.header("mcp-session-id") == "s2"
            assert sent.header("mcp-protocol-version") == VERSION
        again.result({"content": []})
        assert (await one.told())["method"] == "notifications/tools/list_changed"
        assert await one.told() == {"jsonrpc": "2.0", "id": 7, "result": {"content": []}}
        assert one.written.empty()
        assert one.renewed == [Renewed(alike=True, news=frozenset({"tools"}), again=1)]
        assert [line for line in one.log if "lost the session" in line]
        assert not one.lost
        assert not one.bridge.active

    on_uvloop(main)


def test_messages_keep_their_order_whether_they_were_refused_or_held() -> None:
    async def main() -> None:
        one = World()
        await one.initialize()
        one.say(*(request("tools/call", number) for number in (1, 2, 3)))
        early = [await one.next("tools/call") for _ in range(3)]
        gone(early[1])
        gone(early[0])
        one.say(request("tools/call", 4), notification("notifications/roots/list_changed"))
        one.say(request("tools/call", 5))
        hello = await one.welcome(b"s2")
        gone(early[2])
        assert one.bridge.held == 3
        (await one.next("notifications/initialized")).empty(202)
        await one.next("GET")

        order = [(await one.asked.get()).message for _ in range(6)]
        assert [message.get("id", message["method"]) for message in order] == [
            1, 2, 3, 4, "notifications/roots/list_changed", 5,
        ]  # fmt: skip
        assert hello.message["method"] == "initialize"
        assert one.asked.empty()

    on_uvloop(main)


def test_refusal_that_comes_after_the_renewal_begins_no_other() -> None:
    async def main() -> None:
        one = World()
        await one.initialize()
        one.say(request("tools/call", 1), request("tools/call", 2))
        first, late = await one.next("tools/call"), await one.next("tools/call")
        gone(first)
        await one.renew()
        await one.next("tools/call")
        gone(late)
        again = await one.next("tools/call")
        assert (again.message["id"], again.header("mcp-session-id")) == (2, "s2")
        assert len(one.renewed) == 1

    on_uvloop(main)


def test_session_may_be_lost_again_later() -> None:
    async def main() -> None:
        one = World()
        await one.initialize()
        for number in (2, 3):
            one.say(request("tools/call", number))
            gone(await one.next("tools/call"))
            await one.renew(b"s%d" % number)
            again = await one.next("tools/call")
            assert again.header("mcp-session-id") == f"s{number}"
            again.result({})

    on_uvloop(main)


def test_server_without_sessions_may_take_the_place_of_one_with_them() -> None:
    async def main() -> None:
        one = World()
        await one.initialize()
        one.say(request("tools/call", 1))
        gone(await one.next("tools/call"))
        await one.renew(None)
        again = await one.next("tools/call")
        assert again.header("mcp-session-id") is None
        again.result({})

    on_uvloop(main)


def test_session_lost_before_it_was_confirmed_is_confirmed_once() -> None:
    async def main() -> None:
        one = World()
        one.say(request("initialize", 0, protocolVersion=VERSION))
        await one.welcome(b"s1")
        one.say(notification("notifications/initialized"), request("tools/call", 1))
        gone(await one.next("notifications/initialized"))
        await one.renew()
        assert (await one.next("tools/call")).header("mcp-session-id") == "s2"
        assert one.asked.empty()

    on_uvloop(main)


def test_notifications_about_requests_of_the_lost_session_are_let_go() -> None:
    async def main() -> None:
        one = World()
        await one.initialize()
        one.say(request("tools/call", 1), notification("notifications/cancelled", requestId=1))
        call, cancel = await one.next("tools/call"), await one.next("notifications/cancelled")
        gone(cancel)
        gone(call)
        one.say(notification("notifications/progress", progressToken=1, progress=1))
        gone(await one.next("notifications/progress"))
        assert one.asked.empty()
        assert not one.bridge.active
        assert not one.lost

    on_uvloop(main)


# --- what it does notice --------------------------------------------------------------------------


def cut(one: Asked) -> None:
    one.responder.abort()


def cut_in_a_stream(one: Asked) -> None:
    one.stream({"jsonrpc": "2.0", "method": "notifications/message", "params": {}})
    one.responder.abort()


@pytest.mark.parametrize("end", [cut, cut_in_a_stream, lambda one: one.empty(502)])
def test_call_that_was_under_way_is_answered_with_its_error_and_never_sent_again(
    end: Callable[[Asked], None],
) -> None:
    async def main() -> None:
        one = World()
        await one.initialize()
        one.say(request("tools/call", 1), request("tools/call", 2))
        first, other = await one.next("tools/call"), await one.next("tools/call")
        end(first)
        gone(other)
        await one.renew()
        (await one.next("tools/call")).result({})
        answers = {}
        while len(answers) < 2:
            message = await one.told()
            if "id" in message:
                answers[message["id"]] = message
        assert "error" in answers[1]
        assert "result" in answers[2]
        assert one.asked.empty()

    on_uvloop(main)


def test_stream_of_a_lost_session_is_not_asked_for_in_the_new_one() -> None:
    async def main() -> None:
        one = World()
        await one.initialize()
        one.say(request("tools/call", 1), request("tools/call", 2))
        first, other = await one.next("tools/call"), await one.next("tools/call")
        first.stream()
        first.responder.write(b"id: e1\nretry: 100\ndata:\n\n")
        first.responder.finish()
        gone(other)
        await one.renew()
        (await one.next("tools/call")).result({})
        messages = [await one.told() for _ in range(3)]
        error = next(message for message in messages if message.get("id") == 1)
        assert "session is lost" in error["error"]["message"]
        assert one.asked.empty()

    on_uvloop(main)


def test_resumed_stream_that_is_answered_404_is_an_error() -> None:
    async def main() -> None:
        one = World()
        await one.initialize()
        one.say(request("tools/call", 1))
        first = await one.next("tools/call")
        first.stream()
        first.responder.write(b"id: e1\nretry: 100\ndata:\n\n")
        first.responder.finish()
        (await one.next("GET")).empty(404)
        assert "HTTP status 404" in (await one.told())["error"]["message"]
        assert one.asked.empty()

    on_uvloop(main)


def test_second_refusal_is_the_client_s() -> None:
    async def main() -> None:
        one = World()
        await one.initialize()
        one.say(request("tools/call", 1))
        gone(await one.next("tools/call"))
        await one.renew()
        gone(await one.next("tools/call"))
        await one.told()
        assert await one.told() == {"jsonrpc": "2.0", "id": 1, "error": GONE}
        assert one.asked.empty()
        assert one.lost == 1

    on_uvloop(main)


@pytest.mark.parametrize(
    ("session", "message", "said"),
    [
        (None, request("tools/call", 1), "Session not found"),
        (b"s1", request("initialize", 1, protocolVersion=VERSION), "Session not found"),
    ],
    ids=["without a session", "initialize"],
)
def test_404_that_says_nothing_of_a_session_renews_nothing(
    session: bytes | None, message: Json, said: str
) -> None:
    async def main() -> None:
        one = World()
        if session is None:
            one.say(request("initialize", 0, protocolVersion=VERSION))
            await one.welcome(None)
            await one.told()
            one.say(notification("notifications/initialized"))
            (await one.next("notifications/initialized")).empty(202)
            await one.next("GET")
        else:
            await one.initialize(session)
        one.say(message)
        gone(await one.asked.get())
        assert (await one.told())["error"]["message"] == said
        assert one.asked.empty()

    on_uvloop(main)


def test_session_whose_handshake_was_not_finished_is_not_begun_anew() -> None:
    async def main() -> None:
        one = World()
        one.say(request("initialize", 0, protocolVersion=VERSION))
        await one.welcome(b"s1")
        await one.told()
        one.say(request("ping", 1))
        gone(await one.next("ping"))
        assert (await one.told())["error"] == GONE
        assert one.asked.empty()

    on_uvloop(main)


def test_modern_call_answered_404_is_no_lost_session() -> None:
    async def main() -> None:
        one = World()
        await one.initialize()
        one.say(world.modern(world.call("echo")))
        gone(await one.next("tools/call"))
        assert (await one.told())["error"] == GONE
        assert one.asked.empty()

    on_uvloop(main)


def test_call_of_a_client_that_has_closed_its_side_is_not_sent_again() -> None:
    async def main() -> None:
        one = World()
        await one.initialize()
        one.say(request("tools/call", 1))
        one.bridge.closing()
        gone(await one.next("tools/call"))
        assert (await one.told())["error"] == GONE
        assert one.asked.empty()

    on_uvloop(main)


# --- renewals that fail ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"version": "2025-06-18"}, "another revision"),
        ({"name": "other"}, "another server"),
    ],
)
def test_server_that_is_not_what_the_client_was_told_is_not_used(answer: Json, reason: str) -> None:
    async def main() -> None:
        one = World()
        await one.initialize()
        one.say(request("tools/call", 1))
        gone(await one.next("tools/call"))
        await one.welcome(b"s2", **answer)
        deleted = await one.next("DELETE")
        assert deleted.header("mcp-session-id") == "s2"
        assert (await one.told())["error"] == GONE
        assert reason in one.log[-1]
        assert one.lost == 1
        assert not one.renewed
        one.say(request("tools/call", 2))
        assert (await one.next("tools/call")).header("mcp-session-id") == "s1"

    on_uvloop(main)


@pytest.mark.parametrize(
    "fail",
    [
        lambda one: one.empty(502),
        lambda one: one.json({"jsonrpc": "2.0", "id": one.message["id"], "error": GONE}, 404),
        lambda one: one.result({"protocolVersion": 5}),
        lambda one: one.result({"protocolVersion": VERSION, "serverInfo": "srv"}),
        lambda one: one.responder.abort(),
        lambda one: one.json({"jsonrpc": "2.0", "id": 0, "result": {}}),
    ],
    ids=["502", "404", "version", "name", "cut", "other id"],
)
def test_failed_initialize_leaves_the_client_with_its_error(fail: Callable[[Asked], None]) -> None:
    async def main() -> None:
        one = World()
        await one.initialize()
        one.say(request("tools/call", 1))
        gone(await one.next("tools/call"))
        one.say(request("tools/call", 2))
        fail(await one.next("initialize"))
        assert await one.told() == {"jsonrpc": "2.0", "id": 1, "error": GONE}
        held = await one.next("tools/call")
        assert (held.message["id"], held.header("mcp-session-id")) == (2, "s1")
        assert "no other could be begun" in one.log[-1]

    on_uvloop(main)


@pytest.mark.parametrize(
    "fail", [lambda one: one.empty(404), lambda one: one.responder.abort()], ids=["404", "cut"]
)
def test_failed_confirmation_leaves_the_client_with_its_error(fail: Callable[[Asked], None]) -> None:
    async def main() -> None:
        one = World()
        await one.initialize()
        one.say(request("tools/call", 1))
        gone(await one.next("tools/call"))
        await one.welcome(b"s2")
        fail(await one.next("notifications/initialized"))
        assert (await one.next("DELETE")).header("mcp-session-id") == "s2"
        assert (await one.told())["error"] == GONE

    on_uvloop(main)


def test_renewal_takes_a_bounded_time() -> None:
    async def main() -> None:
        one = World(within=0.05)
        await one.initialize()
        one.say(request("tools/call", 1))
        gone(await one.next("tools/call"))
        hello = await one.next("initialize")
        await hello.gone.wait()
        assert (await one.told())["error"] == GONE
        assert "more than 0.05 s" in one.log[-1]

    on_uvloop(main)


def test_flood_of_404_begins_a_bounded_number_of_sessions() -> None:
    sessions: list[int] = []

    def amnesic(request: ClientRequest, responder: Responder) -> None:
        one = Asked(request, responder)
        if request.method != "POST":
            one.empty(405)
        elif one.message["method"] == "initialize":
            sessions.append(1)
            agreed = {"protocolVersion": VERSION, "serverInfo": {"name": "srv"}, "capabilities": {}}
            one.result(agreed, (b"mcp-session-id", b"s%d" % len(sessions)))
        elif one.message["method"] == "notifications/initialized":
            one.empty(202)
        else:
            gone(one)

    async def main() -> None:
        one = World(amnesic, tries=3)
        one.say(request("initialize", "i", protocolVersion=VERSION))
        await one.told()
        one.say(notification("notifications/initialized"))
        for number in range(20):
            one.say(request("tools/call", number))
            while (await one.told()).get("id") != number:
                pass
        assert len(sessions) == 1 + 3

    on_uvloop(main)


def test_handshake_that_is_too_large_is_not_remembered() -> None:
    async def main() -> None:
        one = World(handshake=64)
        await one.initialize()
        one.say(request("tools/call", 1))
        gone(await one.next("tools/call"))
        assert (await one.told())["error"] == GONE
        assert one.asked.empty()

    on_uvloop(main)


def test_end_of_the_client_ends_a_renewal_and_answers_what_waits() -> None:
    async def main() -> None:
        one = World()
        await one.initialize()
        one.say(request("tools/call", 1))
        gone(await one.next("tools/call"))
        hello = await one.next("initialize")
        one.say(request("tools/call", 2))
        one.bridge.give_up("the gate stopped")
        assert hello.gone.is_set()
        assert {(await one.told())["id"] for _ in range(2)} == {1, 2}
        assert not one.bridge.active
        assert one.asked.empty()

    on_uvloop(main)


def test_client_that_leaves_takes_what_was_refused_with_it() -> None:
    async def main() -> None:
        one = World()
        await one.initialize()
        one.say(request("tools/call", 1))
        gone(await one.next("tools/call"))
        hello = await one.next("initialize")
        one.bridge.leave()
        assert hello.gone.is_set()
        assert await one.bridge.settle(1)
        assert one.asked.empty()

    on_uvloop(main)


# --- what else belongs to a session ---------------------------------------------------------------


def test_other_capabilities_are_told_to_whoever_keeps_the_records() -> None:
    async def main() -> None:
        one = World()
        await one.initialize()
        one.say(request("tools/call", 1))
        gone(await one.next("tools/call"))
        await one.renew(capabilities={"tools": {}})
        await one.next("tools/call")
        assert one.renewed == [Renewed(alike=False, news=frozenset({"tools"}), again=1)]

    on_uvloop(main)


def test_answer_to_a_question_of_the_lost_session_answers_no_other() -> None:
    """A restarted server numbers its questions from the start."""

    async def main() -> None:
        one = World()
        stream = await one.initialize()
        stream.stream(request("elicitation/create", 0, message="delete?"))
        assert (await one.told())["id"] == 0
        one.say(request("tools/call", 1))
        gone(await one.next("tools/call"))
        stream = await one.renew()
        await one.next("tools/call")
        await one.told()
        stream.stream(request("elicitation/create", 0, message="delete more?"))
        question = await one.told()
        assert question["id"] != 0
        assert question["params"] == {"message": "delete more?"}

        one.say({"jsonrpc": "2.0", "id": 0, "result": {"action": "accept"}})
        assert one.asked.empty()
        assert "a session that is lost" in one.log[-1]
        one.say({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "decline"}})
        answer = await one.asked.get()
        assert answer.message == {"jsonrpc": "2.0", "id": 0, "result": {"action": "decline"}}
        assert answer.header("mcp-session-id") == "s2"

    on_uvloop(main)


def reply(epoch: int, message: bytes) -> bytes | None:
    seen = glance(message)
    assert seen is not None
    return answered(epoch, message, seen)


@pytest.mark.parametrize("own", [5, "5", 'ä"\\', -(2**53), ""])
def test_ids_of_questions_come_back_as_they_were(own: int | str) -> None:
    message = encoded(request("ping", own))
    shown = json.loads(asked(3, message))
    answer = encoded({"jsonrpc": "2.0", "id": shown["id"], "result": {}})
    back = reply(3, answer)
    assert json.loads(back or b"") == {"jsonrpc": "2.0", "id": own, "result": {}}
    assert reply(2, answer) is None
    assert asked(0, message) == message


def test_cancelled_question_is_named_as_the_client_knows_it() -> None:
    cancelled = asked(1, encoded(notification("notifications/cancelled", requestId=4, reason="r")))
    shown = json.loads(asked(1, encoded(request("ping", 4))))
    assert json.loads(cancelled)["params"] == {"requestId": shown["id"], "reason": "r"}


@pytest.mark.parametrize(
    "own", ["session-1:", "session-1:{}", "session-1:1,", "session-1:null", "session-10:1"]
)
def test_made_up_ids_answer_nothing(own: str) -> None:
    message = encoded({"jsonrpc": "2.0", "id": own, "result": {}})
    assert reply(1, message) is None


# --- through a whole gate -------------------------------------------------------------------------


def forgetful(upstream: world.Upstream) -> Callable[[], None]:
    """Let the upstream have sessions; what is returned makes it forget all."""
    known: set[str] = set()
    opened = [0]

    def hello(seen: world.Seen) -> bytes:
        opened[0] += 1
        known.add(f"up{opened[0]}")
        agreed = {"protocolVersion": VERSION, "serverInfo": {"name": "srv"}, "capabilities": CAPABILITIES}
        line = b"mcp-session-id: up%d" % opened[0]
        return world.http(world.result(seen.message, agreed), b"application/json", 200, line)

    def within_a_session(seen: world.Seen) -> bytes:
        if seen.headers.get("mcp-session-id") not in known:
            error = {"jsonrpc": "2.0", "id": seen.message.get("id"), "error": GONE}
            return world.http(encoded(error), status=404)
        if seen.message["method"] == "tools/list":
            return world.http(world.result(seen.message, {"tools": upstream.tools}))
        return world.http(world.result(seen.message, {"content": []}))

    upstream.script |= {
        "initialize": hello,
        "tools/call": within_a_session,
        "own listing": within_a_session,
        "GET": world.http(b"", b"", 405),
    }
    return known.clear


async def ready(gate: world.World) -> World:
    """A client of standard streams in front of the gate, after its handshake."""
    one = World(Gate(gate.desk, Grant.named("local")), partial(session_renewed, gate.desk, "local"))
    who = {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
    one.say(world.request("initialize", who, 0))
    await one.told()
    one.say(notification("notifications/initialized"))
    await until(lambda: not one.bridge.active)
    return one


async def answer_to(one: World, number: int) -> Json:
    while (message := await one.told()).get("id") != number:
        pass
    return message


LIMITED = {
    "version": "1",
    "default": "deny",
    "tools": {"echo": {"limits": [{"counter": "calls", "window": "day", "max": 3}]}},
}


@pytest.mark.parametrize("stale", [False, True], ids=["the call is refused", "the gate's own listing is"])
def test_call_sent_again_is_a_whole_call_that_is_decided_and_recorded(tmp_path: Path, *, stale: bool) -> None:
    async def main() -> None:
        async with world.world(world.deny_but("echo"), tmp_path / "s") as gate:
            forget = forgetful(gate.upstream)
            one = await ready(gate)
            one.say(world.call("echo", {"n": 1}, 1))
            assert "result" in await answer_to(one, 1)
            forget()
            if stale:
                gate.desk.catalogues.doubt()
            one.say(world.call("echo", {"n": 2}, 2))
            assert "result" in await answer_to(one, 2)
            await until(lambda: not one.bridge.active)

            rows = [row for row in await gate.records() if row.method in ("tools/call", "session-renewed")]
            kinds = [row.kind for row in rows]
            refused = ["denial"] if stale else ["intent", "outcome"]
            assert kinds == ["intent", "outcome", *refused, "event", "intent", "outcome"]
            assert len({row.parent or row.id for row in rows if row.kind != "event"}) == 3
            event = rows[kinds.index("event")]
            assert (event.method, event.note, event.grant) == ("session-renewed", "1 sent again", "local")
            assert "other capabilities" not in str(event.reasons)

    on_uvloop(main)


def test_limits_count_the_refused_call_and_the_one_sent_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with world.world(LIMITED, tmp_path / "s") as gate:
            forget = forgetful(gate.upstream)
            one = await ready(gate)
            one.say(world.call("echo", None, 1))
            assert "isError" not in (await answer_to(one, 1))["result"]
            forget()
            one.say(world.call("echo", None, 2))
            assert "isError" not in (await answer_to(one, 2))["result"]
            one.say(world.call("echo", None, 3))
            assert (await answer_to(one, 3))["result"]["isError"] is True
            assert len(gate.upstream.calls) == 3

    on_uvloop(main)


def test_call_that_the_policy_of_now_denies_is_not_sent_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with world.world(world.deny_but("echo"), tmp_path / "s") as gate:
            forget = forgetful(gate.upstream)
            one = await ready(gate)
            forget()
            first = gate.upstream.script["initialize"]

            def hello(seen: world.Seen) -> Any:
                gate.reload(world.deny_but("other"))
                return first(seen) if callable(first) else first

            gate.upstream.script["initialize"] = hello
            one.say(world.call("echo", None, 1))
            answer = await answer_to(one, 1)
            assert "[POLICY DENIED]" in answer["result"]["content"][0]["text"]
            assert gate.upstream.calls == []

    on_uvloop(main)


@pytest.mark.parametrize("allowed", [True, False])
def test_client_is_told_that_its_lists_may_be_others_where_the_policy_lets_it(
    tmp_path: Path, *, allowed: bool
) -> None:
    methods = {} if allowed else {"default": "allow", "deny": ["notifications/tools/list_changed"]}
    policy = {"version": "1", "default": "allow", "tools": {}, **({"methods": methods} if methods else {})}

    async def main() -> None:
        async with world.world(policy, tmp_path / "s") as gate:
            forget = forgetful(gate.upstream)
            one = await ready(gate)
            forget()
            one.say(world.call("echo", None, 1))
            first = await one.told()
            assert (first.get("method") == "notifications/tools/list_changed") is allowed

    on_uvloop(main)
