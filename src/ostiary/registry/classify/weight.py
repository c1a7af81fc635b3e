"""What a tool touches, what is worth a rule about it, and how bad it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ostiary.registry.change import named
from ostiary.registry.classification import Category, Described, Sensitivity, Severity, Signal
from ostiary.registry.classify.reading import Argument
from ostiary.registry.classify.rules import Parameter, Rules
from ostiary.registry.classify.words import MAX_TEXT, Words, name_words, sentences, singular, text_words

LADDER: Final = (Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL)
SCORES: Final = {Severity.LOW: 1, Severity.MEDIUM: 2, Severity.HIGH: 4, Severity.CRITICAL: 5}
HINTS: Final = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")


def sensitivity_of(tool: Described, arguments: Sequence[Argument], rules: Rules) -> Sensitivity:
    """The most delicate data named; `internal` where nothing says, since nothing says that it is public."""
    delicate = rules.severities.sensitivity
    texts: list[Words] = [name_words(tool.name), name_words(tool.title)]
    texts += [text_words(each) for each in sentences(tool.description)[:3]]
    texts += [tuple(one.words.split()) for one in arguments]
    words = [tuple(singular(each) for each in text) for text in texts]
    if _says(words, delicate.credentials) or _token(words, frozenset(delicate.not_secret)):
        return Sensitivity.CREDENTIALS
    if _says(words, delicate.financial):
        return Sensitivity.FINANCIAL
    if _says(words, delicate.personal):
        return Sensitivity.PERSONAL
    return Sensitivity.PUBLIC if _says(words[:4], delicate.public) else Sensitivity.INTERNAL


def _says(texts: Sequence[Words], phrases: Sequence[str]) -> bool:
    wanted = frozenset(phrases)
    for words in texts:
        for at in range(len(words)):
            for size in (1, 2, 3):
                if " ".join(words[at : at + size]) in wanted:
                    return True
    return False


def _token(texts: Sequence[Words], beside: frozenset[str]) -> bool:
    return any("token" in words and not beside & set(words) and len(words) <= 4 for words in texts)  # noqa: PLR2004 - a name, no sentence


def signals_of(
    tool: Described, arguments: Sequence[Argument], category: Category, rules: Rules
) -> tuple[Signal, ...]:
    """Everything that is worth a rule, in the order of the rules."""
    return (
        *_parameters(arguments, category, rules),
        *_named(tool, category, rules),
        *_schema(tool, arguments, rules),
        *_annotations(tool, category),
    )


def _parameters(arguments: Sequence[Argument], category: Category, rules: Rules) -> Iterator[Signal]:
    for rule in rules.signals.parameters:
        found = [one for one in arguments if matches(one, rule)]
        if found and (not rule.needs_effect or category in rule.needs_effect):
            names = ", ".join(named(one.name) for one in found[:4])
            yield Signal(rule.code, f"{rule.text} ({names})", found[0].where)


def matches(one: Argument, rule: Parameter) -> bool:
    """Whether `rule` is about an argument, by its name and type; it never is about listed choices."""
    if one.choices or (one.kind not in rule.kinds and one.kind):
        return False
    return one.words in rule.names or any(one.words.endswith(" " + last) for last in rule.last)


def _named(tool: Described, category: Category, rules: Rules) -> Iterator[Signal]:
    words = set(name_words(tool.name))
    for rule in rules.signals.words:
        found = sorted(words & rule.words)
        if found and category not in rule.not_on:
            yield Signal(rule.code, f"{rule.text} ({', '.join(found)})", "name")


def _schema(tool: Described, arguments: Sequence[Argument], rules: Rules) -> Iterator[Signal]:
    many = rules.signals.many_parameters
    if len(arguments) >= many.at_least:
        yield Signal(many.code, f"Many arguments ({len(arguments)})", "inputSchema")
    if tool.input_schema is None:
        yield Signal("no-schema", "Says nothing of its arguments", "inputSchema")
    untyped = [one for one in arguments if not one.kind and not one.choices and not _refers(one)]
    if untyped:
        yield Signal("weak-types", f"Arguments without a type ({_names(untyped)})", untyped[0].where)
    open_ended = [one for one in arguments if one.kind in {"string", "array"} and not one.choices]
    unbounded = [one for one in open_ended if not _bound(one)]
    if unbounded:
        yield Signal("no-bounds", f"Arguments without bounds ({_names(unbounded)})", unbounded[0].where)
    if not tool.description.strip():
        yield Signal("no-description", "Has no description", "description")
    if len(tool.description) > MAX_TEXT:
        yield Signal("long-description", "The description is longer than anybody reads", "description")


def _names(arguments: Sequence[Argument]) -> str:
    return ", ".join(named(one.name) for one in arguments[:4]) + (", …" if len(arguments) > 4 else "")  # noqa: PLR2004 - as many as a line bears


def _refers(one: Argument) -> bool:
    return any(key in one.schema for key in ("$ref", "anyOf", "oneOf", "allOf", "const"))


def _bound(one: Argument) -> bool:
    return any(key in one.schema for key in ("maxLength", "pattern", "format", "const", "maxItems"))


def _annotations(tool: Described, category: Category) -> Iterator[Signal]:
    hints = tool.annotations
    if not any(isinstance(hints.get(each), bool) for each in HINTS):
        yield Signal("no-annotations", "Says nothing of its effects in annotations", "annotations")
    worse = category not in {Category.READ, Category.UNKNOWN}
    if hints.get("readOnlyHint") is True and worse:
        text = f"Says that it only reads, while its text says {category}"
        yield Signal("contradiction", text, "annotations.readOnlyHint")
    if hints.get("destructiveHint") is False and category is Category.DESTRUCTIVE:
        text = "Says that it destroys nothing, while its text does"
        yield Signal("contradiction", text, "annotations.destructiveHint")
    if hints.get("destructiveHint") is True and hints.get("readOnlyHint") is not True:
        yield Signal("says-destructive", "Says itself that it can destroy", "annotations.destructiveHint")
    if hints.get("openWorldHint") is True:
        yield Signal("open-world", "Says itself that it reaches outside", "annotations.openWorldHint")


def severity_of(
    category: Category, sensitivity: Sensitivity, signals: Sequence[Signal], rules: Rules
) -> tuple[Severity, int]:
    """Severity and score. Signals that are marked as risks only ever raise them."""
    severity = max(rules.severities.base[category], rules.severities.at_least[sensitivity], key=LADDER.index)
    risky = {one.code for one in (*rules.signals.parameters, *rules.signals.words) if one.risk} | {
        "contradiction"
    }
    risks = {signal.code for signal in signals} & risky
    if any(signal.code == "says-destructive" for signal in signals):
        said = Severity.HIGH if category is Category.WRITE else Severity.CRITICAL
        severity = max(severity, said, key=LADDER.index)
    elif (risks and category is Category.WRITE) or "shell-command" in risks:
        step = LADDER.index(severity) + 1
        severity = LADDER[min(step, len(LADDER) - 1)]
    score = SCORES[severity]
    if severity is Severity.HIGH and not risks:
        score = 3
    return severity, score


def owasp_of(
    category: Category, sensitivity: Sensitivity, signals: Sequence[Signal], rules: Rules
) -> tuple[str, ...]:
    """The classes of the OWASP MCP Top 10 and of its list for agents, sorted."""
    table = rules.severities.owasp
    found = {*table["effect"].get(category, ()), *table["sensitivity"].get(sensitivity, ())}
    for signal in signals:
        found.update(table["signal"].get(signal.code, ()))
    return tuple(sorted(found))
