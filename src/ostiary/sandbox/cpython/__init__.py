"""CPython: warm interpreters behind walls, each of which forks a child for one run or one session.

`runner`     keeps places warm and hands out workers. Read this first
`place`      one cell with its warm interpreter, and the child that is kept ready in it
`zygote`     that interpreter, as the host sees it: started, asked for children, ended
`worker`     one child: jobs in, what it writes and answers out, killed from outside
`turn`       the traffic of one job
`calling`    calls of tools that its code makes
`protocol`   the messages, read strictly: what comes from a child may be forged
`program`    the text that is sent inside
`inside`     that text
"""
