"""Secrets of runs that go on at the same time, and what else on the machine could see of them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ostiary.sandbox.sieve import Sieve
from tests.servers.code.inside import SECRET
from tests.servers.code.test_secrets import FETCH, KEY, SCAN, TOKEN, Kept, bounded, kept
from tests.servers.python.world import OSTIARY

pytestmark = [pytest.mark.timeout(180), pytest.mark.service]

WAITS = "print('x' * 9_000, flush=True)\nimport time\ntime.sleep(300)"
"""What is printed is shown late, so it is enough to show what stands before it."""


async def going_on(it: Kept, script: str, secret: str, shown: str) -> str:
    """A run in the background that holds a secret and has printed `shown`: all that it has printed."""
    begun = await it.client().data(
        "asyncExecuteCode",
        script=f"{script}\n{WAITS}",
        mcp_server_names=["Odd"],
        required_secrets=[secret],
        input_vars={"HOST": it.first.host},
        timeout=300,
    )
    async with asyncio.timeout(30):
        while True:
            seen = await it.client().check(begun["execution_id"])
            assert seen["status"] in {"pending", "running"}, seen
            if shown in seen["stdout"]:
                return str(seen["stdout"])
            await asyncio.sleep(0.05)


def test_a_placeholder_of_a_run_that_goes_on_means_nothing_in_another(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept(tmp_path) as it:
            printed = await going_on(
                it, f"{FETCH}\nprint(fetch('/echo', authorization=TOKEN)[0], TOKEN)", "TOKEN", "xxx"
            )
            status, theirs = printed.split()[:2]
            assert (status, len(theirs)) == ("200", 40)
            script = f"{FETCH}\n[fetch('/echo', authorization=one)[0] for one in (THEIRS, TOKEN)]"
            data = await it.run(script, "TOKEN", input_vars={"THEIRS": theirs})
            sent = [headers["authorization"] for _, headers, _ in it.first.requests]

        assert data["result"] == [200, 200], data
        assert sent == [TOKEN, theirs, TOKEN]

    bounded(main())


@pytest.mark.parametrize("secret", ["KEY", "TOKEN"])
def test_a_run_beside_one_that_holds_a_value_finds_none_of_it(secret: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with kept(tmp_path) as it:
            # It is CPython, as who looks is: Monty has nothing to look with.
            await going_on(it, f"class A(Exception): pass\nheld = {secret}", secret, "xxx")
            parts = {"PART": KEY[:9], "REST": KEY[9:]}
            found = await it.run(SCAN, "TOKEN", input_vars=parts)
            own = await it.run(SCAN, "KEY", input_vars=parts)

        assert found["result"] == [], found
        assert own["result"] == ["memory"], own  # so the search finds what is there

    bounded(main())


def seen_by_others(value: str) -> list[str]:
    """The processes, but this one, of whose command line or environment `value` is a part."""
    found: list[str] = []
    for folder in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                if int(folder.name) != os.getpid() and value.encode() in (folder / name).read_bytes():
                    found.append(str(folder / name))
            except OSError:  # it has ended meanwhile
                continue
    return found


def test_no_process_and_no_export_of_the_records_shows_a_secret(tmp_path: Path) -> None:
    async def main() -> None:
        async with kept(tmp_path) as it:
            printed = await going_on(
                it, f"{FETCH}\nfetch('/echo', authorization=TOKEN)\nprint(TOKEN)", "TOKEN", "xxx"
            )
            await going_on(it, "class A(Exception): pass\nmcp_Odd_echo(text=KEY)", "KEY", "xxx")
            await it.run("mcp_Odd_echo(text=KEY)", "KEY")
            for value in (TOKEN, KEY):
                assert seen_by_others(value) == []
            control = f"shown by {os.getpid()}"
            hung = subprocess.Popen([sys.executable, "-c", "input()", control], stdin=subprocess.PIPE)
            try:
                async with asyncio.timeout(5):  # so the search finds what is there
                    while seen_by_others(control) != [f"/proc/{hung.pid}/cmdline"]:
                        await asyncio.sleep(0.02)
            finally:
                hung.communicate()
            assert await it.world.rows()
            done = await asyncio.to_thread(
                subprocess.run,
                [*OSTIARY, "audit", "export", "--state-dir", str(tmp_path / "state")],
                capture_output=True,
                text=True,
                timeout=30,
                check=True,
            )
            assert '"tool":"echo"' in done.stdout.replace(" ", "")
            for value in (TOKEN, KEY, SECRET, printed.split()[0]):
                assert value not in done.stdout + done.stderr

    bounded(main())


def test_a_guess_goes_the_way_of_every_other_text_until_it_is_the_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So no clock of the code's, the host's or the client's tells how much of it is right."""
    passed: list[bool] = []
    passes = Sieve.passes

    def noted(self: Sieve, data: bytes) -> bool:
        passed.append(passes(self, data))
        return passed[-1]

    monkeypatch.setattr(Sieve, "passes", noted)
    script = f"{FETCH}\nprint(PART * 2_000)\n[fetch('/echo', x_guess=PART)[0], PART]"

    async def main() -> None:
        async with kept(tmp_path) as it:
            half = len(TOKEN) // 2
            for part in ("?" * half, TOKEN[:half], TOKEN[-half:], TOKEN[:half][::-1]):
                data = await it.run(script, "TOKEN", input_vars={"PART": part})
                assert data["result"] == [200, part], data
                assert passed
                assert not any(passed), part
                passed.clear()
            data = await it.run(script, "TOKEN", input_vars={"PART": TOKEN})
            assert data["result"] == [200, "********"], data
            assert any(passed)

    bounded(main())
