"""What runs in the project's own interpreter, behind the walls: plain source, sent there as text.

`warm`        loads the project, then forks
`shell`       a child: takes jobs, runs code, answers questions
`alarm`       ends code whose time is up, and lets its session go on
`guard`       read-only and rollback
`watch`       which files of the project have changed since they were imported
`secrecy`     what is not shown
`answers`     what each question leads to: `about`, `routes` and `commands` answer them
`reach`       Django's modules, without importing them before the project is set up

Nothing but the standard library may be imported here, and nothing of ours after `warm` has begun: the
project may bring modules of the same name. Django is reached through `reach.module`.
"""
