"""HTTP+SSE (MCP 2024-11-05) on both sides, adapted with `ostiary.proxy.bridge` to `exchange`.

`downstream` `listener`                          clients: a stream each, POSTs answered on it
`upstream` `link` `endpoint` `opening` `outbox`  a server: the same the other way round
"""
