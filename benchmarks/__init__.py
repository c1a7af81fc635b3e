"""How fast the gate is, always beside a peer measured in the same run.

`python -m benchmarks` (or `make bench`) loads whole gateways; `decide`, `parse`, `journal` and
`plumbing` time one part each and are run as scripts.
"""
