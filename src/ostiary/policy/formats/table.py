"""The key tables of every format: the one place where a key is made known."""

from __future__ import annotations

from types import MappingProxyType

from ostiary.policy.formats.shape import (
    Anything,
    Choice,
    Flag,
    Key,
    ListOf,
    MapOf,
    Number,
    OneOf,
    Shape,
    Table,
    TableOf,
    Text,
    Version,
)

FIRST_OPERATORS = ("eq", "neq", "lt", "lte", "gt", "gte", "in", "not_in", "exists", "regex", "contains")
"""The eleven that format 1 and Intercept share."""

OPERATORS = (
    *FIRST_OPERATORS,
    *("path_within", "glob", "host_in", "url_scheme_in", "cidr_in", "semver"),
    *("len_eq", "len_lte", "len_gte", "json_schema"),
)
"""Every operator of this version (P3.7)."""

WINDOWS = MappingProxyType({"minute": 60, "hour": 3_600, "day": 86_400})
"""Named windows, in seconds."""

SCOPES = ("grant", "user", "server", "org", "track")
"""Scopes besides `args.<path>`, in the order of the normal form (P4.2)."""

_EFFECT = Choice(("allow", "deny"))
_PATH = OneOf((Text(), ListOf(Text(), least=1)))
_CONDITIONS = ListOf(TableOf("condition"))
_LATER = Anything()


def _extra(shape: Shape, about: str) -> Key:
    return Key(shape, about, extension=True)


def _later(about: str) -> Key:
    return Key(_LATER, about, extension=True, later=True)


_COMMENT: Table = {
    "$comment": _extra(
        OneOf((Text(), ListOf(Text(), least=1))), "for whoever reads the policy; has no meaning"
    ),
}

_MESSAGE: Table = {
    "on_deny": Key(Text(), "what the agent is told when this denies"),
    "reason": _extra(Text(), "the same as `on_deny`"),
}

_SERVER: Table = {
    **_COMMENT,
    "default": Key(_EFFECT, "what happens to tools that `tools` does not list", required=True),
    "hide": Key(ListOf(Text()), "tools that are left out of listings and refused; `*` hides all"),
    "all_tools": Key(TableOf("all_tools"), "rules and limits over the calls of every tool"),
    "tools": Key(MapOf(TableOf("tool")), "rules for each tool, by the name the server gives it"),
    "resources": _extra(TableOf("methods"), "which resources may be read"),
    "prompts": _extra(TableOf("methods"), "which prompts may be fetched"),
    "methods": _extra(TableOf("methods"), "which other methods may be used"),
    "flows": _later("what may not follow what"),
    "loops": _later("how often the same call may be repeated"),
}

_DOCUMENT: Table = {
    **_COMMENT,
    "version": Key(Version(), "always `1`", required=True),
    "description": _extra(Text(), "what this policy is for"),
    "mode": _extra(Choice(("enforce", "monitor")), "`monitor` decides and records, and enforces nothing"),
    **_SERVER,
    "default": Key(_EFFECT, "what happens to tools that `tools` does not list"),
    "servers": _extra(MapOf(TableOf("server")), "one policy for each named server, in place of the above"),
}

_APPROVAL: Table = {
    "approve_if": _extra(ListOf(TableOf("asking")), "a call for which any of these holds waits for a person"),
    "approval": _extra(TableOf("approval"), "who is asked, and how long"),
}

_RATE_LIMIT = OneOf((Text(), TableOf("rate_limit")))

_TOOL: Table = {
    **_COMMENT,
    "require": Key(ListOf(TableOf("rule")), "every one of these must hold"),
    "deny_if": Key(ListOf(TableOf("rule")), "none of these may hold"),
    "limits": Key(ListOf(TableOf("limit")), "quotas of this tool"),
    "validate": _extra(TableOf("validate"), "checks of the arguments against the advertised schema"),
    "wide_numbers": _extra(Flag(), "let rules look at numbers that a double cannot hold exactly"),
    "action": _extra(
        Choice(("allow", "deny", "require_approval")), "what happens to every call of this tool"
    ),
    "rate_limit": _extra(_RATE_LIMIT, "one quota for each grant, in short"),
    **_MESSAGE,
    "on_deny": _extra(Text(), "what the agent is told when `action` or `rate_limit` denies"),
    "reason": _extra(Text(), "the same as `on_deny`; with `action: require_approval` for the approver"),
    **_APPROVAL,
    "code": _later("what code in an argument may do"),
    "rewrite": _later("how arguments are changed before they are forwarded"),
    "response": _later("what may come back"),
}

