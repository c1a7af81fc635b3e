"""Running code that nobody trusts: one engine, several runners, and walls that are what they say.

  `request`     what is asked for; `limits`: what it may use
  `record`      what became of it: the one record that every facade converts
  `runner`      what an engine of code is: the port between the queue and the workers
  `toolbox`     tools that code may call: the port to whoever decides about calls
  `engine`      the one queue: accepts, runs, bounds, cancels, keeps records. Read this first
  `turns`       how owners share its places and its queue
  `isolation`   what this machine offers, and starting a program behind it
  `inner`       the calls of tools of one run: counted, bounded, written down
  `monty`       an interpreter for code that mostly calls tools; a subset of Python
  `cpython`     a warm interpreter that forks a walled-off child for each run
  `pyodide`     CPython in WebAssembly, inside the same walls
  `django`      a project that is loaded once, and a child of it for each session or run
  `packages`    PEP 723 and requirements: resolved apart from the run, wheels only, cached
  `egress`      an allow-list proxy, for resolvers and where a policy grants a run some hosts

Promises: code gets nothing that it was not given. What it could not be kept from is said in
every reply. A worker serves one call, or one session of one owner, and is then gone with all
that it started.
"""
