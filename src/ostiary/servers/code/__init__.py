"""Code mode: tools of other servers as functions of the code that an agent writes.

`servers_file`  which servers there are, from a file of the form that clients use
`functions`     from tool definitions to names, parameters and typed stubs
`values`        from what a tool answers to a value that code gets
`conversation`  a server behind a gate of its own, and one owner's session with it
`tools`         what one run may call: implements `sandbox.toolbox.Toolbox`
`find`          looking for tools by words
`server`        the tools that clients see
`custom_*`      tools that clients store: `check` what may be, `tools` who sees what, `bench` `making`
                `looking` what can be done with them, `server` as tools
`background`    calls that nobody waits for
`remote`        requests for servers
"""
