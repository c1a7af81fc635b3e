"""A policy turned into closures, once, so that deciding is look-ups and calls.

`compile_policy` is the only way to make a `Compiled`. It holds caches that grow with use and
are bounded; nothing else about it changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ostiary.errors import CallerFault
from ostiary.policy.approvals import terms_of
from ostiary.policy.charges import Conceal, conceal_by_digest, is_constant
from ostiary.policy.conditions import Evaluate, compile_condition, compile_conjunction, describe, paths_of
from ostiary.policy.decision import Decision
from ostiary.policy.definition import ToolDefinition
from ostiary.policy.methods import MethodPlan, compile_methods
from ostiary.policy.model import Approval, Condition, Limit, Path, Policy, Rule, ToolRules, Validation
from ostiary.policy.operand import OperandError
from ostiary.policy.patterns import PatternError
from ostiary.policy.twins import Names, fold, known_names

_MAX_NAME_TREES: Final = 64


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """One predicate. `parts` are its conditions one by one, to say which of them failed."""

    rule: Rule
    required: bool
    evaluate: Evaluate
    parts: tuple[tuple[str, Evaluate], ...]


@dataclass(frozen=True, slots=True)
class AskingRule:
    """A rule that asks for approval, and the terms on which it asks (P5.2)."""

    compiled: CompiledRule
    terms: Approval


@dataclass(frozen=True, slots=True)
class PlannedLimit:
    """A limit and whose calls it counts: one tool's, or (None) every tool's."""

    limit: Limit
    tool: str | None
    constant: bool


@dataclass(slots=True)
class ToolPlan:
    """Everything that applies to one tool, its own rules before those for all tools.

    `constant`: once no rule denies, the decision does not depend on arguments; `allowed` remembers
    it then, by principal.
    """

    rules: tuple[CompiledRule, ...]
    validations: tuple[Validation, ...]
    limits: tuple[PlannedLimit, ...]
    asking: tuple[AskingRule, ...]
    paths: frozenset[Path]
    wide: bool
    constant: bool
    listed: bool
    allowed: dict[tuple[object, ...], Decision] = field(default_factory=dict[tuple[object, ...], Decision])
    names: dict[str, Names] = field(default_factory=dict[str, Names])

    def known_names(self, definition: ToolDefinition | None) -> Names:
        """Argument names of this tool's rules and of its advertised schema (P3.5), memoised."""
        if definition is None:
            return self._tree("", None)
        if not definition.digest:
            return known_names(self.paths, definition.input_schema)
        return self.names.get(definition.digest) or self._tree(definition.digest, definition.input_schema)

    def _tree(self, digest: str, schema: object) -> Names:
        tree = self.names.get(digest)
        if tree is None:
            if len(self.names) >= _MAX_NAME_TREES:
                self.names.clear()
            tree = self.names[digest] = known_names(self.paths, schema)
        return tree


@dataclass(frozen=True, slots=True)
class Compiled:
    """A policy ready to decide. `unlisted` is the plan of tools that `tools` does not name."""

    policy: Policy
    plans: dict[str, ToolPlan]
    unlisted: ToolPlan
    folded: dict[str, str]
    methods: MethodPlan
    conceal: Conceal

    @property
    def revision(self) -> str:
        """The policy revision that decisions carry."""
        return self.policy.revision

    @property
    def monitor(self) -> bool:
        """True when decisions are to be recorded and not enforced (P8.1); the caller sees to it."""
        return self.policy.monitor

    def named(self, tool: str) -> bool:
        """True when the policy names `tool` exactly."""
        return tool in self.plans or tool in self.policy.hide

    def twin_of(self, tool: str) -> str | None:
        """The name in the policy that `tool` only folds to (P3.6)."""
        return None if self.named(tool) else self.folded.get(fold(tool))


