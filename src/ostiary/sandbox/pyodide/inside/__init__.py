"""What runs on the other side of the walls, in WebAssembly: sent there as text.

  `runner.mjs`  the program that Node or Deno runs: loads CPython, takes jobs, hands on bytes
  `answering`   called by it for each job; standard library only

What one piece of code means (its globals, its value, its traceback, its files) is the same for
every engine and comes from `ostiary.sandbox.cpython.inside`.

Nothing here is trusted by the host: once code runs, it can replace all of this.
"""
