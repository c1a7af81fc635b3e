"""Ostiary: a deterministic policy gateway for the Model Context Protocol."""

VERSION = "0.1.0"
"""The version of this package. Written out, so that a server can tell it without looking for metadata."""
