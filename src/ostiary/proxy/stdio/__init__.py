"""stdio on both sides, adapted with `ostiary.proxy.bridge` to the shape of `exchange`.

`downstream`                             a client on standard streams
`upstream` `conversation`                a server that is a command
`pipe`                                   bytes in and out, bounded
`child` `program` `watchdog`             the process itself
"""
