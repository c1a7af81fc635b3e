"""The programs that are sent into containers, as text."""

from __future__ import annotations

import ast
from functools import cache
from importlib.resources import files
from typing import Final

_INSIDE: Final = "ostiary.sandbox.containers.inside"


_NEEDED: Final = {
    "ender": ("ending", "ender"),
    "courier": ("ending", "keeping", "courier"),
    "unpacker": ("unpacker",),
}


@cache
def program(name: str) -> str:
    """One of `inside`, with the modules that it needs before it: nothing of ours is there to import."""
    return "\n".join(_source(one) for one in _NEEDED[name])


def _source(name: str) -> str:
    text = files(_INSIDE).joinpath(f"{name}.py").read_text("utf-8")
    lines = text.splitlines()
    for node in ast.parse(text).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_INSIDE):
            lines[node.lineno - 1 : node.end_lineno] = [""] * ((node.end_lineno or 0) - node.lineno + 1)
    return "\n".join(lines)


SHELL_ENDER: Final = r"""
mark=$1$2
round=0
quiet=0
while [ $quiet -lt 2 ] && [ $round -lt 400 ]; do
  round=$((round + 1))
  all=" "
  hit=" "
  for entry in /proc/[0-9]*; do
    pid=${entry#/proc/}
    [ "$pid" = $$ ] || [ "$pid" = 1 ] && continue
    line=
    read -r line < $entry/stat 2>/dev/null || continue
    line=${line##*) }
    set -- $line
    [ "$1" = Z ] || [ "$1" = X ] && continue
    all="$all$pid:$2:$4 "
    for file in environ cmdline; do
      while IFS= read -r text || [ -n "$text" ]; do
        case "$text" in *"$mark"*) hit="$hit$pid "; break;; esac
      done < $entry/$file 2>/dev/null
    done
  done
  grew=1
  while [ $grew = 1 ]; do
    grew=0
    for one in $all; do
      pid=${one%%:*}; rest=${one#*:}; parent=${rest%:*}; session=${rest#*:}
      case "$hit" in *" $pid "*) continue;; esac
      case "$hit" in *" $parent "*) hit="$hit$pid "; grew=1; continue;; esac
      case "$hit" in *" $session "*) hit="$hit$pid "; grew=1;; esac
    done
  done
  [ "$hit" = " " ] && quiet=$((quiet + 1)) && continue
  quiet=0
  kill -STOP $hit 2>/dev/null
  kill -9 $hit 2>/dev/null
done
[ $quiet = 2 ]
"""
"""What `ender` does, for containers that have a shell and no Python: builtins only."""
