"""What a run imports beyond Python itself: resolved apart from the run, wheels only, cached.

  `script`       the block with which a script says what it needs (PEP 723). Pure
  `requirement`  one requirement: a name, extras, versions, a marker. Pure

A requirement is text from whoever wrote the code. No code of a package runs before the run: nothing
is built, nothing is configured, and the resolver sits behind walls of its own.
"""