_ALL_TOOLS: Table = {
    **_COMMENT,
    "limits": Key(ListOf(TableOf("limit")), "quotas counted over the calls of every tool"),
    "require": _extra(ListOf(TableOf("rule")), "every one of these must hold, whatever the tool"),
    "deny_if": _extra(ListOf(TableOf("rule")), "none of these may hold, whatever the tool"),
    "validate": _extra(TableOf("validate"), "checks of the arguments of every tool"),
    **_APPROVAL,
}

_RULE: Table = {
    **_COMMENT,
    "conditions": Key(
        _CONDITIONS, "all of these together; empty means always, in `deny_if` only", required=True
    ),
    **_MESSAGE,
}

_ASKING: Table = {
    **_COMMENT,
    "conditions": Key(_CONDITIONS, "all of these together; empty means always", required=True),
    "reason": Key(Text(), "why, for the approver"),
    "on_deny": Key(Text(), "the same as `reason`"),
}

_TERMS: Table = {
    "timeout": Key(Text(), "how long a request lives, from `10s` to `7d`; `30m` when left out"),
    "hold": Key(Text(), "how long the call is held open meanwhile, from `0s` to `240s`"),
    "approvers": Key(ListOf(Text(), least=1), "one of these has to agree, each written `user:NAME`"),
    "message": Key(Text(), "what the approver is told"),
    "convenience": Key(Flag(), "let the client's own user answer"),
}

_CONDITION: Table = {
    "path": Key(_PATH, "`args.` and the keys that lead to the argument, or a list of keys"),
    "op": Key(Choice(OPERATORS), "how the argument is compared"),
    "value": Key(Anything(), "what it is compared with"),
    "numeric_text": _extra(Flag(), '`true` compares by text as Intercept does, so that 5 equals "5"'),
    "any": _extra(ListOf(TableOf("condition"), least=1), "at least one of these holds"),
    "all": _extra(ListOf(TableOf("condition"), least=1), "all of these hold"),
    "not": _extra(TableOf("condition"), "this does not hold"),
    "any_of": _extra(TableOf("each"), "at least one element of the list at `path` compares so"),
    "all_of": _extra(TableOf("each"), "every element of the list at `path` compares so"),
}

_EACH: Table = {
    "op": Key(Choice(OPERATORS), "how each element is compared", required=True),
    "value": Key(Anything(), "what it is compared with", required=True),
}

_SCOPE = Text()

_LIMIT: Table = {
    **_COMMENT,
    "counter": Key(Text(), "the counter's name, unique in its tool", required=True),
    "window": Key(Text(), "`minute`, `hour`, `day`, or a length such as `30s` or `12h`"),
    "max": Key(Number(whole=True), "how much is allowed in any window of that length"),
    "scope": Key(
        OneOf((_SCOPE, ListOf(_SCOPE, least=1))),
        "whose calls are counted together: `grant`, `user`, `server`, `org`, `track`, `args.<path>`",
    ),
    "cost": _extra(
        OneOf((Text(), Number(whole=True))),
        "the argument that says how much a call costs, or a number instead of 1",
    ),
    "cost_default": _extra(Number(), "the cost when that argument is absent"),
    "per": _extra(Number(), "how much cost makes one unit of `max`"),
    "refund": _extra(Choice(("never_left", "on_error")), "which failed calls are not counted"),
    "align": _extra(Choice(("sliding", "calendar")), "`calendar` starts a new window on the UTC clock"),
    "max_concurrent": _extra(Number(whole=True), "how many calls may run at the same time"),
    "lease": _extra(Text(), "how long a call of unknown outcome holds its slot, such as `10m`"),
    **_MESSAGE,
    "on_deny": _extra(Text(), "what the agent is told when this limit is reached"),
}

