"""What a wish for isolation comes to, and what is said of what is missing."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ostiary.errors import CallerFault
from ostiary.sandbox.isolation.cells import Cell
from ostiary.sandbox.isolation.cgroups import Place
from ostiary.sandbox.isolation.probe import Layer, Probed
from ostiary.sandbox.isolation.walls import Walls, outside
from tests.needs import needs_root
from tests.sandbox.isolation.bpf import Answer, ask
from tests.sandbox.isolation.standing import Standing, bind, finish


def layer(name: str, *, found: bool = True) -> Layer:
    if found:
        return Layer(name=name, found=True, path=f"/bin/{name}")
    return Layer(name=name, found=False, why=f"why no {name}", remedy=f"get {name}", loss=f"{name} is lost")


NAMES = {"bubblewrap": "bubblewrap", "namespaces": "user namespaces", "seccomp": "seccomp"}


def probed(**missing: bool) -> Probed:
    """A machine with everything but what is named; nothing of it is real."""
    layers: dict[str, Any] = {
        field: layer(NAMES.get(field, field), found=not missing.get(field, False))
        for field in ("bubblewrap", "namespaces", "seccomp", "cgroups", "landlock", "node", "deno", "uv")
    }
    layers["cgroups"] = layer("cgroups", found=False)
    return Probed(place=Place(why_not="none here"), uids=None, **layers)


@pytest.mark.parametrize("field", NAMES)
def test_strict_is_refused_where_a_layer_is_missing_and_says_what_brings_it(field: str) -> None:
    with pytest.raises(CallerFault) as refused:
        Walls.decide("strict", probed(**{field: True}))

    assert refused.value.message == f"strict isolation needs {NAMES[field]}: why no {NAMES[field]}"
    assert refused.value.hint is not None
    assert refused.value.hint.startswith(f"get {NAMES[field]}")
    assert "ostiary doctor" in refused.value.hint


def test_strict_without_cgroups_is_strict_and_says_what_is_refused_instead() -> None:
    walls = Walls.decide("strict", probed())

    assert (walls.level, walls.report.level, walls.bounded) == ("strict", "strict", False)
    assert walls.report.missing == ("no cgroups: cgroups is lost",)


@pytest.mark.parametrize("field", NAMES)
def test_best_effort_goes_on_and_names_what_is_missing(field: str) -> None:
    walls = Walls.decide("best-effort", probed(**{field: True}))

    assert walls.report.level == "best-effort"
    assert f"no {NAMES[field]}: {NAMES[field]} is lost" in walls.report.missing
    assert walls.walled is (field == "seccomp")


def test_best_effort_on_a_machine_that_has_everything_is_not_called_strict() -> None:
    walls = Walls.decide("best-effort", probed())

    assert (walls.report.level, walls.walled) == ("best-effort", True)


def test_no_isolation_is_said_to_be_none_even_where_there_could_be_some() -> None:
    walls = Walls.decide("none", probed())

    assert (walls.level, walls.walled, walls.filtered) == ("none", False, False)
    assert "switched off" in walls.report.missing[0]
    assert walls.filter(processes=True, sockets="none") == b""


def test_what_a_report_says_does_not_tell_code_where_things_lie() -> None:
    """Reasons name paths of the host; they are for whoever runs `ostiary doctor`."""
    walls = Walls.decide("best-effort", probed(bubblewrap=True, namespaces=True))

    assert "why" not in " ".join(walls.report.missing)


def test_code_starts_processes_only_where_a_cgroup_counts_them() -> None:
    walls = Walls.decide("strict", probed())
    if os.uname().machine != "x86_64":
        pytest.skip("the number below is that of x86_64")
    fork = 57

    for_code = walls.filter(processes=True, sockets="unix")
    for_ours = walls.filter(processes=True, sockets="unix", code=False)
    bounded = msgspec.structs.replace(walls, bounded=True).filter(processes=True, sockets="unix")

    assert ask(for_code, fork).kind == "error"
    assert ask(for_ours, fork) == Answer("allow")
    assert ask(bounded, fork) == Answer("allow")


@pytest.fixture
def bare(standing: Standing) -> Walls:
    return Walls.decide("none", standing.found)


def test_without_walls_the_same_program_runs_on_the_host(standing: Standing, bare: Walls) -> None:
    given = standing.shared("bare")
    (given / "main.py").write_text(
        "import sys, os; print(sys.version_info[:2], os.environ['A'], os.path.exists('/usr'))"
    )
    cell = bare.cells.take()
    box = standing.box(
        cell, "", binds=(bind(given, "/given"),), environment={"A": "/given/x"},
        command=(standing.root.python, "-I", "/given/main.py"),
    )  # fmt: skip

    done = finish(bare.start(box, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE))

    version = tuple(int(word) for word in standing.root.version.split(".")[:2])
    assert (done.out, done.err) == (f"{version} {given}/x True\n", "")
    assert bare.cells.give_back(cell)


def test_without_bubblewrap_system_calls_are_filtered_and_limits_hold_all_the_same(
    standing: Standing,
) -> None:
    walls = msgspec.structs.replace(standing.walls, program="", level="best-effort")
    code = (
        "import os, socket, resource\n"
        "print(open('/proc/self/status').read().split('Seccomp:')[1][:3].strip())\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_CORE))\n"
        "print(os.environ['A'])\n"
        "socket.socket()"
    )
    with standing.cell() as cell:
        box = standing.box(cell, code, open_files=99, environment={"A": "1"})
        done = finish(walls.start(box, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE))

    assert done.out == "2\n(99, 99) (0, 0)\n1\n"
    assert "Address family not supported" in done.err


def test_even_without_walls_root_runs_no_code_as_itself(standing: Standing, bare: Walls) -> None:
    needs_root("be refused for being root")
    box = standing.box(Cell(None, None), "print(1)")

    with pytest.raises(Exception, match="no user of its own"):
        bare.start(box)


def test_a_path_of_the_box_is_found_on_the_host(standing: Standing) -> None:
    box = standing.box(
        Cell(None, None), "", binds=(bind(Path("/a"), "/deps"), bind(Path("/b"), "/deps/inner"))
    )
    top = standing.root.path

    assert outside(box, "/deps/x") == "/a/x"
    assert outside(box, "/deps/inner/x") == "/b/x"
    assert outside(box, "/depsx") == "/depsx"
    assert outside(box, "/python/bin/python3") == f"{top}/python/bin/python3"
    assert outside(box, "/tmp") == "/tmp"
    assert outside(box, "-c") == "-c"
    assert outside(box, "") == ""


def test_a_box_under_a_filter_starts_where_the_machine_cannot_filter(standing: Standing) -> None:
    """`best-effort` without seccomp: said in the report, and not an error at every run."""
    walls = msgspec.structs.replace(standing.walls, filtered=False)
    with standing.cell() as cell:
        box = standing.box(cell, "print(open('/proc/self/status').read().split('Seccomp:')[1][:3])")
        done = finish(walls.start(box, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE))

    assert done.out.strip() == "0"
