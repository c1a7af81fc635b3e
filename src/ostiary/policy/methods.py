"""What passes besides `tools/call`, in both directions (P6).

Under `default: deny`, with nothing said about methods:

| from the client | |
| --- | --- |
| initialize, server/discover, ping, tools/list, logging/setLevel | allowed |
| notifications/initialized, cancelled, progress | allowed |
| tasks/*, subscriptions/listen | allowed for what this grant created; the caller checks that |
| resources/list, resources/templates/list, prompts/list | answered empty |
| resources/read, subscribe, unsubscribe, prompts/get, completion/complete | denied |
| any other method or notification | denied |

| from the server | |
| --- | --- |
| ping; notifications/message, cancelled, progress, elicitation/complete, about tasks | allowed |
| notifications/tools/list_changed and its like; subscriptions/acknowledged | allowed |
| notifications/resources/updated | as resources/read of that address |
| sampling/createMessage, elicitation/create, roots/list, any other | denied |

`methods` holds globs over method names and counts in both directions; its deny beats everything,
its allow beats the defaults. `resources` holds globs over addresses, `prompts` over names; in
each, deny beats allow beats default. Where they say nothing, `methods` and then the policy's own
default decide. A policy in monitor mode decides alike; the caller lets it pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Protocol, cast

from ostiary.arguments.fault import ArgumentError
from ostiary.policy.model import Effect, MethodRules, Policy
from ostiary.policy.patterns import compile_glob
from ostiary.policy.uri import spellings

_FROM_CLIENT: Final = frozenset(
    {
        "initialize",
        "server/discover",
        "ping",
        "tools/list",
        "logging/setLevel",
        "notifications/initialized",
        "notifications/cancelled",
        "notifications/progress",
        "tasks/get",
        "tasks/list",
        "tasks/result",
        "tasks/update",
        "tasks/cancel",
        "subscriptions/listen",
    }
)
_FROM_SERVER: Final = frozenset(
    {
        "ping",
        "notifications/message",
        "notifications/cancelled",
        "notifications/progress",
        "notifications/tasks",
        "notifications/tasks/status",
        "notifications/elicitation/complete",
        "notifications/subscriptions/acknowledged",
        "notifications/tools/list_changed",
        "notifications/prompts/list_changed",
        "notifications/resources/list_changed",
    }
)
_LISTS: Final[Mapping[str, str]] = {
    "resources/list": "resources",
    "resources/templates/list": "resources",
    "prompts/list": "prompts",
}
_KEYED: Final[Mapping[str, tuple[str, str]]] = {
    "resources/read": ("resources", "uri"),
    "resources/subscribe": ("resources", "uri"),
    "resources/unsubscribe": ("resources", "uri"),
    "notifications/resources/updated": ("resources", "uri"),
    "prompts/get": ("prompts", "name"),
}
_REFERENCES: Final[Mapping[object, tuple[str, str]]] = {
    "ref/resource": ("resources", "uri"),
    "ref/prompt": ("prompts", "name"),
}
_DEFAULT_RULE: Final = "(default deny)"
_NO_POLICY: Final = "(no policy)"
_UNREADABLE: Final = "(unreadable address)"


@dataclass(frozen=True, slots=True)
class MethodDecision:
    """What to do with one message. `empty`: answer with an empty list, without the upstream.

    `rules` are the ids that denied or emptied it. `message` is for whoever sent it.
    """

    effect: Literal["allow", "deny", "empty"]
    rules: tuple[str, ...] = ()
    message: str = ""
    revision: str = ""


class _Matcher(NamedTuple):
    """One `MethodRules`, compiled: what its globs say, and its own default."""

    name: str
    allow: tuple[Callable[[str], bool], ...]
    deny: tuple[Callable[[str], bool], ...]
    default: Effect | None

    @property
    def silent(self) -> bool:
        return not self.allow and not self.deny

    def denial(self, *texts: str) -> str | None:
        """The id of the first deny pattern that matches one of `texts`."""
        for index, matches in enumerate(self.deny):
            if any(matches(text) for text in texts):
                return f"/{self.name}/deny/{index}"
        return None

    def allows(self, text: str) -> bool:
        return any(matches(text) for matches in self.allow)


@dataclass(frozen=True, slots=True)
class MethodPlan:
    """The method rules of one policy, compiled."""

    methods: _Matcher
    kinds: Mapping[str, _Matcher]
    default: Effect
    revision: str


class HasMethods(Protocol):
    """A compiled policy, as far as this module looks at it."""

    @property
    def methods(self) -> MethodPlan: ...


def compile_methods(policy: Policy) -> MethodPlan:
    """Compile what a policy says about methods.

    Raises:
        PatternError: for a glob that cannot be used.
    """
    return MethodPlan(
        methods=_matcher("methods", policy.methods),
        kinds={
            "resources": _matcher("resources", policy.resources),
            "prompts": _matcher("prompts", policy.prompts),
        },
        default=policy.default,
        revision=policy.revision,
    )


def decide_method(
    compiled: HasMethods | None, method: str, params: Mapping[str, object], *, from_server: bool
) -> MethodDecision:
    """Decide one request or notification other than `tools/call`.

    A grant without a policy (None) is treated as one with nothing but `default: deny`.
    """
    plan = _NOTHING if compiled is None else compiled.methods
    rule = _refusal(plan, method, params, from_server=from_server)
    if rule is None:
        return MethodDecision("allow", revision=plan.revision)
    if rule == _DEFAULT_RULE and compiled is None:
        rule = _NO_POLICY
    if not from_server and method in _LISTS and rule in (_DEFAULT_RULE, _NO_POLICY):
        return MethodDecision("empty", (rule,), revision=plan.revision)
    message = f"Method `{_shown(method)}` is not available"
    return MethodDecision("deny", (rule,), message, plan.revision)


def item_visible(compiled: HasMethods | None, kind: Literal["resources", "prompts"], key: str) -> bool:
    """Whether one entry of resources/list (by `uri`) or prompts/list (by `name`) may be shown."""
    plan = _NOTHING if compiled is None else compiled.methods
    method, field = ("resources/read", "uri") if kind == "resources" else ("prompts/get", "name")
    return _keyed_refusal(plan, plan.kinds[kind], method, {field: key}, field) is None


def filters_items(compiled: HasMethods | None, kind: Literal["resources", "prompts"]) -> bool:
    """Whether a list that is allowed can still hold entries that may not be shown."""
    if compiled is None:
        return True
    matcher = compiled.methods.kinds[kind]
    return not matcher.silent or matcher.default == "deny"


def _refusal(plan: MethodPlan, method: str, params: Mapping[str, object], *, from_server: bool) -> str | None:
    """The id of what denies `method`, or None.

    1. A deny pattern of `methods`. 2. Methods about one resource or prompt: its rules.
    3. An allow pattern of `methods`. 4. The lists of this module. 5. Defaults.
    """
    denial = plan.methods.denial(method)
    if denial is not None:
        return denial
    keyed = _KEYED.get(method)
    if keyed is not None:
        return _keyed_refusal(plan, plan.kinds[keyed[0]], method, params, keyed[1])
    if method == "completion/complete":
        denial = _completion_refusal(plan, params)
        if denial is not None:
            return denial
    if plan.methods.allows(method) or method in (_FROM_SERVER if from_server else _FROM_CLIENT):
        return None
    kind = _LISTS.get(method)
    if kind is not None:
        return _list_refusal(plan, plan.kinds[kind])
    return _by_default(plan)


def _keyed_refusal(
    plan: MethodPlan, matcher: _Matcher, method: str, params: Mapping[str, object], field: str
) -> str | None:
    """Rules over one uri or name: deny, allow, own default; then `methods`; then the policy."""
    key = params.get(field)
    if not isinstance(key, str):
        return _UNREADABLE
    texts: tuple[str, ...] = (key,)
    if field == "uri" and not matcher.silent:
        try:
            texts = spellings(key)
        except ArgumentError:
            return _UNREADABLE
    try:
        denial = matcher.denial(*texts)
        if denial is not None:
            return denial
        if matcher.allows(texts[-1]):
            return None
    except UnicodeEncodeError:
        return _UNREADABLE
    if matcher.default is not None:
        return None if matcher.default == "allow" else f"/{matcher.name}/default"
    return None if plan.methods.allows(method) else _by_default(plan)


def _completion_refusal(plan: MethodPlan, params: Mapping[str, object]) -> str | None:
    """A completion about a resource or prompt that is denied by pattern is denied too."""
    reference = params.get("ref")
    if not isinstance(reference, Mapping):
        return None
    named = cast("Mapping[str, object]", reference)
    kind = _REFERENCES.get(named.get("type")) if isinstance(named.get("type"), str) else None
    if kind is None:
        return None
    matcher = plan.kinds[kind[0]]
    if matcher.silent and matcher.default is None:
        return None
    key = named.get(kind[1])
    if not isinstance(key, str):
        return _UNREADABLE
    try:
        texts = spellings(key) if kind[1] == "uri" else (key,)
        denial = matcher.denial(*texts)
        if denial is None and matcher.default == "deny" and not matcher.allows(texts[-1]):
            denial = f"/{matcher.name}/default"
    except (ArgumentError, UnicodeEncodeError):
        return _UNREADABLE
    return denial


def _list_refusal(plan: MethodPlan, matcher: _Matcher) -> str | None:
    """A list is let through when something on it could be allowed; entries are then filtered."""
    if matcher.allow or matcher.default == "allow":
        return None
    return _DEFAULT_RULE if matcher.default == "deny" else _by_default(plan)


def _by_default(plan: MethodPlan) -> str | None:
    if plan.methods.default is not None:
        return None if plan.methods.default == "allow" else _DEFAULT_RULE
    return None if plan.default == "allow" else _DEFAULT_RULE


def _matcher(name: str, rules: MethodRules) -> _Matcher:
    return _Matcher(
        name,
        tuple(compile_glob(pattern) for pattern in rules.allow),
        tuple(compile_glob(pattern) for pattern in rules.deny),
        rules.default,
    )


def _shown(method: str) -> str:
    """The method name for a message: printable and short."""
    return "".join(char if char.isprintable() else "?" for char in method[:128])


_NOTHING: Final = compile_methods(Policy(format=1, default="deny"))
