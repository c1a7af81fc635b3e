"""From what a run asks for to a folder that holds it, with an index on this machine."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ostiary.sandbox.packages.fault import PackageFault
from ostiary.sandbox.packages.mirror import Amounts
from ostiary.sandbox.packages.resolve import Packages
from ostiary.sandbox.packages.store import Bounds
from ostiary.sandbox.packages.target import Target
from ostiary.sandbox.runner import Environment
from tests.sandbox.packages.world import Shelf, open_test_supply, packed, run, sdist, shelf, wheel

MIB = 1 << 20


@pytest.fixture(params=["none", "strict"])
def level(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def cache() -> Iterator[Path]:
    """A folder that every user can pass through, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


async def ask(packages: Packages, *requirements: str, code: str = "") -> Environment:
    return await packages.resolve(code, requirements, "ann", "cpython")


def imported(found: Environment, code: str) -> str:
    """What `code` prints in an interpreter that has the folder at the end of its path."""
    program = f"import sys; sys.path.append({found.folder!r})\n{code}"
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_wheel_is_fetched_once_and_can_be_imported(cache: Path, level: str) -> None:
    async def main() -> None:
        async with shelf() as index:
            index.add_wheel("plain")
            packages = open_test_supply(cache, level, index.url).packages()

            first = await ask(packages, "plain")
            came = len(index.asked)
            again = await ask(packages, "Plain")

            assert first == again
            assert first.packages == ("plain==1.0",)
            assert imported(first, "import plain; print(plain.here)") == "True"
            assert len(index.asked) == came

    run(main)


def test_what_is_kept_belongs_to_the_server_and_nobody_can_write_it(cache: Path, level: str) -> None:
    async def main() -> None:
        async with shelf() as index:
            index.add_wheel("plain")
            found = await ask(open_test_supply(cache, level, index.url).packages(), "plain")

        for path in [Path(found.folder or ""), *Path(found.folder or "").rglob("*")]:
            state = path.stat()
            assert state.st_uid == os.geteuid()
            assert state.st_mode & 0o222 == (0o200 if path.is_dir() else 0), path

    run(main)


def test_a_package_that_only_comes_as_source_is_refused_and_never_runs(cache: Path, level: str) -> None:
    touched = cache / "touched"
    hostile = f"open({str(touched)!r}, 'w').close()\nopen('/tmp/touched', 'w').close()\n"

    async def main() -> None:
        async with shelf() as index:
            index.add("source-1.0.tar.gz", sdist("source", hostile))
            with pytest.raises(PackageFault) as fault:
                await ask(open_test_supply(cache, level, index.url).packages(), "source")

            assert "no usable wheels" in fault.value.output
            assert not any("tar.gz" in head for head in index.asked)

    run(main)
    assert not touched.exists()


def test_the_resolver_tells_why_without_this_machine_in_it(cache: Path, level: str) -> None:
    async def main() -> None:
        async with shelf() as index:
            index.add_wheel("plain")
            secret = index.url.replace("http://", "http://me:hush-hush@")
            supply = open_test_supply(cache, level, secret)
            with pytest.raises(PackageFault) as fault:
                await ask(supply.packages(), "plain==7")

            said = fault.value.output
            assert "no version of plain==7" in said
            for hidden in ("hush-hush", str(cache), supply.store.folder.name, os.sep + "roots"):
                assert hidden not in said
            assert "authorization: Basic" in index.asked[0]
            assert "hush" not in repr(supply.index)

    run(main)


def test_a_failure_leaves_nothing_behind(cache: Path, level: str) -> None:
    async def main() -> None:
        async with shelf() as index:
            with pytest.raises(PackageFault):
                await ask(open_test_supply(cache, level, index.url).packages(), "absent")

    run(main)
    assert list((cache / "packages").iterdir()) == []


HOSTILE = {
    "hostile-1.0.data/scripts/ostiary-run": b"#!python\nraise SystemExit\n",
    "hostile-1.0.data/data/etc/x": b"x",
    "hostile.pth": b"import sys; sys.stdout.write('pth ran')\n",
    "sitecustomize.py": b"print('ran at start')\n",
    "usercustomize.py": b"print('ran at start')\n",
}


