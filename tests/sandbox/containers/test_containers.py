"""Containers of owners: made behind walls, found by those they belong to, and removed."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections import Counter

import pytest

from ostiary.errors import CallerFault
from ostiary.sandbox.containers.containers import Containers
from ostiary.sandbox.containers.faults import EngineFault, ImageFault, NameTaken, UnknownContainer
from ostiary.sandbox.containers.found import Found
from ostiary.sandbox.containers.labels import CREATED, EXPIRES, INSTANCE, OWNER
from ostiary.sandbox.containers.settings import ContainerSettings
from tests.sandbox.containers.world import PATIENCE_S, World, address, cli, world
from tests.tools.engines import IMAGES, PROGRAMS

pytestmark = pytest.mark.timeout(120)

PEEK = """
import errno, os, socket, sys
def tried(act):
    try: return act()
    except OSError as error: return errno.errorcode[error.errno]
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
print({
    "uid": os.getuid(),
    "capabilities": status["CapEff"].strip() + status["CapBnd"].strip(),
    "root": tried(lambda: open("/etc/x", "w")),
    "work": tried(lambda: open("x", "w").close()),
    "links": sorted(os.listdir("/sys/class/net")),
    "full": tried(lambda: [open("y", "ab").write(bytes(1 << 20)) for _ in range(160)]),
})
"""
CALLS = """
import ctypes, errno, socket
libc = ctypes.CDLL(None, use_errno=True)
def call(*numbers):
    return errno.errorcode[ctypes.get_errno()] if libc.syscall(*numbers) < 0 else "done"
def made(*kind):
    try: return socket.socket(*kind).close() or "made"
    except OSError: return "refused"
