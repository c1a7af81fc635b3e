"""The enforcement point: everything between a client and an MCP server.

The gate
  `exchange`    the one shape both sides speak: streamable HTTP without sockets. Read this first
  `door`        who may speak to the HTTP listener: path, Host, Origin, token
  `gate`        every request of every downstream enters here
  `turn`        one client message: carries out what `calls.machine` commands
  `relay`       passes one upstream answer on and notices what came of the call; `peek`, `orphans`
  `judge`       what of an upstream's messages a client gets
  `catalogue`   the upstream's tool list, read by the gate itself; `collect`, `tool_file`
  `desk`        what all exchanges share; `sessions`, `headers`, `mint`, `banner`
  `policy_file` the policy in force, and its reload; `reload`

HTTP, both sides (`http_head` is the rules they share, `http_sweep` their time-outs)
  `http_server`  `http_connection` `http_request` `http_answer`
  `http_client`  `http_call` `http_response`

stdio, both sides (adapted to the shape of `exchange`)
  `stdio_downstream`  `stdio_headers` `stdio_answers` `stdio_stream`
  `stdio_upstream`    `conversation` `pending` `mailbox` `outlet` `stdio_ids` `glance`
  `child`             `program` `watchdog` `pipe` `complaint`
"""
