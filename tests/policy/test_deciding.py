"""Decisions beyond single cases: availability, charges, schemas, twins, methods, explanations."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.errors import CallerFault
from ostiary.policy.compile import Compiled, compile_policy
from ostiary.policy.decide import decide, filters_lists, visible
from ostiary.policy.decision import Charge, Question
from ostiary.policy.explain import explain, explain_lines
from ostiary.policy.methods import decide_method, filters_items, item_visible
from ostiary.policy.model import Each, Limit, MethodRules, Policy, Rule, Test, ToolRules, Window
from ostiary.policy.twins import fold
from tests.policy.world import catalogue_of, compiled_from

HIDING = {"(no policy)", "(hidden)", "(default deny)", "(unknown tool)", "(drift)", "(name twin)"}


def _compiled(rules: ToolRules, **more: Any) -> Compiled:
    return compile_policy(Policy(format=4, default="deny", tools={"x": rules}, **more))


# --- availability -----------------------------------------------------------------------------


def test_steps_six_to_eight_give_one_identical_message() -> None:
    """P2.16: the message does not tell a hidden tool from one that does not exist."""
    compiled = compiled_from(
        {"version": "1", "default": "deny", "hide": ["a"], "tools": {"b": {}, "c": {}, "D": {}}}
    )
    catalogue = catalogue_of(["a", "c", "d"], ["c"])
    answers = {name: decide(compiled, Question(name, {}, catalogue=catalogue)) for name in "abcDe"}
    assert [answers[name].rules[0] for name in "abcDe"] == [
        "(hidden)",
        "(unknown tool)",
        "(drift)",
        "(name twin)",
        "(default deny)",
    ]
    for name, answer in answers.items():
        assert answer.message == f'Tool "{name}" is not available'


names = st.sampled_from(["a", "A", "b", "B ", "c", "*", "d"])


@given(
    default=st.sampled_from(("allow", "deny")),
    hide=st.frozensets(names, max_size=2),
    listed=st.sets(names, max_size=3),
    advertised_names=st.none() | st.sets(names, max_size=4),
    drifted=st.sets(names, max_size=2),
    locked=st.booleans(),
    tool=names,
)
def test_a_tool_is_listed_exactly_when_a_call_gets_past_step_eight(
    default: Literal["allow", "deny"],
    hide: frozenset[str],
    listed: set[str],
    advertised_names: set[str] | None,
    drifted: set[str],
    locked: bool,
    tool: str,
) -> None:
    """P2.16: hidden, default-denied, unknown, drifted and twin names are absent from tools/list."""
    policy = Policy(format=4, default=default, hide=hide, tools={name: ToolRules() for name in listed})
    compiled = compile_policy(policy)
    catalogue = catalogue_of(None if advertised_names is None else list(advertised_names), list(drifted))
    decision = decide(compiled, Question(tool, {}, catalogue=catalogue, locked=locked))
    seen = visible(compiled, tool, catalogue, locked=locked)
    assert seen == HIDING.isdisjoint(decision.rules)
    if not seen and (advertised_names is None or tool in advertised_names) and tool not in drifted | {"*"}:
        assert filters_lists(compiled, locked=locked)


def test_lists_are_left_alone_only_where_nothing_can_be_missing() -> None:
    """P2.16, P8.1: an allow-all policy and monitor mode filter nothing."""
    assert filters_lists(None)
    assert not visible(None, "x", None)
    assert not filters_lists(compile_policy(Policy(format=4, default="allow")))
    assert filters_lists(compile_policy(Policy(format=4, default="allow")), locked=True)
    assert filters_lists(compile_policy(Policy(format=4, default="deny")))
    assert filters_lists(compile_policy(Policy(format=4, default="allow", hide_all=True)))
    assert not filters_lists(compile_policy(Policy(format=4, default="deny", monitor=True)))
    assert visible(compile_policy(Policy(format=4, default="deny", monitor=True)), "x", None)


def test_monitor_mode_decides_the_same_and_says_so() -> None:
    """P8.1: enforcement is the caller's."""
    compiled = compile_policy(Policy(format=4, default="deny", monitor=True))
    assert compiled.monitor
    assert decide(compiled, Question("x", {})).rules == ("(default deny)",)