print([call(425, 1, 0), call(101, 0, 0, 0, 0), call(272, 0x10000000), call(250, 0, 0)])
print(made(16, 3, 0), made(2, 1), made(2, 3))
"""


@pytest.fixture
def foreign(docker: World):
    """A container that nobody here made."""
    name = docker.name()
    cli("docker", "run", "-d", "--network=none", "--name", name, IMAGES["busybox"])
    yield name
    cli("docker", "rm", "-f", name)


def test_what_is_made_is_walled_off(any_engine: World) -> None:
    with world(any_engine.kind, memory=160 << 20) as small:
        box = small.create()
        seen = eval(small.run(box, "python3", "-c", PEEK).stdout.whole)
        host = small.do(small.containers.inspect("ana", box.name, "container"))["HostConfig"]

    assert (seen["uid"], int(seen["capabilities"], 16)) == (65534, 0)
    assert seen["root"] in ("EROFS", "EACCES")
    assert (seen["work"], seen["links"], seen["full"]) == (None, ["lo"], "ENOSPC")
    assert (host["Memory"], host["MemorySwap"], host["NetworkMode"]) == (160 << 20, 160 << 20, "none")
    assert (host["Privileged"], host["ReadonlyRootfs"], host["Init"]) == (False, True, True)
    assert not host["Binds"]
    assert not host["Devices"]


def test_system_calls_that_the_engine_would_allow_are_refused(docker: World, crate: Found) -> None:
    said = docker.run(crate, "python3", "-c", CALLS).stdout.whole

    assert said == "['EPERM', 'EPERM', 'EPERM', 'EPERM']\nrefused made refused\n"


def test_a_root_that_can_be_written_to_is_the_operators_to_give() -> None:
    with world("docker", unsafe_writable_root=True) as open_root:
        box = open_root.create()
        act = "import os; open('/etc/x', 'w'); os.setgid(1234); os.setuid(1234); print(os.getuid())"
        record = open_root.run(box, "python3", "-c", act)
        status = open_root.run(box, "cat", "/proc/self/status").stdout.whole

    assert record.stdout.whole == "1234\n"
    assert "NoNewPrivs:\t1" in status
    assert "CapBnd:\t00000000000400db" in status


def test_no_more_processes_than_granted(docker: World) -> None:
    with world("docker", pids=24) as small:
        record = small.run(
            small.create(), "python3", "-c",
            "import os,time\nn=0\ntry:\n  while n < 99:\n    if os.fork() == 0: time.sleep(60)\n"
            "    n += 1\nexcept OSError: print(n)",
        )  # fmt: skip

    assert 5 < int(record.stdout.whole) < 24


def test_a_container_is_found_by_name_and_id_by_its_owner_alone(any_engine: World, box: Found) -> None:
    found = any_engine.do(any_engine.containers.find("ana", box.name))

    assert (found.id, found.ours, found.running) == (box.id, True, True)
    assert any_engine.do(any_engine.containers.find("ana", box.id[:12])) == found
    refusals = []
    for owner, name in (("bob", box.name), ("bob", "no-such-one")):
        with pytest.raises(UnknownContainer) as refused:
            any_engine.do(any_engine.containers.find(owner, name))
        refusals.append(f"{refused.value.message} {refused.value.hint}".replace(name, "NAME"))
    assert refusals[0] == refusals[1]


def test_listing_shows_an_owner_its_own(any_engine: World, box: Found) -> None:
    def ids(owner: str) -> list[str]:
        listed = any_engine.do(any_engine.containers.visible(owner, everything=True))
        return [one["Id"] for one in listed]

    nobody = any_engine.name()  # the engine is shared, and an owner is the same one to every gate on it
    assert (box.id in ids("ana"), ids(nobody)) == (True, [])


def test_a_foreign_container_is_used_only_where_the_operator_allows_it(docker: World, foreign: str) -> None:
    with pytest.raises(UnknownContainer):
        docker.do(docker.containers.find("ana", foreign))
    with world("docker", allowed=(foreign,)) as open_to_it:
        found = open_to_it.do(open_to_it.containers.find("ana", foreign))
        assert (found.ours, open_to_it.run(found, "echo", "x").stdout.whole) == (False, "x\n")
        with pytest.raises(CallerFault, match="was not created here"):
            open_to_it.do(open_to_it.containers.remove("ana", foreign))
    with world("docker", unsafe_any_container=True) as open_to_all:
        assert open_to_all.do(open_to_all.containers.find("bob", foreign)).name == foreign


def test_nobody_can_make_a_container_that_others_would_take_for_the_operators(docker: World) -> None:
    squat = docker.name()
    docker.create(owner="bob", name=squat)  # before the operator allowed the name
    with world("docker", allowed=(squat, "web")) as open_to_it:
        with pytest.raises(UnknownContainer):
            open_to_it.do(open_to_it.containers.find("ana", squat))
        assert open_to_it.do(open_to_it.containers.find("bob", squat)).ours
        with pytest.raises(CallerFault, match="that the operator allows"):
            open_to_it.create(name="web", owner="bob")


def test_an_owner_has_no_more_containers_than_granted_and_others_have_theirs() -> None:
    with world("docker", each=2) as narrow:

        async def both() -> list[object]:
            made = (narrow.containers.create("ana", IMAGES["busybox"], narrow.name(), print) for _ in "123")
            return await asyncio.gather(*made, return_exceptions=True)

        made = narrow.do(both())
        refused = [one for one in made if isinstance(one, CallerFault)]
        assert 1 <= len(refused) < 3
        assert "you have 2 containers, which is the most" in refused[0].message
        narrow.create(owner="bob")
        kept = [one for one in made if isinstance(one, Found)]
        narrow.do(narrow.containers.remove("ana", kept[0].name))
        assert narrow.create().running


def test_an_id_with_several_endings_is_as_unknown_as_none(docker: World) -> None:
    names = [docker.name() for _ in range(17)]  # two of them begin with the same digit
    ids = [cli("docker", "create", "--name", name, IMAGES["busybox"]) for name in names]
    try:
        counted = Counter(one[0] for one in ids)
        with pytest.raises(UnknownContainer):
            docker.do(docker.containers.find("ana", counted.most_common(1)[0][0]))
    finally:
        cli("docker", "rm", "-f", *names)


def test_labels_of_a_container_whose_image_has_gone_are_not_believed(docker: World) -> None:
    tag, name = f"test/{docker.name()}:1", docker.name()
    labels = {OWNER: "ana", INSTANCE: "x", CREATED: "1", EXPIRES: "2"}
    changes = [word for key, value in labels.items() for word in ("--change", f"LABEL {key}={value}")]
    cli("docker", "import", *changes, "--change", 'CMD ["x"]', str(PROGRAMS / "images/bare.tar"), tag)
    cli("docker", "create", "--name", name, tag)
    try:
        cli("docker", "rmi", "-f", tag)
        docker.do(docker.containers.reap())
        assert name in cli("docker", "ps", "-a", "--format", "{{.Names}}").split()
    finally:
        cli("docker", "rm", "-f", name)


def test_an_image_cannot_say_whose_its_containers_are(docker: World) -> None:
    labels = {OWNER: "ana", INSTANCE: "x", CREATED: "1", EXPIRES: "2"}
    changes = [word for key, value in labels.items() for word in ("--change", f"LABEL {key}={value}")]
    tag, name = f"test/{docker.name()}:1", docker.name()
    cli(
        "docker",
        "import",
        *changes,
        "--change",
        'CMD ["sleep", "60"]',
        str(PROGRAMS / "images/bare.tar"),
        tag,
    )
    cli("docker", "run", "-d", "--network=none", "--name", name, tag)
    try:
        with pytest.raises(UnknownContainer):
            docker.do(docker.containers.find("ana", name))
        docker.do(docker.containers.reap())
        assert name in cli("docker", "ps", "--format", "{{.Names}}").split()
        with pytest.raises(ImageFault, match="carries labels"):
            docker.do(docker.containers.create("ana", tag, docker.name(), print))
    finally:
        cli("docker", "rm", "-f", name)
        cli("docker", "rmi", tag)


def test_a_name_that_is_taken_is_refused_and_the_other_one_stays(any_engine: World, box: Found) -> None:
    with pytest.raises(NameTaken):
        any_engine.create(name=box.name, owner="bob")

    assert any_engine.do(any_engine.containers.find("ana", box.name)).running


def test_an_image_without_sleep_and_python_leaves_nothing(docker: World) -> None:
    tag, name = f"test/{docker.name()}:1", docker.name()
    empty = subprocess.run(["tar", "-c", "-T", "/dev/null"], capture_output=True, check=True).stdout
    docker_cli = [str(PROGRAMS / "usr/bin/docker"), "-H", address("docker")]
    subprocess.run([*docker_cli, "import", "-", tag], input=empty, check=True, stdout=subprocess.DEVNULL)
    try:
        with pytest.raises(ImageFault, match="neither `sleep` nor Python"):
            docker.do(docker.containers.create("ana", tag, name, print))
        assert name not in cli("docker", "ps", "-a", "--format", "{{.Names}}").split()
    finally:
        cli("docker", "rmi", tag)


def test_an_image_that_is_not_there_is_not_pulled_where_that_is_off() -> None:
    with world("docker", pull="never") as offline, pytest.raises(ImageFault, match="not pulled here"):
        offline.do(offline.containers.create("ana", "nosuch/image:1", offline.name(), print))


def test_a_pull_has_a_budget_of_its_own_and_says_what_it_does(docker: World) -> None:
    told: list[str] = []
    with world("docker", pull_budget_s=2) as hasty, pytest.raises(ImageFault, match=r"registry\.invalid"):
        hasty.do(hasty.containers.create("ana", "registry.invalid/x:1", hasty.name(), told.append))

    assert told == ["pulling registry.invalid/x:1"]


def test_removing_says_whether_it_took_force(any_engine: World) -> None:
    box = any_engine.create()

    assert any_engine.do(any_engine.containers.remove("ana", box.name)) is False
    with pytest.raises(UnknownContainer):
        any_engine.do(any_engine.containers.find("ana", box.name))


def test_a_removal_that_another_has_begun_ends_when_the_container_is_gone(any_engine: World) -> None:
    box = any_engine.create()

    async def removed() -> None:
        await any_engine.containers._register.take_away(box.id)
        with pytest.raises(UnknownContainer):
            await any_engine.containers.find("ana", box.name)

    async def several() -> None:
        await asyncio.gather(*(removed() for _ in range(4)))

    any_engine.do(several())


def test_what_nobody_uses_is_removed(docker: World) -> None:
    with world("docker", ttl_s=600) as short:
        idle, used = short.create(), short.create()
        short.now += 599 * 1_000_000
        short.do(short.containers.find("ana", used.name))
        short.now += 2 * 1_000_000
        short.do(short.containers.reap())

        with pytest.raises(UnknownContainer):
            short.do(short.containers.find("ana", idle.name))
        assert short.do(short.containers.find("ana", used.name)).running


def test_what_another_instance_made_stays_while_that_lives_and_goes_after_it(docker: World) -> None:
    name = docker.name()
    code = f"""
