"""The life of one call: read this first.

`call`     one message as plain values, the commands of the machine and their replies
`machine`  what happens to a message, as data: consult, decide, record, forward, record
`driver`   the one loop that performs those commands; `Effects` is what it needs from outside
`stop`     an emergency stop, and what it covers
`records`  the audit records a call leaves behind; `outstanding` those that come later
`journal`  the port to the durable store: one transaction per event-loop tick

Bytes come in at `proxy.gate`, which makes a `Call`; `proxy.turn` implements `Effects`.
"""