def test_default_deny_names_the_twin_in_the_reasons() -> None:
    """P3.6: the record shows which name was imitated."""
    decision = decide(_compiled(ToolRules()), Question("X", {}))
    assert decision.rules == ("(default deny)",)
    assert decision.reasons[0].endswith("its name only folds to `x`")


def test_implied_default_allow_is_noted_on_unlisted_tools_only() -> None:
    """P1.6, P2.17: what let the call pass is on record."""
    policy = Policy(format=2, default="allow", implied_default=True, tools={"x": ToolRules()})
    compiled = compile_policy(policy)
    assert decide(compiled, Question("y", {})).rules == ("(intercept default allow)",)
    assert decide(compiled, Question("x", {})).rules == ()


def test_rules_for_all_tools_apply_to_unlisted_tools_and_come_last() -> None:
    """P2.11: under default allow nothing escapes them."""
    always = Rule("/all_tools/deny_if/0", (Test(("a",), "eq", "x"),))
    own = Rule("/tools/x/deny_if/0", ())
    policy = Policy(
        format=4,
        default="allow",
        all_tools=ToolRules(deny_if=(always,)),
        tools={"x": ToolRules(deny_if=(own,))},
    )
    compiled = compile_policy(policy)
    assert decide(compiled, Question("y", {"a": "x"})).rules == ("/all_tools/deny_if/0",)
    both = ("/tools/x/deny_if/0", "/all_tools/deny_if/0")
    assert decide(compiled, Question("x", {"a": "x"})).rules == both
    assert decide(compiled, Question("y", {"A": "x"})).rules == ("(argument twin)",)


def test_decisions_carry_the_revision() -> None:
    """P2.17: whichever way it goes."""
    compiled = _compiled(ToolRules(), revision="sha256:r")
    for question in (Question("x", {}), Question("y", {}), Question("x", {}, stopped=True)):
        assert decide(compiled, question).revision == "sha256:r"


def test_a_tool_name_in_a_message_is_short_and_printable() -> None:
    """P2.16: a name from outside cannot forge lines or flood a log."""
    message = decide(_compiled(ToolRules()), Question("a\nb" + "c" * 1000, {})).message
    assert message.isprintable()
    assert len(message) < 200


def test_a_rule_that_does_not_fit_its_operator_does_not_compile_and_is_named() -> None:
    """P3.3: a policy that got past a loader still fails closed."""
    for value in ((), ("a", True), {"a": "b"}, None):
        bad = Rule("/tools/x/require/0", (Test(("a",), "in", value),))
        with pytest.raises(CallerFault, match="/tools/x/require/0"):
            _compiled(ToolRules(require=(bad,)))
    with pytest.raises(CallerFault, match="requires nothing"):
        _compiled(ToolRules(require=(Rule("/r", ()),)))
    with pytest.raises(CallerFault, match="is not an operator"):
        _compiled(ToolRules(require=(Rule("/r", (Test(("a",), "like", "x"),)),)))


# --- charges -----------------------------------------------------------------------------------


def _charge(limit: Limit, arguments: dict[str, object] | None = None, **who: Any) -> Charge:
    question = Question("x", arguments or {}, **who)
    decision = decide(_compiled(ToolRules(limits=(limit,))), question)
    assert decision.effect == "allow", decision.reasons
    (charge,) = decision.charges
    return charge


CALLS = Limit("/tools/x/limits/0", "calls", Window(60), 10)


def test_counter_keys_are_canonical_json_of_what_p4_5_lists() -> None:
    """P4.5: server, grant, tool, counter, window, scope."""
    charge = _charge(CALLS, grant="g", server="s")
    assert charge.key == '["s","g","tools/x","calls","60s",[["grant","g"]]]'
    assert charge.bucket_of == charge.key


@pytest.mark.parametrize(
    ("scope", "changed", "same"),
    [
        (("grant",), "grant", "user"),
        (("user",), "user", "grant"),
        (("server",), "server", "grant"),
        (("org",), "org", "grant"),
        (("track",), "track", "grant"),
        (("user", "grant"), "grant", "org"),
    ],
)
def test_each_scope_counts_apart_by_its_own_value_only(
    scope: tuple[str, ...], changed: str, same: str
) -> None:
    """P4.2: scopes are dimensions of the counter."""
    limit = replace(CALLS, scope=scope)
    first = _charge(limit)
    assert _charge(limit, None, **{changed: "other"}).key != first.key
    assert _charge(limit, None, **{same: "other"}).key == first.key


