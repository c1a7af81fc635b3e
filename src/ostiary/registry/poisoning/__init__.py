"""What in a tool definition works on its reader instead of describing the tool. Pure.

`walk` gives every text of a definition; `characters` looks at what nobody sees, `plain` makes a text
plain, `payloads` unwraps what is encoded, `wording` holds the rules (`rules/poisoning.toml`), `names`
and `across` compare tools with one another, and `check` puts it together. All input is hostile.
"""

from ostiary.registry.poisoning.check import findings
from ostiary.registry.poisoning.kinds import ACROSS, KINDS

__all__ = ["ACROSS", "KINDS", "findings"]
