"""What a starting gate tells the person who started it, and `ostiary status` later."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from ostiary.policy.compile import Compiled
from ostiary.settings import ProxyOptions, PublicUrl


class Banner(msgspec.Struct, frozen=True):
    """The facts of one running gate. `unsafe` lists what weakens it."""

    server: str
    target: str
    policy: str
    revision: str
    mode: str
    grant: str = ""
    unsafe: tuple[str, ...] = ()

    def summary(self) -> str:
        """One line for standard error and for the audit log."""
        warning = f" [{', '.join(self.unsafe)}]" if self.unsafe else ""
        where = f"{self.mode} in front of {self.target} as `{self.server}`"
        return f"ostiary: {where}, policy {self.policy}{warning}"

    def details(self) -> dict[str, str]:
        """What `instances/<id>.json` says of this gate."""
        return {
            "server": self.server,
            "target": self.target,
            "policy": self.policy,
            "revision": self.revision,
            "mode": self.mode,
            "grant": self.grant,
            "unsafe": ", ".join(self.unsafe),
        }


def describe(options: ProxyOptions, server: str, policy: Compiled | None) -> Banner:
    """Gather what there is to say. Arguments of a command may hold secrets: only its name is told."""
    unsafe: list[str] = []
    if options.unsafe_no_token:
        unsafe.append("--unsafe-no-token: every local process may call")
    if options.unsafe_skip_tests:
        unsafe.append("--unsafe-skip-tests: the tests of the policy are not run")
    if policy is not None and policy.monitor:
        unsafe.append("mode: monitor: nothing is enforced")
    if policy is not None and policy.policy.implied_default:
        unsafe.append("(intercept default allow)")
    if options.builtin is not None:
        unsafe += options.builtin.unsafe()
    return Banner(
        server=server,
        target=_target(options),
        policy=str(options.policy) if options.policy else "(no policy): every call is denied",
        revision=policy.revision if policy else "",
        mode="HTTP gate" if options.listen else "stdio gate",
        grant=options.grant,
        unsafe=tuple(unsafe),
    )


def _target(options: ProxyOptions) -> str:
    if options.builtin is not None:
        return options.builtin.describe()
    return options.upstream.partition("?")[0] if options.upstream else f"`{Path(options.command[0]).name}`"


def http_banner(
    banner: Banner, bound: str, token_file: Path | None, *, public: PublicUrl | None = None
) -> str:
    """How to connect: URL, token file and a client's configuration.

    `bound` is the URL of the listener itself; clients use `public` if there is one.
    """
    url = public.mcp if public is not None else bound
    lines = [banner.summary(), "", f"  URL          {url}"]
    if public is not None:
        lines.append(f"  listens on   {bound}")
    if token_file is not None:
        lines.append(f"  token file   {token_file}")
    lines += ["", "  Claude Code:", "", f"    {_claude_code(url, token_file)}", ""]
    lines += ["  other clients (mcpServers):", ""]
    lines += ["    " + line for line in _snippet(url, token_file).split("\n")]
    lines += ["", "  Ctrl-C drains and stops"]
    return "\n".join(lines)


def bound_url(host: str, port: int, *, tls: bool) -> str:
    """The URL of a listener."""
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{shown}:{port}/mcp"


def _claude_code(url: str, token_file: Path | None) -> str:
    header = f' --header "Authorization: Bearer $(cat {token_file})"' if token_file is not None else ""
    return f"claude mcp add --transport http gated {url}{header}"


def _snippet(url: str, token_file: Path | None) -> str:
    entry: dict[str, object] = {"type": "http", "url": url}
    if token_file is not None:
        entry["headers"] = {"Authorization": "Bearer <content of the token file>"}
    return json.dumps({"mcpServers": {"gated": entry}}, indent=2)