_VALIDATE: Table = {
    "schema": Key(Choice(("advertised",)), "arguments must fit the schema the server advertises"),
    "extra": Key(Choice(("deny", "allow")), "`deny` refuses arguments that the schema does not declare"),
    "required_args": Key(Flag(), "only ask for the arguments that the schema requires"),
}

_SHORT_RATE: Table = {
    "max": Key(Number(whole=True), "how many calls", required=True),
    "window": Key(Number(whole=True), "in how many seconds", required=True),
}

_METHODS: Table = {
    "default": Key(_EFFECT, "what happens to the rest; the policy's own default when left out"),
    "allow": Key(ListOf(Text()), "patterns that are allowed"),
    "deny": Key(ListOf(Text()), "patterns that are refused, even when allowed too"),
}

TABLES: dict[str, Table] = {
    "document": _DOCUMENT,
    "server": _SERVER,
    "tool": _TOOL,
    "all_tools": _ALL_TOOLS,
    "rule": _RULE,
    "condition": _CONDITION,
    "each": _EACH,
    "limit": _LIMIT,
    "validate": _VALIDATE,
    "rate_limit": _SHORT_RATE,
    "methods": _METHODS,
    "asking": _ASKING,
    "approval": _TERMS,
}
"""Formats 1 and 4."""

_RULES_TOOL: Table = {"rules": Key(ListOf(TableOf("rule")), "the tool's rules")}

INTERCEPT: dict[str, Table] = {
    "document": {
        "version": Key(Version(), "always `1`", required=True),
        "description": Key(Text(), "what this policy is for"),
        "default": Key(_EFFECT, "what happens to tools that are not listed; `allow` when left out"),
        "hide": Key(ListOf(Text()), "tools that are hidden and refused"),
        "tools": Key(MapOf(TableOf("tool")), "rules for each tool; `*` for every tool"),
        "approvals": Key(TableOf("approvals"), "how a person is asked"),
    },
    "approvals": {
        "default_timeout": Key(Text(), "how long a person has, where the rule does not say"),
        "dedupe_window": Key(Text(), "has no effect: identical calls always join one request"),
    },
    "tool": _RULES_TOOL,
    "rule": {
        "name": Key(Text(), "the rule's name", required=True),
        "action": Key(Choice(("evaluate", "deny", "require_approval")), "`evaluate` when left out"),
        "conditions": Key(
            ListOf(TableOf("condition"), least=1),
            "all must be true or the call is denied; with `require_approval`, which calls need it",
        ),
        "rate_limit": Key(Text(), "`N/minute`, `N/hour` or `N/day`"),
        "state": Key(TableOf("state"), "the counter that this rule keeps"),
        **_MESSAGE,
        "approval_timeout": Key(Text(), "how long a person has, with `require_approval`"),
    },
    "condition": {
        "path": Key(Text(), "`args.` or `state.`, and where from there", required=True),
        "op": Key(Choice(FIRST_OPERATORS), "how it is compared", required=True),
        "value": Key(Anything(), "what it is compared with", required=True),
    },
    "state": {
        "counter": Key(Text(), "the counter's name", required=True),
        "window": Key(Choice(tuple(WINDOWS)), "the window, aligned to the UTC clock", required=True),
        "increment": Key(Number(whole=True), "how much a call counts"),
        "increment_from": Key(Text(), "the argument that says how much a call counts"),
    },
}
"""Format 2."""

SHORT: dict[str, Table] = {
    "document": {
        "description": Key(Text(), "what this policy is for"),
        "default": Key(_EFFECT, "what happens to tools that are not listed; `deny` when left out"),
        "hide": Key(ListOf(Text()), "tools that are hidden and refused"),
        "tools": Key(MapOf(TableOf("tool")), "rules for each tool", required=True),
    },
    "tool": _RULES_TOOL,
    "rule": {
        "action": Key(Choice(("allow", "deny", "require_approval")), "`allow` when left out"),
        "rate_limit": Key(_RATE_LIMIT, "one quota for each grant"),
        "validate": Key(TableOf("validate"), "checks of the arguments"),
        **_MESSAGE,
    },
    "validate": _VALIDATE,
    "rate_limit": _SHORT_RATE,
}
"""Format 3."""
