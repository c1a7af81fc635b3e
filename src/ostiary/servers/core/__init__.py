"""A lean MCP server: every revision from 2024-11-05 to 2026-07-28, on `wire/`, without an SDK.

Read in this order:

  `tool` `resource` `prompt` `content` `context` `question`   what a server is made of
  `fault`       what a handler may raise
  `server`      the server: what it offers, and how its results look on each era
  `catalogue` `schema`   the same by name, compiled; arguments are checked before a handler sees them
  `method`      what each method does
  `call` `seal`   one request under work; what a modern client carries from round to round
  `channel` `session` `of_session` `listener`   answers and streams, legacy sessions, who hears of changes
  `work`        how much goes on at once, and what happens when it is over
  `endpoint` `reply`   the whole as streamable HTTP without sockets; `stdio`, `http` and `upstream` use it

Promises: a request that is not read strictly reaches no handler. Arguments that do not fit the
schema reach none either. A client learns of a failure what its author wrote for it, never a
traceback. What is bound to an owner exists for nobody else.
"""
