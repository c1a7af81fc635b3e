"""Arguments that headers repeat (`Mcp-Param-*`): which ones, for one call of one tool.

The tool's own schema names them (MCP 2026-07-28, custom headers), so they are known only once the
list of tools is. A server behind HTTP compares them itself. One behind standard streams never sees
a header: there the gate is the HTTP server, so it reads the list first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ostiary.calls.call import Catalogue
from ostiary.identity.grant import Grant
from ostiary.proxy.catalogue import Asking, Consulted
from ostiary.proxy.desk import Desk
from ostiary.proxy.exchange import Header
from ostiary.proxy.headers import for_own_request, own_meta
from ostiary.wire.era import body_version
from ostiary.wire.message import Message
from ostiary.wire.mirror import Parameters, parameters_of


class Mirrored:
    """Knows, or finds out, what headers a call has to repeat its arguments in."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._of_schema: dict[str, Parameters] = {}

    def known(self, message: Message, grant: Grant, peer: str) -> Parameters | None:
        """What the call repeats, as far as it is known without asking; None if it has to be asked.

        Tools name such headers on the modern era only. Those of a stdio client are written by
        our own bridge, from the list that this client has seen.
        """
        if message.method != "tools/call" or peer == "stdio" or body_version(message) is None:
            return ()
        catalogue = self._desk.catalogues.known((grant.name, ""))
        if catalogue is None:
            return None if self._desk.headers_end_here else ()
        return self._named(message, catalogue)

    def ask(
        self, message: Message, grant: Grant, headers: Sequence[Header], done: Callable[[Parameters], None]
    ) -> None:
        """Read the list of tools, then tell `done` what the call repeats.

        Nothing where there is no list: no tool has named a header then.
        """

        def listed(consulted: Consulted) -> None:
            found = isinstance(consulted, Catalogue)
            done(self._named(message, consulted) if found else ())

        own = for_own_request(headers, self._desk.own_headers)
        asking = Asking((grant.name, ""), own, own_meta(message))
        self._desk.catalogues.consult(asking, listed)

    def _named(self, message: Message, catalogue: Catalogue) -> Parameters:
        tool = catalogue.definitions.get(str(message.params["name"]))
        if tool is None:
            return ()
        found = self._of_schema.get(tool.digest)
        if found is None:
            if len(self._of_schema) >= MAX_REMEMBERED:
                self._of_schema.clear()
            found = self._of_schema[tool.digest] = parameters_of(tool.input_schema)
        return found


MAX_REMEMBERED = 4_096
"""Schemas whose parameters are remembered."""
