"""What this machine offers to wall code off, and starting a program behind it.

  `walls`        what this process uses, decided once; starts a box. Read this first
  `box`          a program and what it is given
  `bubblewrap`   a box as a command line of bubblewrap; `staging` shows it what its user cannot reach
  `root`         the file system that a box sees: built from `interpreter` and `libraries`
  `seccomp`      the system calls of a box, from the numbers in `syscalls`
  `cells`        users and cgroups to run under; `cgroups` finds and makes, `group` bounds and kills
  `probe`        what there is, tried
  `cache`        the folder for what is built
  `confine`      walls that a process puts up around itself, inside a box

Promises: a program sees what it was given and nothing else of the host. Root never runs a box.
What a machine lacks is told, and never made up for in silence.
"""
