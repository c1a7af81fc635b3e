"""What a loaded document is said to mean."""

from __future__ import annotations

from pathlib import Path

from ostiary.policy.load import document
from ostiary.policy.understanding import understood

SNIPPETS = Path(__file__).parent / "published"


PER_GRANT = "for each grant, calls that fail are not counted"
AND_MORE = "required arguments must be there, undeclared arguments are refused"
EVERYTHING = """
version: "1"
default: allow
hide: [gone]
resources: {default: deny, allow: ["file:///srv/**"], deny: ["**/.env"]}
all_tools:
  limits:
    - {counter: all, window: 2h, max: 5, align: sliding, scope: [user, args.x.y]}
    - {counter: b, max_concurrent: 3}
tools:
  free: {}
  held:
    wide_numbers: true
    validate: {schema: advertised, extra: deny, required_args: true}
    require:
      - conditions: [{path: args.a, op: exists, value: true}, {path: [a.b], op: in, value: [1, 2]}]
        on_deny: no
    deny_if:
      - {conditions: []}
      - conditions:
          - any:
              - not: {path: args.t, op: regex, value: "^x"}
              - {path: args.xs, all_of: {op: eq, value: true}}
    limits:
      - {counter: s, window: day, max: 3600, cost: args.timeout, cost_default: 60000, per: 1000,
         refund: on_error, align: calendar}
"""


def _lines(text: str) -> list[str]:
    return understood(document(text.encode(), file="p")).splitlines()[1:]


def test_the_recommended_policy_in_plain_words():
    text = (SNIPPETS / "django-execute.json").read_bytes()
    first, *rest = understood(document(text, file="p.json")).splitlines()
    assert first.startswith("policy.json version 1, sha256:")
    assert rest == ["execute: at most 10 calls per minute for each grant", "any other tool: denied"]


def test_every_kind_of_statement_has_words():
    assert _lines(EVERYTHING) == [
        "gone: hidden and refused",
        "every tool: at most 5 calls per 2 hours for each grant and user and args.x.y",
        "every tool: at most 3 at the same time (a lost call counts for 10 minutes) for each grant",
        "free: allowed, no checks",
        "held: always denied",
        'held: denied if (not (args.t regex "^x") or every element of args.xs eq true)',
        'held: allowed only if args.a is present and args."a.b" in [1, 2], saying "no"',
        f"held: at most 3600 units of args.timeout / 1000 (60000 when absent) per UTC day {PER_GRANT}",
        f"held: arguments must fit the advertised schema, {AND_MORE}",
        "held: rules may look at numbers of any width",
        "any other tool: allowed",
        "resources: default deny",
        "resources: deny **/.env",
        "resources: allow file:///srv/**",
    ]


def test_the_default_that_intercept_implies_is_said_to_be_implied():
    """P1.6."""
    assert _lines('version: "1"\ntools: {run: {rules: [{name: n, action: deny}]}}') == [
        "run: always denied",
        "any other tool: allowed (intercept default allow)",
    ]


def test_each_server_is_said_in_turn():
    """P8.3."""
    text = 'version: "1"\nservers: {a: {default: deny}, b: {default: allow, hide: ["*"]}}'
    lines = understood(document(text.encode(), file="p")).splitlines()
    assert [line for line in lines if "sha256" not in line] == [
        *("server a", "  every tool: denied", "server b", "  every tool is hidden and refused"),
        "  every tool: allowed",
    ]


def test_monitor_is_said_first():
    """P8.1."""
    text = b'{"version": "1", "default": "deny", "mode": "monitor"}'
    lines = understood(document(text, file="p", unsafe_monitor=True)).splitlines()
    assert lines[1] == "monitor mode: nothing is enforced"


def test_values_stand_on_one_line():
    text = '{"version":"1","default":"deny","tools":{"t":{"deny_if":[{"conditions":[],"on_deny":"a\\nb"}]}}}'
    assert _lines(text)[0] == 't: always denied, saying "a\\u000ab"'


ASKING = """
version: "1"
default: allow
all_tools:
  approve_if: [{conditions: [{path: args.url, op: exists, value: true}]}]
  approval: {timeout: 1d, convenience: true}
tools:
  deploy:
    action: require_approval
    reason: writes to production
    approval: {timeout: 90s, hold: 0s, approvers: ["user:a", "user:b"], message: read the diff}
  run: {approve_if: [{conditions: [{path: args.n, op: gt, value: 5}], reason: long run}]}
  look: {}
"""


AT_ONCE = 'the call is held open for 0 seconds, told "read the diff"'


def test_who_has_to_agree_is_said_for_every_tool_that_asks():
    """P5.2: also where the terms are those of all tools."""
    assert _lines(ASKING) == [
        "every tool: held for approval if args.url is present",
        "every tool: approval by anybody who may approve, or by the client's own user, within 1 day",
        'deploy: always held for approval, because "writes to production"',
        f"deploy: approval by user:a or user:b, within 90 seconds, {AT_ONCE}",
        'run: held for approval if args.n gt 5, because "long run"',
        "run: approval by anybody who may approve, or by the client's own user, within 1 day",
        "look: allowed, no checks",
        "any other tool: allowed",
    ]
