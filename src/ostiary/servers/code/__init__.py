"""Code mode: tools of other servers as functions of the code that an agent writes.

`servers_file`  which servers there are, from a file of the form that clients use
`functions`     from tool definitions to names, parameters and typed stubs
`values`        from what a tool answers to a value that code gets
`conversation`  a server behind a gate of its own, and one owner's session with it
`tools`         what one run may call: implements `sandbox.toolbox.Toolbox`
`find`          looking for tools by words
`server`        the tools that clients see
"""
