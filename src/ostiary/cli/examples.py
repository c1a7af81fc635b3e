"""What `--help` shows at its end: for each command, a few lines that can be typed as they stand.

A test runs or parses every one of them, and fails for a command that has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import typer

EXAMPLES: Final[Mapping[str, tuple[tuple[str, str], ...]]] = MappingProxyType(
    {
        "": (
            ("put a policy in front of a server", "ostiary proxy -p policy.json -- uvx mcp-server-time"),
            ("see what it would say to a call", "ostiary policy explain -p policy.json --tool fetch"),
            ("see what it does", "ostiary status --watch"),
        ),
        "run": (
            ("code behind walls, for a client on stdio", "ostiary run python"),
            ("commands in one container of yours", "ostiary run docker --toolset exec --container web"),
            ("a shell in the Django project of this folder", "ostiary run django --settings mysite.settings"),
            ("code that calls tools of servers", "ostiary run code --servers servers.json"),
        ),
        "demo": (("watch it, and keep what was recorded", "ostiary demo --state-dir demo-state"),),
        "doctor": (
            ("what is there, and what is missing", "ostiary doctor"),
            ("for a script", "ostiary doctor --format json"),
        ),
        "status": (
            ("once, for a person", "ostiary status"),
            ("as a page that follows the records", "ostiary status --watch"),
            ("for a script", "ostiary status --format json"),
        ),
        "policy check": (
            ("is it valid, and what does it mean", "ostiary policy check policy.json"),
            ("compare it with what the server offers", "ostiary policy check policy.json --tools tools.json"),
        ),
        "policy explain": (
            ("may anybody call it", "ostiary policy explain -p policy.json --tool fetch"),
            (
                "may this call be made",
                """ostiary policy explain -p policy.json --tool fetch --args '{"n": 1}'""",
            ),
        ),
        "policy test": (
            ("the tests that stand beside it", "ostiary policy test policy.yaml"),
            ("and which rules they leave out", "ostiary policy test policy.yaml --coverage"),
        ),
        "policy convert": (
            ("from Intercept's format", "ostiary policy convert intercept.yaml --out converted.yaml"),
            ("in the other syntax", "ostiary policy convert policy.yaml --to json"),
        ),
        "policy fmt": (
            ("put it into the one style", "ostiary policy fmt policy.yaml"),
            ("would it change, and how", "ostiary policy fmt --check --diff policy.yaml"),
        ),
        "policy schema": (("for an editor", "ostiary policy schema > policy.schema.json"),),
        "approvals init": (
            ("register yourself, with a passphrase", "ostiary approvals init"),
            (
                "register a colleague, for whom you vouch",
                "ostiary approvals init --as user:ann --key ann.key --sponsor-key my.key",
            ),
        ),
        "approvals list": (
            ("what waits now", "ostiary approvals list"),
            ("what became of all of them", "ostiary approvals list --all"),
        ),
        "approvals show": (("the exact call", "ostiary approvals show apr_01KB6Q2M8ZJ4W7T0X5RCN3HYED"),),
        "approvals resolve": (
            ("let it pass, once", "ostiary approvals resolve apr_01KB6Q2M8ZJ4W7T0X5RCN3HYED --approve"),
            (
                "refuse it, and say why",
                "ostiary approvals resolve apr_01KB6Q2M8ZJ4W7T0X5RCN3HYED --deny --note no",
            ),
        ),
        "approvals watch": (("answer as calls come in", "ostiary approvals watch"),),
        "stop on": (
            ("everything, now", "ostiary stop on --all --reason 'unexpected writes'"),
            ("one client", "ostiary stop on --grant local"),
        ),
        "stop off": (
            ("let everything go on", "ostiary stop off --all"),
            ("let one client go on", "ostiary stop off --grant local"),
        ),
        "stop list": (("is anything stopped", "ostiary stop list"),),
        "pins write": (("accept the tools of a server", "ostiary pins write --server files -- ./server"),),
        "pins show": (("what is pinned", "ostiary pins show --server web"),),
        "pins diff": (
            ("what a gate with locked pins saw last", "ostiary pins diff --server web"),
            ("what the server offers now", "ostiary pins diff --server web -- ./server"),
        ),
        "pins accept": (("one tool as it is now", "ostiary pins accept fetch --server web -- ./server"),),
        "code tools list": (("what clients have stored", "ostiary code tools list"),),
        "code tools show": (
            ("the newest version, with its code", "ostiary code tools show report"),
            ("an older one", "ostiary code tools show report --version 2"),
        ),
        "code tools remove": (("one tool, whoever made it", "ostiary code tools remove report"),),
        "code servers requests": (
            ("what waits for you", "ostiary code servers requests"),
            ("what was said to all of them", "ostiary code servers requests --all"),
        ),
        "code servers approve": (("connect it", "ostiary code servers approve 3"),),
        "code servers reject": (("refuse it, and say why", "ostiary code servers reject 3 --note no"),),
        "sandbox prepare": (
            ("fetch what runs may import", "ostiary sandbox prepare"),
            ("for another Python", "ostiary sandbox prepare --python /usr/bin/python3.12"),
        ),
        "scan": (
            ("the servers of a project, as a page", "ostiary scan --config .mcp.json -o report.html"),
            ("one server, and a policy for it", "ostiary scan --policy-out policy.json -- ./server"),
            ("for a build", "ostiary scan --config .mcp.json --fail-on high -o scan.sarif"),
        ),
        "scan-tools": (
            ("print a first policy", "ostiary scan-tools -- ./server"),
            ("write one", "ostiary scan-tools -o first.yaml -- ./server"),
        ),
        "classify": (
            ("for a person", "ostiary classify --input tools.json"),
            ("for a script", "ostiary classify --input tools.json --format json"),
        ),
        "stack": (
            ("what is configured here", "ostiary stack"),
            ("for a script", "ostiary stack --json"),
        ),
        "protect": (
            ("see what would be done", "ostiary protect cursor --dry-run"),
            ("every server of a client, by one policy", "ostiary protect claude-code -p policy.json"),
            ("a file of this repository", "ostiary protect vs-code --config .vscode/mcp.json"),
        ),
        "unprotect": (("undo it", "ostiary unprotect cursor"),),
        "precheck": (
            ("by its name", "ostiary precheck mcp-server-time"),
            (
                "as a client would start it, with rules for what needs one",
                "ostiary precheck --rules -- npx -y @modelcontextprotocol/server-filesystem",
            ),
            ("for a script", "ostiary precheck https://mcp.example.org/mcp --json"),
        ),
        "hook install": (
            ("for yourself", "ostiary hook install"),
            ("only for this folder", "ostiary hook install --project"),
        ),
        "hook remove": (("take it out again", "ostiary hook remove"),),
        "hook run": (("what it says to an event on standard input", "ostiary hook run"),),
        "audit tail": (
            ("what was decided last", "ostiary audit tail"),
            ("what is refused, as it happens", "ostiary audit tail --follow --decision deny"),
            ("what one tool did since then", "ostiary audit tail --tool fetch --since 2026-11-20T09:00Z"),
        ),
        "audit show": (("everything about one call", "ostiary audit show ev_01KB6Q2M8ZJ4W7T0X5RCN3HYED"),),
        "audit verify": (
            ("is the log unbroken", "ostiary audit verify"),
            ("is anything missing, too", "ostiary audit verify --anchor checkpoint.json --strict"),
        ),
        "audit export": (
            ("every record, one a line", "ostiary audit export --output records.jsonl"),
            ("an anchor, to be kept elsewhere", "ostiary audit export --checkpoint -o checkpoint.json"),
        ),
    }
)
"""By the words of the command: what an example is for, and what to type. `proxy` has its own help."""


def teach(app: typer.Typer, words: str = "") -> None:
    """Put the examples of `app` and of every command below it at the end of their help."""
    if words in EXAMPLES:
        app.info.epilog = epilog(words)
    for command in app.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "").replace("_", "-")
        below = f"{words} {name}".strip()
        if below in EXAMPLES and not command.epilog:
            command.epilog = epilog(below)
    for group in app.registered_groups:
        if group.typer_instance is not None:
            teach(group.typer_instance, f"{words} {group.name}".strip())


def epilog(words: str) -> str:
    """The text for the end of a help, whose lines stay as they are."""
    lines = [line for what, command in EXAMPLES[words] for line in (what, f"  {command}")]
    return "\b\nexamples:\n" + "\n".join(f"  {line}" for line in lines)
