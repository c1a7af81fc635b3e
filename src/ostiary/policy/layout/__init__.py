"""A policy's text written anew: one style, the same meaning, every comment kept.

`piece` is a tree with what a writer needs: order, comments, which parts stand on one line.
`comments` finds the comments of YAML and says what each one belongs to. `scalars` spells texts and
numbers; `yaml_text` and `json_text` write a tree. `rewrite` is `ostiary policy fmt`.
"""

from __future__ import annotations
