"""Ostiary: a deterministic policy gateway for the Model Context Protocol."""
