"""The Django server: a shell in a project, its management commands, and what the project consists of.

- `interface`: the tools as mcp-django has them on the wire, and what ours take beyond that
- `tools`: each tool, from its arguments to its reply
- `shell`: runs and questions on behalf of one client; whose session is whose
- `history`: what a client has run
- `script`: a history as a script
- `saving`: a file into the project's folder, and nowhere else
- `replies`: from a `RunRecord` to what a client is told
- `packages`: djangopackages.org, or a site that answers like it
- `resources`: `django://`, `run://` and `session://`
- `server`: all of it as one MCP server
"""
