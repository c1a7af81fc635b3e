"""What a tool can do, from its definition alone: deterministic, offline, by rules that are data.

`classify` says it of tools, `grade` of a whole server. The rules are `registry/rules/*.toml`, each
with its reason; `docs/explanation/classification.md` says how they work together and where they err.
"""

from ostiary.registry.classify.grading import grade
from ostiary.registry.classify.reading import described
from ostiary.registry.classify.tool import classify, classify_by

__all__ = ["classify", "classify_by", "described", "grade"]
