"""Quotas: how much has been used, and whether one more call fits. Pure.

`window` counts one key, `ledger` holds all keys and reserves for a whole call or not at all.
Times are microseconds since the epoch and come in as arguments; amounts are exact.
"""
