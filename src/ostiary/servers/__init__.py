"""The MCP servers that come with Ostiary: thin facades over the sandbox.

`core`        a lean MCP server on `wire/`: both eras, no SDK
`runs`        what all servers over an engine have: progress, records, `run://`
`notebook`    a session's history as a notebook
`python`      `python_execute`, and `run` for all that the engine can do
`django`      a shell in a Django project, its management commands, and what it consists of
"""
