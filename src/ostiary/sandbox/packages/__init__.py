"""What a run imports beyond Python itself: resolved apart from the run, wheels only, cached.

  `resolve`      from what a run asks for to a folder that holds it. Read this first
  `script`       the block with which a script says what it needs (PEP 723). Pure
  `requirement`  one requirement: a name, extras, versions, a marker. Pure
  `install`      runs the resolver, uv, behind walls and without a network
  `mirror`       the index as the resolver sees it: over a unix socket, wheels only, checked
  `web`          what may be read of the web for one index; `pages`: what an index writes. Pure
  `index`        where packages come from, as this machine's own tools are told
  `store`        the folder in which resolved packages lie; `target`: for which Python
  `wheels`       what the CPython engine brings, exactly as locked
  `opening`      puts the parts together for this machine

A requirement is text from whoever wrote the code. No code of a package runs before the run: nothing
is built, no hook is called. The resolver holds no credential and can name no host: it asks for
projects and files by a socket, and what it is told of comes from the operator's index alone.
"""
