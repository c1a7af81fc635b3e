"""One classification for each tool."""

from __future__ import annotations

from collections.abc import Sequence

from ostiary.registry.classification import Category, Classification, Described, Evidence
from ostiary.registry.classify.effect import Effect, effect_of
from ostiary.registry.classify.reading import arguments
from ostiary.registry.classify.rules import Rules, load
from ostiary.registry.classify.weight import owasp_of, sensitivity_of, severity_of, signals_of


def classify(tools: Sequence[Described]) -> tuple[Classification, ...]:
    """What each tool can do, in the order of `tools`. No tool's result depends on another's."""
    return classify_by(load(), tools)


def classify_by(rules: Rules, tools: Sequence[Described]) -> tuple[Classification, ...]:
    """The same by other rules: for measuring them."""
    return tuple(_classified(rules, tool) for tool in tools)


def _classified(rules: Rules, tool: Described) -> Classification:
    listed = arguments(tool.input_schema)
    effect = _hinted(effect_of(tool, listed, rules), tool)
    sensitivity = sensitivity_of(tool, listed, rules)
    signals = signals_of(tool, listed, effect.category, rules)
    severity, score = severity_of(effect.category, sensitivity, signals, rules)
    return Classification(
        server=tool.server,
        name=tool.name,
        category=effect.category,
        sensitivity=sensitivity,
        severity=severity,
        score=score,
        signals=signals,
        owasp=owasp_of(effect.category, sensitivity, signals, rules),
        confidence=effect.confidence,
        evidence=effect.evidence,
    )


def _hinted(effect: Effect, tool: Described) -> Effect:
    """Hints may raise what the text says: whoever warns of itself is believed, whoever soothes is not."""
    hints = tool.annotations
    mild = effect.category in {Category.READ, Category.UNKNOWN}
    if mild and hints.get("destructiveHint") is True and hints.get("readOnlyHint") is not True:
        return _raised(effect, Category.DESTRUCTIVE, "destructiveHint", "the server says that it can destroy")
    if mild and hints.get("readOnlyHint") is False:
        return _raised(effect, Category.WRITE, "readOnlyHint", "the server says that it does not only read")
    return effect


def _raised(effect: Effect, category: Category, hint: str, reason: str) -> Effect:
    said = Evidence(hint, f"annotations.{hint}", reason, "hint")
    return Effect(category, 0.6, (said, *effect.evidence)[:8])
