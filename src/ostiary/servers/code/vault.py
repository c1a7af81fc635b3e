"""The secrets of code mode: who may use which, and what a run gets in the place of each."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final

from ostiary.errors import CallerFault
from ostiary.sandbox.egress.looked_into import Doorway, LookedInto
from ostiary.sandbox.egress.places import Allowed, Place, find_entry
from ostiary.sandbox.egress.swap import Held
from ostiary.sandbox.masks import Masks
from ostiary.sandbox.secrecy import Outward
from ostiary.sandbox.toolbox import Toolbox, ToolFault, ToolHeld
from ostiary.servers.code.secrets_file import SecretEntry
from ostiary.servers.code.tools import LOOKING

_BYTES: Final = 20
"""Random bytes of a placeholder, whatever the length of its secret."""
_REFUSED: Final = -32_602


class Vault:
    """All secrets of the server. `allowed` are hosts that every run may reach."""

    def __init__(
        self, entries: Sequence[SecretEntry], allowed: Sequence[Allowed], doorway: Doorway | None
    ) -> None:
        self._entries = {one.name: one for one in entries}
        self._allowed = tuple(allowed)
        self._doorway = doorway

    def told(self, grant: str) -> list[dict[str, Any]]:
        """What `getUserSecrets` says to this grant: names, modes, and where each may go."""
        return [
            {"name": one.name, "mode": one.mode}
            | ({"hosts": [_shown(host) for host in one.hosts]} if one.hosts else {"servers": [*one.servers]})
            for one in self._entries.values()
            if one.is_for(grant)
        ]

    def astray(self, text: str, place: Place) -> str:
        """The name of a secret whose value `text` holds and that is not for `place`; empty for none."""
        for one in self._entries.values():
            if one.value in text and find_entry(one.hosts, place) is None:
                return one.name
        return ""

    def of_run(self, grant: str, names: Sequence[str], taken: Sequence[str] = ()) -> RunSecrets:
        """The secrets that a run of `grant` asks for. `taken` are its other variables.

        Raises CallerFault for one that there is not, or not for this grant: nobody is told which.
        """
        usable = {name: one for name, one in self._entries.items() if one.is_for(grant)}
        for name in names:
            if name not in usable:
                near = get_close_matches(name, usable, n=1)
                raise CallerFault(
                    f"required_secrets: there is no secret `{name[:80]}` for you",
                    hint=f"did you mean `{near[0]}`" if near else "getUserSecrets lists them",
                )
            if name in taken:
                raise CallerFault(f"required_secrets: `{name}` is among input_vars or output_vars, too")
        chosen = [usable[name] for name in dict.fromkeys(names)]
        values = [one.name for one in chosen if one.mode == "value"]
        others = [one.name for one in chosen if one.mode != "value"]
        if values and others:
            raise CallerFault(
                f"required_secrets: `{values[0]}` is there as its value, so this run has no network, "
                f"and `{others[0]}` is of no use without",
                hint="use them in two runs",
            )
        return RunSecrets(chosen, self._allowed, self._doorway)


class RunSecrets:
    """Implements `Secrecy`: the secrets of one run."""

    def __init__(
        self, chosen: Sequence[SecretEntry], allowed: Sequence[Allowed], doorway: Doorway | None
    ) -> None:
        self._chosen = tuple(chosen)
        self._held = tuple(
            Held(one.name, secrets.token_hex(_BYTES), one.value, one.hosts)
            for one in chosen
            if one.mode == "placeholder"
        )
        self._values = tuple(one for one in chosen if one.mode == "value")
        self._masks = Masks(one.value for one in chosen)
        reachable = not self._values and (self._held or allowed)
        self._way = LookedInto(doorway, allowed, self._held) if reachable and doorway is not None else None

    @property
    def variables(self) -> Mapping[str, str]:
        """What code finds by the names of the secrets."""
        found = {one.name: one.placeholder for one in self._held}
        return found | {one.name: one.value for one in self._values}

    @property
    def holds_any(self) -> bool:
        """See `Secrecy.holds_any`."""
        return bool(self._chosen)

    @property
    def needs_network(self) -> bool:
        """Whether it makes no sense without a network."""
        return bool(self._held)

    @property
    def outward(self) -> Outward | None:
        """See `Secrecy.outward`."""
        return self._way

    @property
    def masks(self) -> Masks:
        """See `Secrecy.masks`."""
        return self._masks

    @property
    def notes(self) -> tuple[str, ...]:
        """See `Secrecy.notes`."""
        told = [
            f"secret `{one.name}`: a placeholder, which becomes the value on the way to "
            + ", ".join(_shown(host) for host in one.hosts)
            for one in self._held
        ]
        told += [f"secret `{one.name}`: its value; outputs are masked" for one in self._values]
        if self._way is not None:
            told += [f"network: {reason}" for reason in self._way.refusals]
        return tuple(told)

    def guarded(self, tools: Toolbox, servers: Mapping[str, str]) -> Toolbox:
        """The same tools, for code that holds these. `servers` says whose each is."""
        return Guarded(tools, servers, self._held, self._values) if self._chosen else tools


class Guarded:
    """Implements `Toolbox`: tools that get no secret, but those of servers that a secret is for."""

    def __init__(
        self,
        tools: Toolbox,
        servers: Mapping[str, str],
        held: Sequence[Held],
        values: Sequence[SecretEntry],
    ) -> None:
        self._tools = tools
        self._servers = dict(servers)
        self._traces = tuple((one.name, Masks((one.placeholder,), known=True)) for one in held)
        self._values = tuple(values)
        self._masks = Masks(one.value for one in values)

    @property
    def stubs(self) -> str:
        """See `Toolbox.stubs`."""
        return self._tools.stubs

    @property
    def names(self) -> frozenset[str]:
        """See `Toolbox.names`."""
        return self._tools.names

    def spelled(self, name: str) -> str:
        """See `Toolbox.spelled`."""
        return self._tools.spelled(name)

    def missing(self, name: str) -> str | None:
        """See `Toolbox.missing`."""
        return self._tools.missing(name)

    async def call(self, name: str, positional: tuple[Any, ...], named: Mapping[str, Any]) -> Any:
        """See `Toolbox.call`. A call that is held has failed: what waits would be kept with its values."""
        self._check(name, positional, named)
        try:
            return await self._tools.call(name, positional, named)
        except ToolHeld as held:
            raise ToolFault(held.message, held.code) from held

    def _check(self, name: str, positional: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        for one in self._values if name not in LOOKING else ():
            # Whatever the arguments are: code that holds a value can write it in any form.
            if self._servers.get(name) not in one.servers:
                raise ToolFault(
                    f"this run holds the value of `{one.name}`, which is not for the server of {name}: "
                    "the secret's `servers` do not name it",
                    _REFUSED,
                )
        names = "\n".join(named).encode("utf-8", "surrogatepass")
        if self._masks.masked(names) != names:
            raise ToolFault(f"the name of an argument of {name} holds a secret: records have names", _REFUSED)
        if self._traces:
            data = json.dumps([positional, named], ensure_ascii=False).encode("utf-8", "surrogatepass")
            for secret, traces in self._traces:
                if traces.masked(data) != data:
                    raise ToolFault(
                        f"the arguments of {name} hold the placeholder of `{secret}`: it becomes the value "
                        "on the way to the secret's hosts, and nowhere else",
                        _REFUSED,
                    )


def _shown(host: Allowed) -> str:
    return f"{'*.' if host.below else ''}{host.host}:{host.port}"
