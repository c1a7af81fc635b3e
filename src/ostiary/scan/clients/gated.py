"""An entry that goes through a gate: how it is told, and what it is to say."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import Final

import msgspec

from ostiary.errors import CallerFault
from ostiary.scan.clients.edit import Changes
from ostiary.scan.clients.entry import HEADER_KEYS, URL_KEYS, Entry
from ostiary.scan.clients.secrecy import names_secret, secret_in_url
from ostiary.scan.clients.spans import Slot
from ostiary.settings import checked_header
from ostiary.wire.strict import quoted

MAX_LABEL: Final = 64

_OAUTH: Final = ("oauth", "auth", "authProviderType", "headersHelper")
"""Keys by which a client signs in itself, or makes headers itself; a gate would not do it in its place."""
_OWN: Final = re.compile(r"ostiary(?:-[0-9][0-9.]*)?(?:\.exe|\.pyz|\.pex)?", re.IGNORECASE)
_PYTHON: Final = re.compile(r"(?:python|pypy)[0-9.]*(?:\.exe)?|py(?:\.exe)?", re.IGNORECASE)
_STEERING: Final = re.compile(
    r"(?:LD|DYLD)_.*|PEX.*|PYTHON(?:PATH|HOME|PLATLIBDIR|USERBASE|STARTUP|INSPECT|BREAKPOINT|EXECUTABLE)",
    re.IGNORECASE | re.DOTALL,
)
"""Variables by which the gate itself would run other code, as it gets those of its server."""
_APART: Final = frozenset({"-I", "-E", "-P", "-EP", "-s"})
"""Options of Python that keep it apart from variables, or from the folder that it is started in."""
_CODEX_ONLY: Final = ("bearer_token_env_var", "env_http_headers")


class Gate(msgspec.Struct, frozen=True):
    """The command of this program, the policy of one server, and where records are kept.

    `label` is what records call the server; `label_of` the entry where it is empty.
    """

    program: tuple[str, ...]
    policy: str
    state_dir: str
    label: str = ""


def is_gated(command: Sequence[str]) -> bool:
    """Whether a command is `ostiary proxy` or `ostiary run`, directly or by a usual launcher.

    It is told by its name: what a program of that name really does is not looked at.
    """
    words = list(command)
    if words and PurePath(words[0].replace("\\", "/")).name.lower() in {"wsl.exe", "wsl"}:
        words = words[2:] if words[1:2] in (["--exec"], ["-e"], ["--"]) else words[1:]
    if words and _PYTHON.fullmatch(_base(words[0])):
        at = next((at for at, word in enumerate(words) if at and word not in _APART), len(words))
        words = words[at + 1 :] if words[at : at + 2] == ["-m", "ostiary"] else words
    if words and _base(words[0]) in {"uvx", "pipx", "uv"}:
        words = words[{"uvx": 1, "pipx": 2, "uv": 3}[_base(words[0])] :]
    return bool(words) and bool(_OWN.fullmatch(_base(words[0]))) and words[1:2] in (["proxy"], ["run"])


def _base(word: str) -> str:
    return PurePath(word.replace("\\", "/")).name


def label_of(entry: Entry, apart: str = "") -> str:
    """A name for records, counters and files, as near to the person's as it gets.

    A server of one project alone, or whose name had to be changed, has a digest behind it, so that
    no two servers of a client share what is counted and allowed. `apart` tells the servers of a file
    that is not the person's from those that are.
    """
    name = entry.target.name
    text = re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip("._-") or "server"
    if text == name and len(name) <= MAX_LABEL and not (entry.folder or apart):
        return name
    digest = hashlib.sha256(f"{apart}{entry.folder}\0{name}".encode("utf-8", "surrogateescape")).hexdigest()[
        :8
    ]
    return f"{text[: MAX_LABEL - 9]}-{digest}"


def changes_of(entry: Entry, slot: Slot, gate: Gate) -> Changes:
    """What the keys of an entry become, so that its client starts a gate in front of its server.

    Raises CallerFault, which says why, for an entry that a gate cannot stand in for.
    """
    _check_environment(entry)
    program, *before = gate.program
    words = [*before, "proxy", "--server", gate.label or label_of(entry), "-p", gate.policy]
    words += ["--state-dir", gate.state_dir]
    if entry.kind == "extension":
        raise CallerFault("an extension of the editor starts it, and no file says how")
    if entry.kind == "command":
        return {"command": program, "args": [*words, "--", *entry.target.command]}
    _check_address(entry, slot)
    words += ["--upstream", entry.target.url]
    if entry.target.transport in {"http", "sse"}:
        words += ["--upstream-transport", entry.target.transport]
    sent, environment, variables = _headers(entry, slot)
    for header in sent:
        words += ["--header-env", header]
    changes: dict[str, object] = {
        key: None for key in (*URL_KEYS, *HEADER_KEYS, *_CODEX_ONLY) if key in slot.fields
    }
    changes |= {"command": program, "args": words}
    if environment:
        changes["env"] = {**entry.target.environment, **environment}
    if variables:
        changes["env_vars"] = variables
    for key in ("type", "transport"):
        if key in slot.fields:
            changes[key] = "stdio"
    return changes


def _check_environment(entry: Entry) -> None:
    found = next((name for name in entry.target.environment if _STEERING.fullmatch(name)), None)
    if found is not None:
        raise CallerFault(
            f"its variable {quoted(found)} would decide which code the gate runs",
            hint="set it in a script that starts the server, and name that as the command",
        )


def _check_address(entry: Entry, slot: Slot) -> None:
    url = entry.target.url
    if secret_in_url(url):
        raise CallerFault(
            "its address holds a secret, which every process could read on the command line of a gate",
            hint="put it into a header, if the server takes one",
        )
    # The client puts the value in, and then it stands among the arguments of the gate.
    if any(names_secret(each) for each in entry.placeholders if each in url):
        raise CallerFault(
            "its client puts a secret into its address, which every process could read on the command line "
            "of a gate",
            hint="put it into a header, if the server takes one",
        )
    if not url.startswith(("http://", "https://", "$")):
        raise CallerFault("its address begins with neither http:// nor https://")
    if signs := next((key for key in _OAUTH if key in slot.fields), None):
        raise CallerFault(f"its client signs in by `{signs}`, which a gate would not do for it")


def _headers(entry: Entry, slot: Slot) -> tuple[list[str], dict[str, str], list[str]]:
    """What `--header-env` is to say, the variables that hold values, and those that Codex passes on."""
    sent: list[str] = []
    environment: dict[str, str] = {}
    variables: list[str] = []
    named = slot.fields.get("env_http_headers")
    passed: dict[str, str] = {}
    if isinstance(named, dict):
        passed = {name: value[2:-1] for name, value in entry.target.headers if name in named}
    if "bearer_token_env_var" in slot.fields:
        passed["Authorization"] = f"Bearer {slot.fields['bearer_token_env_var']}"
    for name, value in entry.target.headers:
        checked_header(name, "")
        if name in passed:
            sent.append(f"{name}: {passed[name]}")
            variables.append(passed[name].rpartition(" ")[2])
            continue
        variable = "OSTIARY_HEADER_" + re.sub(r"[^A-Za-z0-9]", "_", name).upper()
        while variable in environment or variable in entry.target.environment:
            variable += "_"
        environment[variable] = value
        sent.append(f"{name}: {variable}")
    return sent, environment, list(dict.fromkeys(variables))
