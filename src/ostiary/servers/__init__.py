"""The MCP servers that come with Ostiary: thin facades over the sandbox.

`core`        a lean MCP server on `wire/`: both eras, no SDK
`python`      `python_execute`, and `run` for all that the engine can do
"""
