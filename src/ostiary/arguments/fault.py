"""The one error of this package."""

from __future__ import annotations


class ArgumentError(ValueError):
    """An argument's text cannot be read in exactly one way, so nothing may be concluded from it.

    The message says which check failed and never quotes the text: it may be a secret.
    """
