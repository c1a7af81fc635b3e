"""JSON and messages for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

KEYS = st.text(st.characters(codec="utf-8"), max_size=6)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="utf-8"), max_size=12),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=5)
IDS = st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(codec="utf-8"), max_size=20)


def calls() -> st.SearchStrategy[dict[str, object]]:
    """tools/call requests with any arguments."""
    params = st.fixed_dictionaries(
        {"name": st.text(st.characters(codec="utf-8"), min_size=1, max_size=10), "arguments": OBJECTS}
    )
    return st.fixed_dictionaries(
        {"jsonrpc": st.just("2.0"), "id": IDS, "method": st.just("tools/call"), "params": params}
    )
