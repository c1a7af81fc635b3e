"""What has to work in a box: the interpreter with all that belongs to it, and other programs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ostiary.sandbox.isolation.root import build_root
from tests.needs import ROOT, missing, needs_node
from tests.sandbox.isolation.standing import Standing

MODULES = """
import array, asyncio, bisect, bz2, collections, csv, ctypes, dataclasses, datetime, decimal, email, \
    fractions, functools, gzip, hashlib, heapq, html, http.client, inspect, io, ipaddress, itertools, \
    json, logging, lzma, math, multiprocessing, operator, pathlib, pickle, platform, queue, random, re, \
    secrets, select, shutil, signal, socket, sqlite3, ssl, statistics, string, struct, subprocess, \
    tempfile, textwrap, threading, time, tomllib, traceback, types, typing, unicodedata, unittest, \
    urllib.request, uuid, venv, xml.etree, zipfile, zlib, zoneinfo
print('imported')
"""
PROGRAMS = {
    "threads": "import concurrent.futures as f; print(sum(f.ThreadPoolExecutor(8).map(abs, range(100))))",
    "a database": "import sqlite3; print(sqlite3.connect('a.db').execute('select 4950').fetchone()[0])",
    "an event loop": """
import asyncio
async def main():
    server = await asyncio.start_unix_server(lambda r, w: (w.write(b'4950'), w.close()), '/tmp/s')
    reader, writer = await asyncio.open_unix_connection('/tmp/s')
    print((await reader.read()).decode())
    writer.close()
    server.close()
asyncio.run(main())
""",
    "a temporary file": """
import tempfile, pathlib
with tempfile.TemporaryDirectory() as folder:
    pathlib.Path(folder, 'a').write_text('4950')
    print(pathlib.Path(folder, 'a').read_text())
""",
    "certificates": "import ssl; ssl.create_default_context(); print(4950)",
    "random numbers": "import secrets, uuid, random; secrets.token_bytes(9); uuid.uuid4(); print(4950)",
}  # fmt: skip
CHILDREN = {
    "a program": "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(4950)'])",
    "a pool of processes": """
import multiprocessing
with multiprocessing.Pool(2) as pool:
    print(sum(pool.map(abs, range(100))))
""",
    "a forked process": "import os\nif os.fork() == 0: print(4950)\nelse: os.wait()",
}


def test_the_whole_standard_library_is_there(standing: Standing) -> None:
    done = standing.run(MODULES)

    assert (done.out, done.err) == ("imported\n", "")


@pytest.mark.parametrize("code", PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_has_what_it_needs(standing: Standing, code: str) -> None:
    done = standing.run(code)

    assert (done.out, done.err) == ("4950\n", "")


@pytest.mark.parametrize("code", PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_that_may_start_no_process_has_what_it_needs(standing: Standing, code: str) -> None:
    done = standing.run(code, seccomp=standing.walls.filter(processes=False, sockets="unix"))

    assert (done.out, done.err) == ("4950\n", "")


@pytest.mark.parametrize("code", CHILDREN.values(), ids=CHILDREN)
def test_a_program_starts_others_where_they_are_counted(standing: Standing, code: str) -> None:
    if not standing.walls.bounded:
        missing(f"no cgroups for this user: {standing.found.cgroups.why}")

    done = standing.run(code)

    assert (done.out, done.err) == ("4950\n", "")


def test_node_runs_in_a_box(standing: Standing) -> None:
    root = build_root(standing.folder / "cache", Path(sys.executable), (needs_node(),))

    done = standing.run(
        "",
        root=root,
        command=(root.programs[0], "-e", "setTimeout(() => console.log(require('os').platform()), 1)"),
        seccomp=standing.walls.filter(processes=False, sockets="none"),
    )

    assert (done.out, done.err) == ("linux\n", "")


def test_uv_runs_in_a_box_and_asks_its_interpreter(standing: Standing) -> None:
    uv = ROOT / ".venv/bin/uv"
    if not uv.exists():
        missing("uv is not installed in the development environment")
    root = build_root(standing.folder / "cache", Path(sys.executable), (uv,))

    done = standing.run(
        "",
        root=root,
        command=(root.programs[0], "venv", "--offline", "--no-config", "--python", root.python, "made"),
        environment={"HOME": "/tmp", "UV_CACHE_DIR": "/tmp/cache"},
        seccomp=standing.walls.filter(processes=True, sockets="loopback", code=False),
    )

    assert done.status == 0, done.err
