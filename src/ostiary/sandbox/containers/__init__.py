"""Containers of an engine (Docker, podman): commands and scripts in them, and containers of our own.

Nothing here takes a path, a mount, a socket, a device or a privilege from a caller. What is created is
walled off (`walls`), carries the labels of its owner (`labels`), and is removed when its time is up.
"""
