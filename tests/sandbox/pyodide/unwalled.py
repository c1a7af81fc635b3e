"""Pyodide as its documentation shows it, with nothing that its runtime would refuse.

The other side of the proof that an escape is one, and that the walls hold without the runtime's help.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ostiary.sandbox.isolation.box import Bind, Box
from ostiary.sandbox.isolation.root import build_root
from ostiary.sandbox.isolation.walls import Walls
from ostiary.sandbox.pyodide import launch
from tests.sandbox.pyodide.prepared import Prepared

WAIT = 50
_SCRIPT = """
const {{ loadPyodide }} = await import({module});
const py = await loadPyodide({{ indexURL: {folder} }});
const said = [];
for (const code of {codes}) {{
  try {{ said.push(String(await py.runPythonAsync(code))); }} catch (error) {{ said.push("ERROR " + error); }}
}}
console.log("SAID " + JSON.stringify(said));
process.exit(0);
"""


def on_the_host(here: Prepared, codes: list[str], environment: dict[str, str]) -> list[str]:
    """What each code's last expression comes to, or `ERROR …`, without any wall."""
    with _script(f"{here.found.place}/{launch.PACKAGE}", codes) as path:
        done = subprocess.run(
            [here.found.runtime.path, "--no-warnings", path],
            env=environment, stdout=subprocess.PIPE, timeout=WAIT, check=True,
        )  # fmt: skip
    return _said(done.stdout)


def in_a_box(here: Prepared, codes: list[str], walls: Walls) -> list[str]:
    """The same behind the walls of a worker, but for what its runtime refuses."""
    runtime = here.found.runtime
    root = build_root(here.cache, Path(sys.executable), (Path(runtime.path),))
    cell = walls.cells.take()
    try:
        with _script(f"{launch.PLACE}/{launch.PACKAGE}", codes) as path:
            box = Box(
                command=(root.programs[0], "--no-warnings", f"/script/{path.name}"),
                root=root,
                binds=(Bind(here.found.place, launch.PLACE), Bind(str(path.parent), "/script")),
                environment=launch.environment(runtime),
                seccomp=walls.filter(processes=False, sockets="none"),
                cell=cell,
            )
            process = walls.start(
                box, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            try:
                out, _ = process.communicate(timeout=WAIT)
            finally:
                process.kill()
                process.wait()
    finally:
        while not walls.cells.give_back(cell):
            pass
    return _said(out)


@contextmanager
def _script(package: str, codes: list[str]) -> Iterator[Path]:
    module = json.dumps(f"file://{package}/pyodide.mjs")
    text = _SCRIPT.format(module=module, folder=json.dumps(package), codes=json.dumps(codes))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "script.mjs"
        path.write_text(text)
        path.chmod(0o644)
        yield path


def _said(out: bytes) -> list[str]:
    return json.loads(out.decode().partition("SAID ")[2])
