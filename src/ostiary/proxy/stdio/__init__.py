"""stdio on both sides, adapted to the shape of `ostiary.proxy.exchange`.

`downstream` `headers` `answers` `stream`                   a client on standard streams
`upstream` `conversation` `pending` `ids` `glance`          a server that is a command
`mailbox` `outlet` `pipe`                                   bytes in and out, bounded
`child` `program` `watchdog` `complaint`                    the process itself
"""
