"""Bytes to messages and back, without I/O.

- `strict`: JSON that has exactly one reading
- `envelope`: one JSON-RPC message (or batch) from bytes, or a `message.Refusal`
- `revisions`: the revisions by name, and what the newest no longer has
- `message`: what those are
- `era`, `mirror`: legacy or modern; headers that must repeat the body
- `spans`: where a value stands in the bytes, and edits that leave the rest alone
- `lists`, `ids`: the two edits of listings and of ids on shared pipes
- `sse`, `lines`: the framings of streams and of pipes
- `arrays`: what a server of 2025-03-26 sends in one array
- `answers`: what the gate says itself
- `loose`: an upstream's answer where only its id matters

Promise: what is decided is what is forwarded. One reading of a message exists, made here, and
the bytes that leave are the accepted ones with spliced edits, never another encoding of them.
"""