def test_what_an_interpreter_would_run_at_its_start_is_not_kept(cache: Path, level: str) -> None:
    async def main() -> None:
        async with shelf() as index:
            index.add_wheel("hostile", HOSTILE)
            found = await ask(open_test_supply(cache, level, index.url).packages(), "hostile")

        names = {path.name for path in Path(found.folder or "").rglob("*")}
        assert "hostile.py" in names
        assert not names & {"hostile.pth", "sitecustomize.py", "usercustomize.py", "bin", "ostiary-run"}
        assert imported(found, "import hostile; print(hostile.here)") == "True"

    run(main)


@pytest.mark.parametrize(
    "name", ["../../escaped", "/tmp/ostiary-escaped", "..\\escaped", "a/../../../escaped"]
)
def test_a_wheel_cannot_write_outside_its_folder(cache: Path, level: str, name: str) -> None:
    async def main() -> None:
        async with shelf() as index:
            index.add_wheel("climbing", {name: b"x"})
            packages = open_test_supply(cache, level, index.url).packages()
            try:
                found = await ask(packages, "climbing")
            except PackageFault:
                return
            assert imported(found, "import climbing; print(climbing.here)") == "True"

    run(main)
    assert [path for path in cache.rglob("*") if path.name == "escaped" and "site" not in path.parts] == []
    assert not Path("/tmp/ostiary-escaped").exists()


def test_a_link_in_a_wheel_is_not_kept(cache: Path, level: str) -> None:
    import stat
    import zipfile

    content = wheel("linked")
    sink = cache / "linked-1.0-py3-none-any.whl"
    sink.write_bytes(content)
    with zipfile.ZipFile(sink, "a") as archive:
        link = zipfile.ZipInfo("linked_passwd")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")

    async def main() -> None:
        async with shelf() as index:
            index.add(sink.name, sink.read_bytes())
            try:
                found = await ask(open_test_supply(cache, level, index.url).packages(), "linked")
            except PackageFault:
                return
            assert [path for path in Path(found.folder or "").rglob("*") if path.is_symlink()] == []

    run(main)


def test_packages_that_unpack_to_too_much_are_refused(cache: Path, level: str) -> None:
    async def main() -> None:
        async with shelf() as index:
            index.add_wheel("bomb", {"zeros.bin": bytes(8 * MIB)})
            supply = open_test_supply(cache, level, index.url, bounds=Bounds(bytes=2 * MIB))
            with pytest.raises(PackageFault):
                await ask(supply.packages(), "bomb")

    run(main)
    assert list((cache / "packages").iterdir()) == []


def test_packages_of_too_many_files_are_refused(cache: Path, level: str) -> None:
    async def main() -> None:
        async with shelf() as index:
            index.add_wheel("many", {f"many_{number}.txt": b"" for number in range(50)})
            supply = open_test_supply(cache, level, index.url, bounds=Bounds(files=40))
            with pytest.raises(PackageFault, match="hold more than 1024 MiB or 40 files"):
                await ask(supply.packages(), "many")

    run(main)


def test_a_file_that_is_too_large_is_not_fetched(cache: Path, level: str) -> None:
    async def main() -> None:
        async with shelf() as index:
            index.add_wheel("large", {"noise.bin": os.urandom(2 * MIB)})
            supply = open_test_supply(cache, level, index.url, amounts=Amounts(file=MIB))
            with pytest.raises(PackageFault) as fault:
                await ask(supply.packages(), "large")
            assert "larger than 1 MiB" in fault.value.output

    run(main)


def test_a_file_that_is_not_what_the_index_says_is_refused(cache: Path, level: str) -> None:
    async def main() -> None:
        async with shelf() as index:
            index.add_wheel("swapped")
            index.answers["/files/swapped-1.0-py3-none-any.whl"] = (
                200,
                {},
                wheel("swapped", {"evil.py": b""}),
            )
            with pytest.raises(PackageFault) as fault:
                await ask(open_test_supply(cache, level, index.url).packages(), "swapped")
            assert "its digest differs" in fault.value.output

    run(main)


def test_an_index_that_redirects_to_another_host_is_not_followed(cache: Path, level: str) -> None:
    async def main() -> None:
        async with shelf() as index, shelf() as other:
            other.add_wheel("moved")
            index.answers["/simple/moved/"] = (302, {"location": f"{other.url}moved/"}, b"")
            with pytest.raises(PackageFault) as fault:
                await ask(open_test_supply(cache, level, index.url).packages(), "moved")
            assert "redirects to another place" in fault.value.output
            assert other.asked == []

    run(main)