def compile_policy(policy: Policy, *, conceal: Conceal = conceal_by_digest) -> Compiled:
    """Compile `policy`.

    `conceal` makes what counter keys show of argument values (scope `args.*`). Keys are kept
    in records, so a deployment passes a keyed digest; the default is unkeyed.

    Raises:
        CallerFault: when a literal does not fit its operator; the message names the rule.
    """
    everywhere = {wide: _common(policy.all_tools, wide=wide) for wide in (False, True)}
    plans = {
        name: _plan(rules, policy, everywhere, name=name)
        for name, rules in policy.tools.items()
        if name != "*"
    }
    try:
        methods = compile_methods(policy)
    except PatternError as error:
        raise CallerFault(f"method pattern is not usable: {error}") from error
    return Compiled(
        policy=policy,
        plans=plans,
        unlisted=_plan(ToolRules(), policy, everywhere, name=None),
        folded={fold(name): name for name in (*policy.hide, *plans)},
        methods=methods,
        conceal=conceal,
    )


class _Common(NamedTuple):
    """The rules for all tools, compiled once and shared by every plan."""

    rules: tuple[CompiledRule, ...]
    asking: tuple[AskingRule, ...]


def _common(rules: ToolRules, *, wide: bool) -> _Common:
    return _Common(_compile_rules(rules, wide=wide), _compile_asking(rules, rules, wide=wide))


def _plan(
    own: ToolRules,
    policy: Policy,
    everywhere: dict[bool, _Common],
    *,
    name: str | None,
) -> ToolPlan:
    common = policy.all_tools
    wide = own.wide_numbers or common.wide_numbers
    limits = (
        *(PlannedLimit(limit, name, is_constant(limit)) for limit in own.limits),
        *(PlannedLimit(limit, None, is_constant(limit)) for limit in common.limits),
    )
    validations = tuple(item for item in (own.validation, common.validation) if item is not None)
    asking = (*_compile_asking(own, common, wide=wide), *everywhere[wide].asking)
    return ToolPlan(
        rules=(*_compile_rules(own, wide=wide), *everywhere[wide].rules),
        validations=validations,
        limits=limits,
        asking=asking,
        paths=frozenset(_paths(own)) | frozenset(_paths(common)),
        wide=wide,
        constant=not asking and all(limit.constant for limit in limits),
        listed=name is not None,
    )


def _compile_rules(rules: ToolRules, *, wide: bool) -> tuple[CompiledRule, ...]:
    return (
        *(_compile_rule(rule, required=True, wide=wide) for rule in rules.require),
        *(_compile_rule(rule, required=False, wide=wide) for rule in rules.deny_if),
    )


def _compile_asking(own: ToolRules, common: ToolRules, *, wide: bool) -> tuple[AskingRule, ...]:
    if not own.approve_if:
        return ()
    terms = terms_of(own, common)
    return tuple(AskingRule(_compile_rule(rule, required=False, wide=wide), terms) for rule in own.approve_if)


def _compile_rule(rule: Rule, *, required: bool, wide: bool) -> CompiledRule:
    if required and not rule.conditions:
        raise CallerFault(f"`{rule.id}` requires nothing", hint="give it a condition, or remove it")
    parts = tuple(_part(rule, condition, wide=wide) for condition in rule.conditions)
    return CompiledRule(rule, required, compile_conjunction(rule.conditions, wide=wide), parts)


def _part(rule: Rule, condition: Condition, *, wide: bool) -> tuple[str, Evaluate]:
    try:
        return describe(condition), compile_condition(condition, wide=wide)
    except OperandError as error:
        raise CallerFault(f"`{rule.id}`: {describe(condition)}: {error}") from error


def _paths(rules: ToolRules) -> Iterable[Path]:
    for rule in (*rules.require, *rules.deny_if, *rules.approve_if):
        yield from paths_of(rule.conditions)
    for limit in rules.limits:
        yield from limit.scope_paths
        if limit.cost is not None:
            yield limit.cost