import asyncio, sys, time
from ostiary.sandbox.containers.containers import Containers
from ostiary.sandbox.containers.settings import ContainerSettings
async def scene():
    clock = lambda: time.time_ns() // 1000
    made = Containers(ContainerSettings(host={address("docker")!r}), {{}}, clock=clock, on_trouble=print)
    await made.create("ana", {IMAGES["busybox"]!r}, {name!r}, lambda _: None)
    print("made", flush=True)
    sys.stdin.read()
asyncio.run(scene())
"""
    other = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdin is not None
    try:
        assert other.stdout.readline() == b"made\n"
        with world("docker", ttl_s=600) as later:
            later.now += 700 * 1_000_000
            later.do(later.containers.reap())
            assert later.do(later.containers.find("ana", name)).running
            other.kill()
            other.wait(5)
            later.now += 700 * 1_000_000
            later.do(later.containers.reap())
            with pytest.raises(UnknownContainer):
                later.do(later.containers.find("ana", name))
    finally:
        other.kill()
        other.wait(5)
        other.stdin.close()
        other.stdout.close()


def test_logs_are_apart_bounded_and_of_the_time_asked_for(docker: World) -> None:
    name = docker.name()
    script = "echo one; echo bad >&2; echo two; sleep 60"
    cli("docker", "run", "-d", "--network=none", "--name", name, IMAGES["busybox"], "sh", "-c", script)
    try:
        with world("docker", allowed=(name,)) as seeing:
            found = seeing.do(seeing.containers.find("ana", name))
            deadline = time.monotonic() + PATIENCE_S
            while True:  # the engine reads the two streams beside each other
                logged = seeing.do(seeing.containers.logs(found, tail=None))
                if b"two" in logged.stdout and logged.stderr:
                    break
                assert time.monotonic() < deadline, logged
            tail = seeing.do(seeing.containers.logs(found, tail=1))
            cut = seeing.do(seeing.containers.logs(found, tail=None, most=11))
            seeing.now = time.time_ns() // 1000 + 10_000_000
            none = seeing.do(seeing.containers.logs(found, tail=None, since="5s"))
    finally:
        cli("docker", "rm", "-f", name)

    assert (logged.stdout, logged.stderr, logged.truncated) == (b"one\ntwo\n", b"bad\n", False)
    assert (tail.stdout + tail.stderr).count(b"\n") == 1
    assert (cut.truncated, none.stdout) == (True, b"")


def test_inspect_stats_and_images_are_the_engines_own_words(any_engine: World, box: Found) -> None:
    containers = any_engine.containers
    sized = any_engine.do(containers.inspect("ana", box.name, None, size=True))
    image = any_engine.do(containers.inspect("ana", IMAGES["python"], None))
    (sample,) = any_engine.do(containers.stats("ana", [box.name]))
    images = any_engine.do(containers.images())

    assert (sized["Id"], "SizeRw" in sized) == (box.id, True)
    assert image["Id"]
    assert (sample["id"], "memory_stats" in sample) == (box.id, True)
    assert any(IMAGES["python"] in str(one["RepoTags"]) for one in images)
    with pytest.raises(UnknownContainer):
        any_engine.do(containers.inspect("bob", box.name, "container"))
    with pytest.raises(CallerFault, match="cannot be inspected here"):
        any_engine.do(containers.inspect("ana", "bridge", "network"))


@pytest.mark.parametrize("path", ["sha256:/../../containers/{}", "sha256:../../containers/{}"])
def test_the_name_of_an_image_leads_to_no_container(any_engine: World, box: Found, path: str) -> None:
    for kind in (None, "image"):
        with pytest.raises(CallerFault, match="cannot be the name of an image"):
            any_engine.do(any_engine.containers.inspect("bob", path.format(box.name), kind))


def test_an_image_is_described_by_the_ids_that_are_listed(any_engine: World, box: Found) -> None:
    containers = any_engine.containers
    whole = any_engine.do(containers.inspect("ana", IMAGES["python"], "image"))["Id"]
    plain = whole.removeprefix("sha256:")

    for name in (f"sha256:{plain}", plain, plain[:12]):
        assert any_engine.do(containers.inspect("ana", name, "image"))["Id"] == whole


def test_an_engine_that_is_not_there_is_named_with_what_to_do(tmp_path) -> None:
    import asyncio

    async def scene(host: str) -> EngineFault:
        made = Containers(ContainerSettings(host=host), {}, clock=lambda: 0, on_trouble=print)
        with pytest.raises(EngineFault) as refused:
            await made.open()
        await made.close()
        return refused.value

    for host, words, hint in (
        (f"unix://{tmp_path}/none.sock", "none.sock does not answer", "DOCKER_HOST"),
        ("ssh://machine", "begins with `ssh:`", "forward"),
    ):
        fault = asyncio.run(scene(host))
        assert words in fault.message
        assert fault.hint is not None
        assert hint in fault.hint


def test_nothing_of_the_engines_client_is_imported_before_it_is_used() -> None:
    code = (
        "import sys, ostiary.sandbox.containers.runner;"
        "print([n for n in ('docker', 'requests') if n in sys.modules])"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )

    assert json.loads(told.stdout) == []
