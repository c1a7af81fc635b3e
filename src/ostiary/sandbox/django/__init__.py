"""Django: a project that is loaded once, and a child of it for each session or each run.

`settings`     what it is told at start
`asks`         what it answers beside running code
`runner`       keeps the project warm and hands out children. Read this first
`pool`         the loaded projects, each in a cell of its own: `cpython.runner` with other places
`project`      what of the machine a project gets; `interpreter`: the Python that has its packages
`databases`    what its databases need of the walls
`warm`         the process that has loaded it, as the host sees it
`worker`       one child, or the next one when the project has changed
`protocol`     the messages, read strictly
`veil`         masks the project's secrets in all that leaves a run
`program`      the text that is sent inside; `inside`: that text
"""
