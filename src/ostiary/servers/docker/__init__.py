"""The containers' server: commands and scripts in containers of Docker or podman.

Two toolsets, as two servers made them known, each with that server's names, schemas and texts.

- `exec_schemas`, `script_schemas`   the tools as they are listed
- `arguments`, `work_folder`         from what is asked to what may be done
- `exec_replies`, `script_replies`   from the record of a run to texts and fields
- `said`, `human`, `fitting`         reading what an engine says, writing it for people, short enough
- `listing`, `inspecting`, `measuring`, `reading`   what the tools that only look answer
- `exec_tools`, `look_tools`, `script_tools`        the handlers
- `server`                           all of it as one MCP server
"""
