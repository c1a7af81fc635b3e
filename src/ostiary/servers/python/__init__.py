"""The Python server: run code behind walls.

- `schemas`: the tools as they are listed
- `arguments`: from a tool's arguments to a `RunRequest`
- `replies`: from a `RunRecord` to the text and the data of a reply
- `resources`: `artifact://` and `session://`, beside what `runs` has
- `server`: all of it as one MCP server
"""
