"""What a scan found, written for people, programs, code scanning and browsers. Pure.

All text of a server is hostile. No report shows what a configuration gives to a server: its
environment, headers, arguments and the rest of an address may be secret.
"""
