"""The normal form: what every policy format is turned into before anything is decided.

Loaders (`policy.formats`) build these values, `policy.compile` turns them into closures.
Nothing here knows a file format. Ids are JSON pointers with indexes into the document the
author wrote, so a decision can be traced to a line (`Policy.places`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

Effect = Literal["allow", "deny"]

Value = None | bool | str | Decimal | tuple["Value", ...] | Mapping[str, "Value"]
"""A literal in a rule. Numbers are exact decimals taken from the text (P3.4)."""

Path = tuple[str, ...]
"""Keys below `args`, outermost first. `("a", "b")` is `args.a.b`; a key may hold dots (P3.5)."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in the author's file. `line` and `column` count from 1."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Test:
    """One comparison, `op` being one of `policy.operators.OPERATORS`.

    `numeric_text` keeps Intercept's comparison of numeric text (format 2 only, P3.3).
    """

    __test__ = False  # not a pytest class

    path: Path
    op: str
    value: Value
    numeric_text: bool = False


@dataclass(frozen=True, slots=True)
class AnyOf:
    """`{"any": [...]}`: Kleene OR of conditions."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    """`{"all": [...]}`: Kleene AND of conditions."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """`{"not": cond}`: swaps true and false, keeps absent and error (P3.1)."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class Each:
    """A quantifier over the elements of the array at `path`: `any_of` or `all_of` (P3.7)."""

    path: Path
    quantifier: Literal["any_of", "all_of"]
    op: str
    value: Value
    numeric_text: bool = False


Condition = Test | AnyOf | AllOf | Not | Each


@dataclass(frozen=True, slots=True)
class Rule:
    """A predicate: conditions that are ANDed, under `require`, `deny_if` or `approve_if`.

    `id` is the JSON pointer of the predicate, e.g. `/tools/x/deny_if/0`.
    `message` is what the agent is told, or under `approve_if` the approver; None means a default text.
    Empty `conditions` always hold in `deny_if` and `approve_if`; in `require` they do not load (P3.2).
    """

    id: str
    conditions: tuple[Condition, ...]
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """Length of a quota window in seconds; `calendar` aligns it to UTC (P4.1)."""

    seconds: int
    calendar: bool = False


@dataclass(frozen=True, slots=True)
class Limit:
    """One quota (P4). Either `window` and `max`, or `max_concurrent` alone, or all three.

    `scope` lists dimensions: `grant`, `user`, `server`, `org`, `track`; `scope_paths` the
    `args.*` ones. The cost of a call is `cost_constant` when `cost` is None; otherwise the
    number at `cost`, or the advertised schema's default, or `cost_default`, else deny.
    Units are cost divided by `per`; comparisons multiply `max` by `per` and stay exact.
    """

    id: str
    counter: str
    window: Window | None = None
    max: int | None = None
    scope: tuple[str, ...] = ("grant",)
    scope_paths: tuple[Path, ...] = ()
    cost: Path | None = None
    cost_constant: int = 1
    cost_default: Decimal | None = None
    per: Decimal = Decimal(1)
    refund: Literal["never_left", "on_error"] = "never_left"
    max_concurrent: int | None = None
    lease_seconds: int = 600
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Validation:
    """`validate`: check arguments against the advertised schema (P2.10, P3.8).

    `schema`: full JSON Schema validation. `required`: only the schema's `required` list
    (`required_args`). `refuse_extra`: undeclared top-level arguments deny.
    """

    id: str
    schema: bool = False
    required: bool = False
    refuse_extra: bool = False


@dataclass(frozen=True, slots=True)
class Approval:
    """The terms on which calls are held for a person: `approval`, of a tool or of all tools (P5.2).

    `timeout_seconds` is how long a request lives, and an approval that nobody used.
    `hold_seconds` is how long a call is held open; None leaves it to the gate, 45 s or 240 s.
    `approvers` are names, one of whom must agree; empty means any registered approver.
    `message` is for the approver. `convenience` lets the client's own user answer in a form.
    """

    id: str
    timeout_seconds: int = 1800
    hold_seconds: int | None = None
    approvers: tuple[str, ...] = ()
    message: str | None = None
    convenience: bool = False


@dataclass(frozen=True, slots=True)
class ToolRules:
    """Everything said about one tool, or about every tool (`Policy.all_tools`).

    `action: require_approval` is an `approve_if` without conditions.
    """

    require: tuple[Rule, ...] = ()
    deny_if: tuple[Rule, ...] = ()
    limits: tuple[Limit, ...] = ()
    validation: Validation | None = None
    wide_numbers: bool = False
    approve_if: tuple[Rule, ...] = ()
    approval: Approval | None = None


@dataclass(frozen=True, slots=True)
class MethodRules:
    """`resources`, `prompts` or `methods` (P6): deny beats allow beats default.

    `default` None means: follow the policy's own default.
    """

    default: Effect | None = None
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """One normal form, for one server.

    `implied_default` is True when format 2 left `default` out and Intercept's allow applies:
    banner, status and records then say `(intercept default allow)` (P1.6).
    `revision` is `sha256:<hex>` over the canonical JSON of the normal form (see
    `policy.canonical`), equal for documents that mean the same.
    `places` maps a rule id to where it stands.
    """

    format: Literal[1, 2, 3, 4]
    default: Effect
    implied_default: bool = False
    hide: frozenset[str] = frozenset()
    hide_all: bool = False
    all_tools: ToolRules = ToolRules()
    tools: Mapping[str, ToolRules] = field(default_factory=dict[str, ToolRules])
    resources: MethodRules = MethodRules()
    prompts: MethodRules = MethodRules()
    methods: MethodRules = MethodRules()
    monitor: bool = False
    revision: str = ""
    places: Mapping[str, Place] = field(default_factory=dict[str, Place], compare=False)


@dataclass(frozen=True, slots=True)
class Document:
    """A loaded file: one policy, or one for each named server (P8.3).

    `single` is the policy of a document without `servers`; `servers` is empty then.
    """

    file: str
    single: Policy | None
    servers: Mapping[str, Policy] = field(default_factory=dict[str, Policy])