def test_an_index_may_redirect_within_itself(cache: Path, level: str) -> None:
    async def main() -> None:
        async with shelf() as index:
            index.add_wheel("here")
            index.answers["/simple/here/"] = (301, {"location": "/other/here/"}, b"")
            index.answers["/other/here/"] = index.answer("/simple/here/")
            index.answers["/other/here/"] = (
                200,
                {"content-type": "text/html"},
                b'<a href="/files/here-1.0-py3-none-any.whl">here-1.0-py3-none-any.whl</a>',
            )
            found = await ask(open_test_supply(cache, level, index.url).packages(), "here")
            assert found.packages == ("here==1.0",)

    run(main)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("http://169.254.169.254/plain-1.0-py3-none-any.whl", "only https on port 443"),
        ("https://169.254.169.254/plain-1.0-py3-none-any.whl", "link-local, metadata"),
        ("https://10.0.0.1/plain-1.0-py3-none-any.whl", "a private address"),
        ("https://[::1]/plain-1.0-py3-none-any.whl", "a private address"),
        ("http://127.0.0.1:22/plain-1.0-py3-none-any.whl", "only https on port 443"),
    ],
)
def test_an_index_cannot_have_this_machine_look_into_its_network(
    cache: Path, address: str, says: str
) -> None:
    async def main() -> None:
        async with shelf() as index:
            index.projects["plain"] = [
                {"filename": "plain-1.0-py3-none-any.whl", "url": address, "hashes": {}}
            ]
            with pytest.raises(PackageFault) as fault:
                await ask(open_test_supply(cache, "none", index.url).packages(), "plain")
            assert says in fault.value.output

    run(main)


def test_credentials_are_not_sent_to_where_the_files_are(cache: Path) -> None:
    """Another port is another place: here it is refused before anything is sent."""

    async def main() -> None:
        async with shelf() as index, shelf() as other:
            other.add_wheel("plain")
            file = f"{other.url.removesuffix('simple/')}files/plain-1.0-py3-none-any.whl"
            index.projects["plain"] = [{"filename": "plain-1.0-py3-none-any.whl", "url": file, "hashes": {}}]
            secret = index.url.replace("http://", "http://me:hush-hush@")
            with pytest.raises(PackageFault):
                await ask(open_test_supply(cache, "none", secret).packages(), "plain")
            assert other.asked == []

    run(main)


def test_a_resolver_that_takes_too_long_is_ended(cache: Path, level: str) -> None:
    async def main() -> None:
        async with shelf() as index:
            index.hangs_at = "/simple/slow"
            supply = open_test_supply(cache, level, index.url, budget_s=0.5)
            with pytest.raises(PackageFault, match=r"within 0\.5 s"):
                await ask(supply.packages(), "slow")

    run(main)
    assert list((cache / "packages").iterdir()) == []


def test_a_cancelled_resolution_ends_the_resolver_and_leaves_nothing(cache: Path, level: str) -> None:
    async def main() -> None:
        async with shelf() as index:
            index.hangs_at = "/simple/slow"
            packages = open_test_supply(cache, level, index.url).packages()
            async with asyncio.TaskGroup() as group:
                asking = group.create_task(ask(packages, "slow"))
                await index.came.wait()
                asking.cancel()
            assert asking.cancelled()

    run(main)
    assert list((cache / "packages").iterdir()) == []


def test_of_many_who_ask_for_the_same_one_resolves_and_the_others_wait(cache: Path) -> None:
    async def main() -> None:
        async with shelf() as index:
            index.add_wheel("plain")
            packages = open_test_supply(cache, "none", index.url).packages()

            found = await asyncio.gather(
                *(packages.resolve("", ["plain"], f"owner {number}", "cpython") for number in range(8))
            )

            assert len(set(found)) == 1
            assert sum("GET /simple/plain/" in head for head in index.asked) == 1

    run(main)


def test_the_script_block_and_the_requirements_are_joined(cache: Path) -> None:
    code = '# /// script\n# dependencies = ["one"]\n# ///\nimport one, two\n'

    async def main() -> None:
        async with shelf() as index:
            index.add_wheel("one")
            index.add_wheel("two")
            found = await ask(open_test_supply(cache, "none", index.url).packages(), "two", "one", code=code)
            assert found.packages == ("one==1.0", "two==1.0")

    run(main)


