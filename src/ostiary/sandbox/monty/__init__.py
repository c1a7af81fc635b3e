"""Monty: an interpreter for code that mostly calls tools. Starts in no time, pauses, and knows no system.

  `runner`    keeps processes warm and hands out workers. Read this first
  `worker`    one interpreter: code in, calls of tools out, its end from outside
  `process`   the process of an interpreter, behind walls
  `check`     before any tool is called: whether Monty can run some code, and what is wrong with it
  `faults`    what Monty raises, in the words of a record
  `values`    what comes out of the interpreter, bounded
  `state`     a paused run as bytes

Monty is a subset of Python: what it lacks is found by `check`, and then `cpython` runs the code.
"""
