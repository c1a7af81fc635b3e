"""From a tree to the normal form, one module per format.

`detect` says which format a document is written in (P1.5). `ostiary` reads formats 1 and 4,
`intercept` format 2 (with `counter` for its `state` conditions), `short` format 3. They share
`condition`, `literal` and `subschema` for what a rule compares, `limit` for quotas, and `sections`.
`table` holds every key that exists; `fields` reads a mapping through one of its tables.
"""

from __future__ import annotations