def test_argument_scopes_include_the_grant_and_conceal_the_value() -> None:
    """P4.2: one grant's values do not use up another's; keys are recorded and hold no value."""
    limit = replace(CALLS, scope=(), scope_paths=(("to",),))
    charge = _charge(limit, {"to": "someone@example.org"}, grant="g")
    assert "someone" not in charge.key
    assert charge.key != _charge(limit, {"to": "someone@example.org"}, grant="h").key
    assert charge.key != _charge(limit, {"to": "other"}, grant="g").key
    assert charge.bucket_of == _charge(limit, {"to": "other"}, grant="g").bucket_of != charge.key


def test_argument_buckets_follow_values_not_spellings() -> None:
    """P4.2: 1, 1.0 and 1e0 share a bucket; 1, "1" and true do not; null and missing share one."""
    limit = replace(CALLS, scope_paths=(("to",),))

    def key(value: object) -> str:
        return _charge(limit, {"to": value}).key

    assert key(1) == key(1.0)
    assert len({key(1), key("1"), key(True), key("true"), key(None), key("null")}) == 6
    assert key(None) == _charge(limit, {}).key


def test_concealment_can_be_keyed() -> None:
    """P4.2: a deployment puts a keyed digest in place of the plain one."""
    limit = replace(CALLS, scope_paths=(("to",),))
    policy = Policy(format=4, default="deny", tools={"x": ToolRules(limits=(limit,))})
    compiled = compile_policy(policy, conceal=lambda text: f"<{len(text)}>")
    (charge,) = decide(compiled, Question("x", {"to": "abc"})).charges
    assert '"<5>"' in charge.key


def test_slots_and_window_of_one_limit_are_two_charges() -> None:
    """P4.1: a window counts calls, slots count those that run."""
    limit = replace(CALLS, max_concurrent=2, lease_seconds=600)
    window, slots = decide(_compiled(ToolRules(limits=(limit,))), Question("x", {})).charges
    assert (window.window, slots.window) == (Window(60), None)
    assert (slots.ceiling, slots.lease_seconds) == (2, 600)
    assert window.key != slots.key


def test_calendar_and_sliding_windows_do_not_share_counters() -> None:
    """P4.1: they mean different things."""
    calendar = replace(CALLS, window=Window(60, calendar=True))
    assert _charge(calendar).key != _charge(CALLS).key


def test_a_tool_called_all_tools_does_not_share_counters_with_every_tool() -> None:
    """P4.5: the two are told apart in the key."""
    limits = ToolRules(limits=(CALLS,))
    policy = Policy(format=4, default="deny", all_tools=limits, tools={"all_tools": limits})
    own, every = decide(compile_policy(policy), Question("all_tools", {})).charges
    assert own.key != every.key


def test_refund_words_and_message_travel_with_the_charge() -> None:
    """P4.4: what the ledger needs is on the charge."""
    charge = _charge(replace(CALLS, refund="on_error", message="Slow down."))
    assert charge.refund_on_error
    assert charge.message == "Slow down."


def test_remembered_decisions_do_not_mix_callers() -> None:
    """P4.2: what is remembered for one caller is never given to another."""
    compiled = _compiled(ToolRules(limits=(replace(CALLS, scope=("grant", "user", "org", "track")),)))
    keys = {
        decide(compiled, msgspec.structs.replace(Question("x", {}), **{field: value})).charges[0].key
        for field in ("grant", "user", "org", "track", "server")
        for value in ("p", "q")
    }
    assert len(keys) == 10


def test_remembered_decisions_do_not_forget_what_was_unchecked() -> None:
    """P7: the same caller with and without the tool list gets two answers."""
    compiled = _compiled(ToolRules())
    assert decide(compiled, Question("x", {})).unchecked == ("P2.8", "P2.10")
    assert decide(compiled, Question("x", {}, catalogue=catalogue_of(["x"], []))).unchecked == ()
    assert decide(compiled, Question("x", {})).unchecked == ("P2.8", "P2.10")