def test_a_marker_for_another_python_asks_for_nothing(cache: Path) -> None:
    async def main() -> None:
        async with shelf() as index:
            index.add_wheel("plain")
            packages = open_test_supply(cache, "none", index.url).packages()
            found = await ask(packages, "plain", "absent; python_version < '3'")
            assert found.packages == ("plain==1.0",)
            assert not any("absent" in head for head in index.asked)

    run(main)


class Nothing:
    """Packages without a resolver."""

    def __init__(self, cache: Path, url: str = "http://127.0.0.1:9/simple/") -> None:
        supply = open_test_supply(cache, "none", url)
        self.packages = Packages(
            store=supply.store,
            index=supply.index,
            targets={"cpython": Target(engine="cpython", python="3.11.7")},
            installer=None,
            ready={"cpython": ("numpy==2.4.6", "pandas==3.1.1")},
        )


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ((), ()),
        (("numpy",), ("numpy==2.4.6",)),
        (("Numpy>=2", "pandas<4"), ("numpy==2.4.6", "pandas==3.1.1")),
        (("absent; python_version<'3'",), ()),
    ],
)
def test_what_is_ready_needs_no_resolver(
    cache: Path, wanted: tuple[str, ...], found: tuple[str, ...]
) -> None:
    assert run(lambda: ask(Nothing(cache).packages, *wanted)) == Environment(None, found)


@pytest.mark.parametrize("wanted", [("numpy<2",), ("pandas[excel]",), ("numpy", "absent")])
def test_what_is_not_ready_needs_one(cache: Path, wanted: tuple[str, ...]) -> None:
    with pytest.raises(PackageFault, match="uv is not installed"):
        run(lambda: ask(Nothing(cache).packages, *wanted))


def test_a_script_for_another_python_is_refused_before_anything_is_fetched(cache: Path) -> None:
    code = '# /// script\n# requires-python = ">=99"\n# ///\n'

    with pytest.raises(PackageFault, match="requires Python '>=99'"):
        run(lambda: ask(Nothing(cache).packages, code=code))


def test_another_index_another_user_another_python_is_another_entry(cache: Path) -> None:
    from ostiary.sandbox.packages.index import read_index
    from ostiary.sandbox.packages.resolve import key_of

    target = Target(engine="cpython", python="3.11.7")
    keys = {
        key_of(("a",), target, read_index("https://one.example/simple"), "operator"),
        key_of(("a",), target, read_index("https://two.example/simple"), "operator"),
        key_of(("a",), target, read_index("https://me:pw@one.example/simple"), "operator"),
        key_of(("a",), target, read_index("https://one.example/simple"), "ann"),
        key_of(("b",), target, read_index("https://one.example/simple"), "operator"),
        key_of(
            ("a",),
            Target(engine="cpython", python="3.12.1"),
            read_index("https://one.example/simple"),
            "operator",
        ),
        key_of(
            ("a",),
            Target(engine="x", python="3.11.7", platform="p"),
            read_index("https://one.example/simple"),
            "operator",
        ),
    }
    again = key_of(("a",), target, read_index("https://me:other@one.example/simple/"), "operator")

    assert len(keys) == 7
    assert again in keys


def test_an_older_entry_makes_room_and_one_in_use_does_not(cache: Path) -> None:
    async def main(shelved: Shelf) -> None:
        supply = open_test_supply(cache, "none", shelved.url, bounds=Bounds(kept=3 * MIB))
        packages = supply.packages()
        first = await ask(packages, "one")
        with pytest.raises(PackageFault, match="cache is full"):
            await ask(packages, "two")
        listing = Path(first.folder or "").parent / "packages.json"
        os.utime(listing, (0, 0))
        second = await ask(packages, "two")
        assert not listing.exists()
        assert second.packages == ("two==1.0",)

    async def both() -> None:
        async with shelf() as index:
            for name in ("one", "two"):
                index.add_wheel(name, {f"{name}.bin": os.urandom(2 * MIB)})
            await main(index)

    run(both)


def test_a_zip_that_is_no_wheel_is_refused(cache: Path, level: str) -> None:
    async def main() -> None:
        async with shelf() as index:
            index.add("odd-1.0-py3-none-any.whl", packed({"odd.py": b""}))
            with pytest.raises(PackageFault):
                await ask(open_test_supply(cache, level, index.url).packages(), "odd")

    run(main)
