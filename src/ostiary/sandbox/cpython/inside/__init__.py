"""What runs on the other side of the walls: sent there as text, standard library only.

  `zygote`     a warm interpreter that forks a child for each command byte, and reads nothing else
  `child`      from fork to ready: walls, a tiny init, the process for the code
  `serving`    takes jobs from the socket and answers them
  `evaluate`   one piece of code: its globals, its last value, its traceback
  `tools`      functions of the code that ask the host for a tool
  `attempt`    the one place where code may raise anything
  `show`       a value as text, as JSON text, as images
  `files`      files in, artifacts out
  `frames`     messages on a socket; the host side is `ostiary.sandbox.cpython.protocol`

Nothing here is trusted by the host: once code runs, it can replace all of this. What must hold
then is enforced from outside, or was given up before the code arrived.
"""