# --- twins --------------------------------------------------------------------------------------


@given(st.text(max_size=12))
def test_folding_is_stable(text: str) -> None:
    """P3.5: folding twice changes nothing more."""
    assert fold(fold(text)) == fold(text)


def test_ascii_and_general_folding_agree() -> None:
    """P3.5: the fast way for plain names is the same function."""
    for code in range(128):
        assert fold(f"a{chr(code)}") == fold(f"a{chr(code)}\u200b")


def test_remembered_clean_keys_do_not_hide_a_twin_deeper_down() -> None:
    """P3.5: the same top-level keys may hold other objects the next time."""
    rules = ToolRules(deny_if=(Rule("/d", (Test(("opts", "force"), "eq", True),)),))
    compiled = _compiled(rules)
    assert decide(compiled, Question("x", {"opts": {"other": 1}})).effect == "allow"
    assert decide(compiled, Question("x", {"opts": {"Force": True}})).rules == ("(argument twin)",)
    assert decide(compiled, Question("x", {"opts": {"other": 1}})).effect == "allow"


@pytest.mark.parametrize("char", ["\u034f", "\u115f", "\u3164", "\uffa0", "\u180b", "\ufe0f", "\U000e0100"])
def test_characters_that_are_drawn_as_nothing_do_not_make_another_name(char: str) -> None:
    """P3.5, P3.6: whatever Unicode category they are in."""
    rules = ToolRules(deny_if=(Rule("/d", (Test(("force",), "eq", True),)),))
    compiled = compile_policy(Policy(format=4, default="allow", tools={"x": rules, "run": ToolRules()}))
    assert decide(compiled, Question("x", {f"fo{char}rce": True})).rules == ("(argument twin)",)
    assert decide(compiled, Question(f"r{char}un", {})).rules == ("(name twin)",)


def test_a_maximum_times_its_divisor_is_exact() -> None:
    """P3.4, P4.1: more digits than a decimal keeps unless told otherwise."""
    limit = Limit(
        "/l",
        "c",
        Window(60),
        max=2**53 - 1,
        cost=("n",),
        cost_default=Decimal(1),
        per=Decimal("1.234567890123456"),
    )
    (charge,) = decide(_compiled(ToolRules(limits=(limit,))), Question("x", {})).charges
    digits = str((2**53 - 1) * 1_234_567_890_123_456)
    assert charge.ceiling == Decimal(f"{digits[:-15]}.{digits[-15:]}")


def test_a_quantifier_over_too_many_elements_is_an_error() -> None:
    """P3.7: judging hundreds of thousands of hosts takes seconds, so it is not begun."""
    inside = Each(("to",), "all_of", "host_in", ("a.example",))
    required = _compiled(ToolRules(require=(Rule("/r", (inside,)),)))
    assert decide(required, Question("x", {"to": ["a.example"] * 10_000})).effect == "allow"
    assert decide(required, Question("x", {"to": ["a.example"] * 10_001})).effect == "deny"
    outside = Each(("to",), "any_of", "host_in", ("b.example",))
    denied = _compiled(ToolRules(deny_if=(Rule("/d", (outside,)),)))
    assert decide(denied, Question("x", {"to": ["a.example"] * 10_001})).effect == "deny"


@pytest.mark.parametrize(
    "arguments",
    [{"Path": 1}, {"opts": {"Deep": 1}}, {"rows": [[{"Deep": 1}]]}, {"rows": [{"next": {"Deep": 1}}]}],
)
def test_twins_of_properties_behind_references_and_in_nested_lists_are_found(
    arguments: dict[str, Any],
) -> None:
    """P3.5: generated schemas describe nested arguments by reference."""
    inner = {"properties": {"deep": {}, "next": {"$ref": "#/$defs/inner"}}}
    rows = {"items": {"items": {"$ref": "#/$defs/inner"}}}
    outer = {"properties": {"path": {}, "opts": {"$ref": "#/$defs/inner"}, "rows": rows}}
    schema = {"$ref": "#/$defs/outer", "$defs": {"inner": inner, "outer": outer}}
    catalogue = catalogue_of([{"name": "x", "inputSchema": schema}], [])
    compiled = _compiled(ToolRules())
    assert decide(compiled, Question("x", arguments, catalogue=catalogue)).rules == ("(argument twin)",)
    assert decide(compiled, Question("x", {"path": 1}, catalogue=catalogue)).effect == "allow"


