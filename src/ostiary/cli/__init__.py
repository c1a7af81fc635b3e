"""The command line. Commands are thin: read options, call one function, render.

`entry`  where `ostiary` starts; `proxy` has a short way in that imports no command framework
`app`    the command tree: `policy`, `audit`, `status`, `demo`
"""
