"""The command line of a worker says what it may do."""

from __future__ import annotations

import json

import msgspec
import pytest

from ostiary.sandbox.limits import DEFAULT_LIMITS, MIB, Limits
from ostiary.sandbox.pyodide import launch
from ostiary.sandbox.pyodide.javascript import Runtime

NODE = Runtime("node", "/host/node", "24.1.0", "a")
DENO = Runtime("deno", "/host/deno", "2.9.8", "b")


def start(limits: Limits = DEFAULT_LIMITS, packages: str = "") -> launch.Start:
    return launch.Start(place="/pyodide", replies=7, packages=packages, limits=limits)


def test_node_may_read_its_own_folder_and_the_packages_and_nothing_else() -> None:
    command = launch.command(NODE, "/bin/node", start(packages="/packages"))

    assert command[0] == "/bin/node"
    assert [word for word in command if word.startswith("--allow")] == [
        "--allow-fs-read=/pyodide/*",
        "--allow-fs-read=/packages/*",
    ]
    assert "--permission" in command


def test_deno_may_read_its_folder_and_write_its_answers_and_nothing_else() -> None:
    command = launch.command(DENO, "/bin/deno", start())

    assert [word for word in command if word.startswith("--allow")] == [
        "--allow-read=/pyodide",
        "--allow-write=/dev/fd/7,/proc/self/fd/7",
    ]
    assert {"--no-prompt", "--no-remote", "--no-npm"} <= set(command)


@pytest.mark.parametrize("runtime", [NODE, DENO])
def test_code_cannot_be_made_from_strings(runtime: Runtime) -> None:
    assert "--disallow-code-generation-from-strings" in " ".join(launch.command(runtime, "x", start()))


@pytest.mark.parametrize(
    ("memory", "pages"), [(512 * MIB, 8192), (64 * MIB, 1024), (65_537, 2), (8192 * MIB, 65_536)]
)
def test_memory_is_bounded_in_pages(memory: int, pages: int) -> None:
    limits = msgspec.structs.replace(DEFAULT_LIMITS, memory=memory)

    assert f"--wasm-max-mem-pages={pages}" in launch.command(NODE, "x", start(limits))


def test_what_a_worker_is_told_is_its_last_word() -> None:
    told = json.loads(launch.command(NODE, "x", start())[-1])

    assert (told["replies"], told["package"], told["file_bytes"]) == (7, "/pyodide/package", 16 * MIB)


def test_a_snapshot_is_good_for_one_program_and_one_version_only() -> None:
    keys = {launch.snapshot_key(version, one) for version in ("1", "2") for one in (NODE, DENO)}

    assert len(keys) == 4


def test_every_module_that_our_own_imports_is_sent_along() -> None:
    """Whatever is imported from this package has to be among what is sent."""
    sent = launch.modules()

    for text in sent.values():
        for line in text.splitlines():
            words = line.split()
            if words[:1] == ["from"] and words[1].startswith("ostiary."):
                base = words[1].replace(".", "/")
                names = [name.strip(" ,") for name in words[3:]]
                assert f"{base}.py" in sent or all(f"{base}/{name}.py" in sent for name in names), line
