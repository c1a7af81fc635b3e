"""CPython in WebAssembly, in Node or Deno, inside the same walls as everything else.

  `runner`    hands out workers and keeps spares ready: implements `sandbox.runner.Runner`. Read this first
  `worker`    one process: jobs in, answers and bytes out, how it ended
  `process`   its process as the host sees it; `channels`: the pipes to it
  `frames`    what a worker says besides answers
  `launch`    the command line, the bounds and the box of a worker
  `javascript`  finding Node or Deno
  `prepare`   the explicit set-up step: fetches Pyodide once, builds and tests the memory snapshot
  `fetch`     the pinned package, checked against its digest
  `advice`    what to do about packages that only Pyodide's own servers have
  `inside`    what is sent to the other side

WebAssembly alone is no boundary: code reaches JavaScript, and JavaScript reaches the machine. The
walls of `sandbox.isolation` are the boundary. What the runtime is told to refuse is a second one.

Promises: a worker serves one call, or one session of one owner, and dies. The network is used by
`prepare` and by nothing else. A snapshot that fails its test is not used, and every reply says so.
"""
