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

The transports, each adapted to the shape of `exchange`
  `http`        streamable HTTP, both sides
  `stdio`       standard streams, both sides
"""
