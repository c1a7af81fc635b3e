"""The secrets of code mode: their file, the authority, and what runs with a way out are given."""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Final, NamedTuple

from ostiary.builtin import CodeOptions
from ostiary.errors import CallerFault
from ostiary.sandbox.cpython.zygote import ONLINE_PORT, Online
from ostiary.sandbox.egress.places import Allowed, read_allowed
from ostiary.sandbox.isolation.walls import Walls
from ostiary.sandbox.masks import Masks
from ostiary.servers.code.secrets_file import MAX_BYTES, MAX_VALUE, SecretEntry, read_secrets
from ostiary.servers.code.vault import Vault

_TRUSTED: Final = "/tmp/ostiary-ca.pem"  # noqa: S108 - inside, in a folder of the run's own
_TRUST: Final = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
_PROXY: Final = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_WRITABLE: Final = stat.S_IWGRP | stat.S_IWOTH


class CodeSecrets(NamedTuple):
    """Neither where nothing was asked for; `online` where some run can have a way out."""

    vault: Vault | None = None
    online: Online | None = None


def open_secrets(
    options: CodeOptions, environ: Mapping[str, str], servers: Sequence[str], walls: Walls, now: datetime
) -> CodeSecrets:
    """Read what the options name. Raises CallerFault for what is not understood, or cannot be held."""
    private = frozenset(options.unsafe_private_hosts)
    entries: tuple[SecretEntry, ...] = ()
    if options.secrets is not None:
        content = _content(str(options.secrets), MAX_BYTES, _WRITABLE, "--secrets: ")
        entries = read_secrets(content, str(options.secrets), environ, _opened, private)
    allowed = tuple(read_allowed(host, private=host in private) for host in options.allow_hosts)
    if not entries and not allowed:
        if private:
            raise CallerFault("--unsafe-private-host: nothing lists this host", hint="see --allow-host")
        return CodeSecrets()
    _check(entries, servers, str(options.secrets))
    if not walls.walled:
        raise CallerFault(
            "--secrets and --allow-host need walls: without them code reaches this process and every host",
            hint="`ostiary doctor` shows what is missing",
        )
    ways = bool(allowed) or any(one.hosts for one in entries)
    return _with_way(options, entries, allowed, now) if ways else CodeSecrets(Vault(entries, (), None))


def _with_way(
    options: CodeOptions, entries: Sequence[SecretEntry], allowed: Sequence[Allowed], now: datetime
) -> CodeSecrets:
    from ostiary.sandbox.egress.authority import Authority
    from ostiary.sandbox.egress.looked_into import Doorway

    authority = Authority(now)
    doorway = Doorway(
        authority=authority,
        trust=_trust(options),
        covered=tuple(Masks((one.value,)) for one in entries),
    )
    here = f"http://127.0.0.1:{ONLINE_PORT}"
    environment: dict[str, str] = {**dict.fromkeys(_PROXY, here), **dict.fromkeys(_TRUST, _TRUSTED)}
    online = Online(environment, {_TRUSTED: authority.certificate})
    return CodeSecrets(Vault(entries, allowed, doorway), online)


def _trust(options: CodeOptions) -> ssl.SSLContext:
    """Who may speak for the hosts. Raises CallerFault."""
    context = ssl.create_default_context()
    if options.hosts_ca is not None:
        try:
            context.load_verify_locations(str(options.hosts_ca))
        except OSError as error:
            reason = (error.strerror or "no certificates in PEM").lower()
            raise CallerFault(f"--hosts-ca: cannot read `{options.hosts_ca}`: {reason}") from error
    return context


def _check(entries: Sequence[SecretEntry], servers: Sequence[str], file: str) -> None:
    for one in entries:
        for server in one.servers:
            if server not in servers:
                near = get_close_matches(server, servers, n=1)
                raise CallerFault(
                    f"{file}: secret `{one.name}`: there is no server `{server[:80]}`",
                    hint=f"did you mean `{near[0]}`" if near else f"the servers are {', '.join(servers)}",
                )


def _opened(path: str) -> bytes:
    return _content(path, MAX_VALUE + 2, _OTHERS, "")


def _content(path: str, most: int, forbidden: int, where: str) -> bytes:
    """A file that others may not do `forbidden` with. Raises CallerFault."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise CallerFault(f"{where}`{path}` is no file")
            if found.st_mode & forbidden:
                verb = "write" if forbidden == _WRITABLE else "read"
                raise CallerFault(f"{where}others can {verb} `{path}`", hint=f"chmod 600 {path}")
            content = file.read(most + 1)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise CallerFault(f"{where}cannot read `{path}`: {reason}") from error
    if len(content) > most:
        raise CallerFault(f"{where}`{path}` is too large: {most} bytes at most")
    return content