# --- methods -------------------------------------------------------------------------------------


def test_items_of_allowed_lists_are_shown_as_they_could_be_read() -> None:
    """P6: a list shows what a read would get."""
    policy = Policy(
        format=4,
        default="deny",
        resources=MethodRules(allow=("file:///srv/**",), deny=("file:///srv/secret/**",)),
    )
    compiled = compile_policy(policy)
    assert filters_items(compiled, "resources")
    for uri in ("file:///srv/a", "file:///srv/secret/a", "file:///etc/passwd", "file:/srv/secret/a"):
        read = decide_method(compiled, "resources/read", {"uri": uri}, from_server=False)
        assert item_visible(compiled, "resources", uri) == (read.effect == "allow")
    assert not filters_items(compile_policy(Policy(format=4, default="allow")), "prompts")
    assert filters_items(None, "prompts")


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/x",
        "HTTPS://EVIL.example/x",
        "https://evil.example:443/x",
        "https://evil.example./x",
        "https://evil.example.:443/x",
        "https://me@evil.example/x",
        "https:evil.example/x",
        "https:/evil.example/x",
        "https://evil.example//x",
        "http:/local",
    ],
)
def test_no_other_spelling_of_a_denied_address_passes_under_default_allow(uri: str) -> None:
    """P6: an address is compared in its normal spelling, or not read at all."""
    rules = MethodRules(deny=("https://evil.example/**", "http:/local"))
    compiled = compile_policy(Policy(format=4, default="allow", resources=rules))
    assert decide_method(compiled, "resources/read", {"uri": uri}, from_server=False).effect == "deny"
    other = {"uri": "https://good.example/x"}
    assert decide_method(compiled, "resources/read", other, from_server=False).effect == "allow"


def test_a_denial_written_in_another_spelling_denies_that_spelling_too() -> None:
    """P6: deny patterns see the address as it was given and in its normal spelling."""
    compiled = compile_policy(
        Policy(format=4, default="allow", resources=MethodRules(deny=("file:/srv/**",)))
    )
    read = decide_method(compiled, "resources/read", {"uri": "file:/srv/a"}, from_server=False)
    assert read.rules == ("/resources/deny/0",)


def test_allow_patterns_see_the_normal_spelling_only() -> None:
    """P6: one address has one answer, however it is written."""
    compiled = compile_policy(
        Policy(format=4, default="deny", resources=MethodRules(allow=("file:///srv/**", "FILE:///etc/**")))
    )
    for uri, effect in (("FILE:///srv/a", "allow"), ("FILE:///etc/a", "deny")):
        read = decide_method(compiled, "resources/read", {"uri": uri}, from_server=False)
        assert read.effect == effect


def test_method_denials_do_not_repeat_long_names() -> None:
    """P6: the message is short and printable."""
    decision = decide_method(None, "x\n" * 500, {}, from_server=False)
    assert decision.message.isprintable()
    assert len(decision.message) < 200


# --- explain --------------------------------------------------------------------------------------


def test_explain_has_the_documented_shape() -> None:
    """P2.17: version, decision, rules, message, revision, unchecked."""
    decision = decide(_compiled(ToolRules(), revision="sha256:r"), Question("x", {}))
    assert explain(decision) == {
        "v": 1,
        "decision": "allow",
        "rules": [],
        "message": "",
        "revision": "sha256:r",
        "unchecked": ["P2.8", "P2.10"],
    }


def test_explanation_in_words_names_rules_reasons_and_charges() -> None:
    """P2.17: reasons for people."""
    denied = decide(_compiled(ToolRules()), Question("y", {}))
    assert "rule: (default deny)" in explain_lines(denied)
    assert any(line.startswith("reason: ") for line in explain_lines(denied))
    allowed = decide(_compiled(ToolRules(limits=(CALLS,))), Question("x", {}))
    assert "charge: 1 of 10 in 60 s (/tools/x/limits/0)" in explain_lines(allowed)
