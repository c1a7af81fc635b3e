"""Which changes of a policy alter what lists show."""

from __future__ import annotations

from typing import Any

import pytest

from ostiary.policy.compile import Compiled
from ostiary.policy.definition import Catalogue, ToolDefinition
from ostiary.policy.sight import may_differ, tools_differ
from tests.policy.world import compiled_from

KNOWN = Catalogue({name: ToolDefinition(name, name) for name in ("read", "write", "READ")})
NOTHING: dict[str, Any] = {"version": "1", "default": "deny", "tools": {}}
ALL: dict[str, Any] = {"version": "1", "default": "allow", "tools": {}}


def policy(document: dict[str, Any], **more: Any) -> Compiled:
    return compiled_from({**document, **more})


def only(*names: str) -> Compiled:
    return policy(NOTHING, tools={name: {} for name in names})


@pytest.mark.parametrize(
    ("before", "after", "differ"),
    [
        (only("read"), only("read", "write"), True),
        (only("read"), only("read", "missing"), False),
        (only("read", "write"), policy(ALL, tools={"read": {}, "write": {}}), False),
        (policy(ALL), policy(ALL, hide=["write"]), True),
        (policy(ALL), policy(ALL, hide=["missing"]), False),
        (policy(ALL), policy(ALL, tools={"read": {}}), True),  # its look-alike is not shown any more
        (None, only("read"), True),
        (None, only("missing"), False),
        (None, None, False),
        (only("read"), policy(NOTHING, tools={"read": {}}, methods={"deny": ["tools/list"]}), True),
        (policy(NOTHING, tools={"read": {}}, methods={"deny": ["tools/*"]}), policy(NOTHING), False),
    ],
)
def test_tools_differ_where_other_names_are_shown(
    before: Compiled | None, after: Compiled | None, *, differ: bool
) -> None:
    assert tools_differ(before, after, KNOWN, locked=False) is differ
    assert tools_differ(after, before, KNOWN, locked=False) is differ


def test_without_a_catalogue_whatever_names_tools_may_differ() -> None:
    limited = policy(NOTHING, tools={"read": {"limits": [{"counter": "calls", "window": "hour", "max": 1}]}})

    assert tools_differ(only("read"), only("missing"), None, locked=False)
    assert not tools_differ(only("read"), limited, None, locked=False)


@pytest.mark.parametrize(
    ("more", "kinds"),
    [
        ({"resources": {"allow": ["file:///a"]}}, ["resources"]),
        ({"resources": {"deny": ["file:///a"]}}, []),  # nothing was shown, and nothing is
        ({"prompts": {"default": "allow"}}, ["prompts"]),
        ({"methods": {"allow": ["roots/list", "sampling/createMessage"]}}, []),
        ({"methods": {"allow": ["prompts/*"]}}, ["prompts"]),
        ({"default": "allow"}, ["tools", "resources", "prompts"]),
    ],
)
def test_each_kind_of_list_depends_on_its_own_rules(more: dict[str, Any], kinds: list[str]) -> None:
    before, after = policy(NOTHING), policy(NOTHING, **more)

    assert [kind for kind in ("tools", "resources", "prompts") if may_differ(before, after, kind)] == kinds
