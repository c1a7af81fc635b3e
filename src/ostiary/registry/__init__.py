"""What is known about the tools of servers: pure rules over their definitions.

`fingerprint` names a definition, `drift` says what became of it (with `schema_drift` for its input
schema), and `starter` writes the first policy for a list of tools. All text here was written by
servers that nobody vouches for.
"""
