"""The keys of a tests file."""

from __future__ import annotations

from ostiary.policy.formats.shape import Anything, Choice, Key, ListOf, MapOf, OneOf, Table, TableOf, Text

_COMMENT: Table = {
    "$comment": Key(OneOf((Text(), ListOf(Text(), least=1))), "for whoever reads the tests; has no meaning")
}

TESTS: dict[str, Table] = {
    "document": {
        **_COMMENT,
        "tools": Key(Text(), "file with the server's tool list, seen from the folder of the tests"),
        "tests": Key(ListOf(TableOf("test"), least=1), "the tests", required=True),
    },
    "test": {
        **_COMMENT,
        "name": Key(Text(), "what is promised, as a sentence", required=True),
        "principal": Key(TableOf("principal"), "who calls"),
        "server": Key(Text(), "which server is called, where the policy has several"),
        "tool": Key(Text(), "the tool that is called", required=True),
        "args": Key(MapOf(Anything()), "the arguments of the call; none when left out"),
        "expect": Key(Choice(("allow", "deny", "hold")), "what the decision must be", required=True),
        "rule": Key(Text(), "the id of a rule that must be among those that decided"),
        "because": Key(Text(), "why it must be so; shown when the test fails"),
        "matrix": Key(
            MapOf(ListOf(Anything(), least=1)), "values for variables; every combination is a call of its own"
        ),
    },
    "principal": {"grant": Key(Text(), "the name of the grant", required=True)},
}
