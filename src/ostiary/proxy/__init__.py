"""The enforcement point: everything between a client and an MCP server.

The gate
  `exchange`    the one shape both sides speak: streamable HTTP without sockets. Read this first
  `door`        who may speak to the HTTP listener: path, Host, Origin, token; `forwarded`
  `tls`         certificates on both sides; `network`, `descriptors`: bounds, and room for them
  `gate`        every request of every downstream enters here
  `batch`       several at once (2025-03-26): each is a call of its own; `member`
  `turn`        one client message: carries out what `calls.machine` commands
  `streams`     the requests without a message: GET and DELETE
  `relay`       passes one upstream answer on and notices what came of the call; `answering`,
                `peek`, `orphans`
  `judge`       what of an upstream's messages a client gets; `results`: what of answers
  `stops`       the emergency stops in force, and what runs that they end; `ending`, `cancelling`
  `handles`     what an upstream issued, and which grant it belongs to
  `catalogue`   the upstream's tool list, read by the gate itself; `collect`, `tool_file`
  `mirrored`    which headers a call repeats its arguments in
  `desk`        what all exchanges share; `sessions`, `headers`, `mint`, `banner`
  `policy_file` the policy in force, and its reload; `reload`
  `changes`     tells clients that a reload altered their lists; `renewed` that a session is another

The transports, each adapted to the shape of `exchange`
  `http`        streamable HTTP, both sides
  `bridge`      what the others share: single messages seen as streamable HTTP
  `stdio`       standard streams, both sides
  `sse`         HTTP+SSE of 2024-11-05, both sides
"""
