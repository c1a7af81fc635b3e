"""Tests of a policy: calls with the decisions that they must get. Pure.

`table` holds the keys of a tests file, `document` reads one, `matrix` makes several calls of one
test; `run` decides them, `coverage` says which rules no test exercised, `report` says it all.
"""

from __future__ import annotations
