"""What both Python drivers share: commands as JSON lines in, replies as JSON lines out.

The protocol is described in `tests.e2e.driver`. Standard library only, since the two run in
environments of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any


def dumped(model: Any) -> Any:
    return model.model_dump(by_alias=True, mode="json", exclude_unset=True)


class Connection(ABC):
    """One client that is connected to one server."""

    types: Any
    client: Any

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.closing = asyncio.Event()
        self.ended: asyncio.Task[None] | None = None

    @abstractmethod
    async def hold(self, spec: dict[str, Any], ready: asyncio.Future[Any]) -> None:
        """Connect, tell `ready` about the server, and stay until `closing`."""

    async def run(self, spec: dict[str, Any], ready: asyncio.Future[Any]) -> None:
        try:
            await self.hold(spec, ready)
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(plain(error))

    def callbacks(self, spec: dict[str, Any]) -> dict[str, Any]:
        """What the client answers: everything, only forms in one way, or nothing."""
        if elicits := spec.get("elicits"):
            return {"elicitation_callback": self.elicited(elicits)}
        return self.everything() if spec.get("answers") else {}

    def elicited(self, elicits: dict[str, Any]) -> Callable[[Any, Any], Any]:
        async def elicit(_context: Any, _params: Any) -> Any:
            self.asked.append("elicitation/create")
            return self.types.ElicitResult(**elicits)

        return elicit

    def everything(self) -> dict[str, Any]:
        types = self.types

        async def sample(_context: Any, _params: Any) -> Any:
            self.asked.append("sampling/createMessage")
            return types.CreateMessageResult.model_validate(
                {
                    "role": "assistant",
                    "content": {"type": "text", "text": "a sampled answer"},
                    "model": "model-of-the-test",
                    "stopReason": "endTurn",
                }
            )

        async def elicit(_context: Any, _params: Any) -> Any:
            self.asked.append("elicitation/create")
            return types.ElicitResult(action="accept", content={"name": "Ada", "check": True})

        async def roots(_context: Any) -> Any:
            self.asked.append("roots/list")
            return types.ListRootsResult(roots=[types.Root(uri="file:///tmp/one-root", name="one")])

        return {"sampling_callback": sample, "elicitation_callback": elicit, "list_roots_callback": roots}

    async def hear(self, message: Any) -> None:
        message = getattr(message, "root", message)
        method = getattr(message, "method", "")
        if method.startswith("notifications/") and method != "notifications/progress":
            self.heard.append(dumped(message))

    async def ask(self, command: dict[str, Any]) -> dict[str, Any]:
        progress: list[Any] = []

        async def note(done: float, total: float | None, message: str | None) -> None:
            progress.append([done, total, message])

        result = await self.request(command["method"], command.get("params", {}), note)
        return {"result": dumped(result), "progress": progress}

    async def request(self, method: str, params: dict[str, Any], note: Any) -> Any:
        client, types = self.client, self.types
        simple = {
            "tools/list": client.list_tools,
            "resources/list": client.list_resources,
            "resources/templates/list": client.list_resource_templates,
            "prompts/list": client.list_prompts,
            "ping": client.send_ping,
        }
        of_uri = {
            "resources/read": client.read_resource,
            "resources/subscribe": client.subscribe_resource,
            "resources/unsubscribe": client.unsubscribe_resource,
        }
        if method in simple:
            return await simple[method]()
        if method in of_uri:
            return await of_uri[method](params["uri"])
        if method == "tools/call":
            return await client.call_tool(params["name"], params.get("arguments"), progress_callback=note)
        if method == "prompts/get":
            return await client.get_prompt(params["name"], params.get("arguments"))
        if method == "logging/setLevel":
            return await client.set_logging_level(params["level"])
        assert method == "completion/complete", method
        prompt = params["ref"]["type"] == "ref/prompt"
        kind = types.PromptReference if prompt else types.ResourceTemplateReference
        return await client.complete(kind.model_validate(params["ref"]), params["argument"])


def plain(error: BaseException) -> BaseException:
    """The one error inside of groups of one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def failure(error: BaseException) -> dict[str, Any]:
    error = plain(error)
    told = getattr(error, "error", None)
    if told is not None:
        return {"error": {"code": told.code, "message": told.message, "data": told.data}}
    return {"fault": f"{type(error).__name__}: {error}"}


class Drivers:
    """Takes commands until the input ends."""

    def __init__(self, make: Callable[[], Connection]) -> None:
        self.make = make
        self.connections: dict[str, Connection] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        while line := await asyncio.to_thread(sys.stdin.readline):
            task = asyncio.get_running_loop().create_task(self.serve(json.loads(line)))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        for name in list(self.connections):
            await self.close(name)

    async def serve(self, command: dict[str, Any]) -> None:
        try:
            reply = await self.obey(command)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test is told
            reply = failure(error)
        print(json.dumps({"n": command["n"], **reply}), flush=True)

    async def obey(self, command: dict[str, Any]) -> dict[str, Any]:
        name = command["name"]
        if command["do"] == "connect":
            return {"result": await self.connect(name, command)}
        connection = self.connections[name]
        if command["do"] == "ask":
            return await connection.ask(command)
        if command["do"] == "heard":
            while len(connection.heard) < command.get("count", 0):
                await asyncio.sleep(0.01)
            heard, connection.heard = connection.heard, []
            asked, connection.asked = connection.asked, []
            return {"result": {"heard": heard, "asked": asked}}
        await self.close(name)
        return {"result": None}

    async def connect(self, name: str, command: dict[str, Any]) -> Any:
        connection = self.make()
        loop = asyncio.get_running_loop()
        ready = loop.create_future()
        connection.ended = loop.create_task(connection.run(command, ready))
        about = await ready
        self.connections[name] = connection
        return about

    async def close(self, name: str) -> None:
        connection = self.connections.pop(name)
        connection.closing.set()
        assert connection.ended is not None
        with contextlib.suppress(Exception):  # client 1.x breaks off when the server still speaks
            await connection.ended


def serve(make: Callable[[], Connection]) -> None:
    asyncio.run(Drivers(make).run())
