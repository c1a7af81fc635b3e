"""The operators of the first release, and which JSON types each accepts (P3.3, P3.7).

| operator | value in the rule | argument types; any other type is an error |
| --- | --- | --- |
| eq, neq | string, number or boolean | the type of the value |
| in, not_in | list of one type | the type of the list |
| lt, lte, gt, gte | number | number |
| exists | true or false | any, and null or missing |
| regex | RE2 pattern | string |
| contains | string, number or boolean | string (for a string value), array |
| path_within | folder or list | string |
| glob | pattern | string |
| host_in, url_scheme_in, cidr_in | string or list | string |
| semver | range | string |
| len_eq, len_lte, len_gte | whole number | string, array, object |
| json_schema | schema | any but null |

Null and missing are absent for all but `exists` (P3.2). In format 2, `eq`, `neq`, `in`, `not_in`
and members in `contains` accept string, number and boolean alike and compare by text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from ostiary.policy import comparisons, readings
from ostiary.policy.model import Value
from ostiary.policy.operand import Check, Mode, OperandError

_SCALARS: Final = frozenset({"string", "number", "boolean"})
_NUMBER: Final = frozenset({"number"})
_STRING: Final = frozenset({"string"})
_SIZED: Final = frozenset({"string", "array", "object"})
_PRESENT: Final = _SCALARS | {"array", "object"}


class Operator(NamedTuple):
    """`types` an argument may have, and what makes a check from the rule's value.

    `sees_null`: the check is also asked when the argument is missing or null.
    """

    types: frozenset[str]
    build: Callable[[Value, Mode], Check]
    sees_null: bool = False


OPERATORS: Final[Mapping[str, Operator]] = {
    "eq": Operator(_SCALARS, comparisons.equal),
    "neq": Operator(_SCALARS, comparisons.unequal),
    "in": Operator(_SCALARS, comparisons.member),
    "not_in": Operator(_SCALARS, comparisons.no_member),
    "lt": Operator(_NUMBER, comparisons.less),
    "lte": Operator(_NUMBER, comparisons.at_most),
    "gt": Operator(_NUMBER, comparisons.greater),
    "gte": Operator(_NUMBER, comparisons.at_least),
    "exists": Operator(_PRESENT | {"null"}, comparisons.exists, sees_null=True),
    "regex": Operator(_STRING, readings.regex),
    "contains": Operator(frozenset({"string", "array"}), comparisons.contains),
    "path_within": Operator(_STRING, readings.path_within),
    "glob": Operator(_STRING, readings.glob),
    "host_in": Operator(_STRING, readings.host_in),
    "url_scheme_in": Operator(_STRING, readings.url_scheme_in),
    "cidr_in": Operator(_STRING, readings.cidr_in),
    "semver": Operator(_STRING, readings.version_in),
    "len_eq": Operator(_SIZED, comparisons.length_equal),
    "len_lte": Operator(_SIZED, comparisons.length_at_most),
    "len_gte": Operator(_SIZED, comparisons.length_at_least),
    "json_schema": Operator(_PRESENT, readings.json_schema),
}


def build_check(op: str, value: Value, *, numeric_text: bool = False, wide: bool = False) -> Check:
    """Make the check of one condition. Loaders call it to find out whether a value fits.

    Raises:
        OperandError: when there is no such operator, or `value` does not fit it.
    """
    operator = OPERATORS.get(op)
    if operator is None:
        raise OperandError("is not an operator")
    return operator.build(value, Mode(numeric_text, wide))
