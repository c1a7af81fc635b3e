"""What the tools that only look make of an engine's words."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from ostiary.errors import CallerFault
from ostiary.sandbox.containers.found import Logged
from ostiary.servers.core.content import ToolResult
from ostiary.servers.docker import human
from ostiary.servers.docker.exec_replies import COMPACT
from ostiary.servers.docker.exec_schemas import IMAGES_LISTED, INSPECTED, LISTED, LOGGED, SAMPLED
from ostiary.servers.docker.inspecting import inspected
from ostiary.servers.docker.listing import containers_listed, images_listed, images_matching, matching
from ostiary.servers.docker.measuring import sampled
from ostiary.servers.docker.reading import logged

HOUR = 3_600
ID = "0123456789abcdef" * 4
CONTAINER: dict[str, Any] = {
    "Id": ID,
    "Names": ["/web"],
    "Image": "nginx:1.29",
    "State": "running",
    "Status": "Up 2 hours (healthy)",
    "Created": 1_000,
    "Ports": [
        {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        {"PrivatePort": 53, "Type": "udp"},
        {"PrivatePort": 9, "Type": "sctp"},
    ],
    "Labels": {"app": "web", "api_key": "abc", "empty": ""},
    "NetworkSettings": {"Networks": {"inner": {}, "bridge": {}}},
    "SizeRw": 12_345,
    "SizeRootFs": 7_800_000,
}
STOPPED = {
    **CONTAINER,
    "Id": "f" * 64,
    "Names": ["/old"],
    "State": "exited",
    "Status": "Exited (0) 2 days ago",
}
IMAGE: dict[str, Any] = {
    "Id": "sha256:" + ID,
    "RepoTags": ["nginx:1.29", "registry.example:5000/team/nginx:latest"],
    "RepoDigests": ["nginx@sha256:" + "a" * 64],
    "Created": 1_000,
    "Size": 72_800_000,
    "Labels": None,
}
DANGLING = {
    "Id": "sha256:" + "f" * 64,
    "RepoTags": ["<none>:<none>"],
    "RepoDigests": [],
    "Created": 2_000,
    "Size": 0,
}


def checked(answer: ToolResult, schema: dict[str, Any]) -> Any:
    """The data of an answer, which fits its schema."""
    jsonschema.validate(answer.structured, schema)
    return answer.structured


def words(answer: ToolResult) -> str:
    return str(answer.content[0]["text"])


# --- ps -----------------------------------------------------------------------------------------


def test_a_container_is_shown_with_state_ports_labels_and_networks() -> None:
    answer = containers_listed([CONTAINER], 1_000 + 2 * HOUR)

    assert checked(answer, LISTED) == {
        "containers": [
            {
                "id": ID,
                "name": "web",
                "image": "nginx:1.29",
                "status": "Up 2 hours (healthy)",
                "state": "running",
                "ports": [
                    {"host": 8080, "container": 80, "protocol": "tcp"},
                    {"container": 53, "protocol": "udp"},
                    {"container": 9, "protocol": "sctp"},
                ],
                "created": "2 hours ago",
                "labels": {"app": "web", "api_key": "[redacted]", "empty": ""},
                "networks": ["bridge", "inner"],
            }
        ]
    }
    assert words(answer) == (
        "1 containers (1 running, 0 stopped)\n"
        "  running    web (nginx:1.29) [8080->80/tcp, 53/udp, 9/sctp] labels=3 nets=bridge,inner"
    )


def test_sizes_are_shown_where_they_are_asked_for() -> None:
    answer = containers_listed([CONTAINER], 2_000, sizes=True)

    assert checked(answer, LISTED)["containers"][0]["size"] == "12.3kB (virtual 7.8MB)"
    assert words(answer).endswith("size=12.3kB (virtual 7.8MB)")


def test_many_containers_are_shown_shorter_unless_everything_is_asked_for() -> None:
    many = [CONTAINER] * 60

    answer = containers_listed(many, 2_000)
    assert checked(answer, LISTED)["containers"][0] == {
        "id": ID[:12],
        "name": "web",
        "image": "nginx:1.29",
        "status": "Up 2 hours (healthy)",
    }
    assert words(answer).startswith(
        f"60 containers (60 running)\n  {ID[:12]} web (nginx:1.29) Up 2 hours (healthy)\n"
    )
    whole = containers_listed(many, 2_000, compact=False)
    assert "ports" in checked(whole, LISTED)["containers"][59]


def test_an_engine_that_says_little_is_no_fault() -> None:
    for little in (
        {},
        {"Names": None, "Ports": None, "Labels": None, "NetworkSettings": None, "State": "configured"},
    ):
        checked(containers_listed([little], 0), LISTED)
    assert words(containers_listed([], 0)) == "0 containers (0 running, 0 stopped)"


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("status=running", ["web"]),
        ("status=exited", ["old"]),
        ("name=we", ["web"]),
        ("name=/old", ["old"]),
        (f"id={ID[:12]}", ["web"]),
        ("label=app", ["web", "old"]),
        ("label=app=web", ["web", "old"]),
        ("label=app=api", []),
        ("network=inner", ["web", "old"]),
        ("network=host", []),
        ("ancestor=nginx", ["web", "old"]),
        ("ancestor=nginx:1.29", ["web", "old"]),
        ("health=healthy", ["web"]),
        ("health=none", ["old"]),
    ],
)
def test_a_filter_lets_through_what_it_describes(expression: str, names: list[str]) -> None:
    found = matching([CONTAINER, STOPPED], expression)

    assert [one["Names"][0].removeprefix("/") for one in found] == names


@pytest.mark.parametrize("expression", ["running", "colour=red", "name=", "=x", ""])
def test_a_filter_that_means_nothing_is_refused(expression: str) -> None:
    with pytest.raises(CallerFault, match="`filter` is KEY=VALUE") as told:
        matching([CONTAINER], expression)

    assert "status" in (told.value.hint or "")


# --- images -------------------------------------------------------------------------------------


def test_an_image_is_shown_once_for_each_of_its_tags() -> None:
    answer = images_listed([IMAGE, DANGLING], 1_000 + 15 * 24 * HOUR)
    rows = checked(answer, IMAGES_LISTED)["images"]

    assert [(one["repository"], one["tag"]) for one in rows] == [
        ("nginx", "1.29"),
        ("registry.example:5000/team/nginx", "latest"),
        ("<none>", "<none>"),
    ]
    assert rows[0] == {
        "id": ID[:12],
        "repository": "nginx",
        "tag": "1.29",
        "size": "72.8MB",
        "sizeBytes": 72_800_000,
        "created": "2 weeks ago",
        "createdAt": "1970-01-01T00:16:40+00:00",
    }
    assert words(answer).splitlines()[:2] == [
        "3 images:",
        "  nginx:1.29 (72.8MB ~72800000B) (1970-01-01T00:16:40+00:00)",
    ]
    assert words(images_listed([], 0)) == "No images found."


def test_digests_and_whole_ids_are_shown_where_they_are_asked_for() -> None:
    rows = checked(images_listed([IMAGE], 2_000, digests=True, whole_ids=True), IMAGES_LISTED)["images"]

    assert rows[0]["digest"] == "sha256:" + "a" * 64
    assert "digest" not in rows[1], "the digest is of another repository"
    assert rows[0]["id"] == "sha256:" + ID


@pytest.mark.parametrize(
    ("reference", "expression", "tags"),
    [
        (None, None, ["1.29", "latest", "<none>"]),
        ("nginx", None, ["1.29"]),
        ("nginx:*", None, ["1.29"]),
        ("nginx:1.3*", None, []),
        ("*", None, ["1.29"]),
        ("*/team/*", None, ["latest"]),
        (None, "dangling=true", ["<none>"]),
        (None, "dangling=false", ["1.29", "latest"]),
        (None, "reference=ngi?x", ["1.29"]),
        (None, "since=nginx:1.29", ["<none>"]),
        (None, f"before={'f' * 12}", ["1.29", "latest"]),
        (None, "label=app", []),
    ],
)
def test_images_are_chosen_by_reference_and_filter(
    reference: str | None, expression: str | None, tags: list[str]
) -> None:
    rows = checked(images_listed(images_matching([IMAGE, DANGLING], reference, expression), 0), IMAGES_LISTED)

    assert [one["tag"] for one in rows["images"]] == tags


@pytest.mark.parametrize("expression", ["dangling=maybe", "size=1", "reference", "before="])
def test_a_filter_of_images_that_means_nothing_is_refused(expression: str) -> None:
    with pytest.raises(CallerFault, match="`filterExpr` is KEY=VALUE"):
        images_matching([IMAGE], None, expression)
    with pytest.raises(CallerFault, match="No such image: missing"):
        images_matching([IMAGE], None, "before=missing")


def test_a_reference_full_of_stars_is_answered_at_once() -> None:
    tagged = {**IMAGE, "RepoTags": ["a" * 250 + ":latest"]}

    assert images_matching([tagged], "*a" * 100 + "b", None) == []


# --- inspect ------------------------------------------------------------------------------------

DETAILS: dict[str, Any] = {
    "Id": ID,
    "Name": "/web",
    "Created": "2026-11-20T09:00:00Z",
    "Image": "sha256:" + "b" * 64,
    "Platform": "linux",
    "State": {
        "Status": "running",
        "Running": True,
        "StartedAt": "2026-11-20T09:00:01Z",
        "Health": {"Status": "healthy"},
    },
    "Config": {
        "Image": "nginx:1.29",
        "Env": ["PATH=/bin", "DB_PASSWORD=hunter2", "HOOK=https://user:pass@host/x", "TOKEN=", "MODE=fast"],
        "Cmd": ["nginx", "-g", "daemon off;"],
        "Entrypoint": ["/entry.sh"],
        "Labels": {"app": "web"},
    },
    "HostConfig": {"RestartPolicy": {"Name": "always"}},
    "NetworkSettings": {
        "IPAddress": "",
        "Networks": {"inner": {"IPAddress": "172.18.0.2"}},
        "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}], "443/tcp": None},
    },
    "Mounts": [{"Source": "/srv", "Destination": "/usr/share", "Mode": "ro"}],
}
IMAGE_DETAILS: dict[str, Any] = {
    "Id": "sha256:" + ID,
    "RepoTags": ["nginx:1.29"],
    "RepoDigests": [],
    "Os": "linux",
    "Architecture": "amd64",
    "Size": 10 << 20,
    "Created": "2026-11-01T00:00:00Z",
    "Config": {"Env": ["PATH=/bin"], "Cmd": ["nginx"], "Labels": None},
}


def test_a_container_is_described_without_its_secrets() -> None:
    answer = inspected(["web"], [DETAILS])
    data = checked(answer, INSPECTED)

    assert data == {
        "id": ID[:12],
        "name": "web",
        "inspectType": "container",
        "state": {"status": "running", "running": True, "startedAt": "2026-11-20T09:00:01Z"},
        "image": "nginx:1.29",
        "platform": "linux",
        "created": "2026-11-20T09:00:00Z",
        "healthStatus": "healthy",
        "env": ["PATH=/bin", "DB_PASSWORD=[redacted]", "HOOK=[redacted]", "TOKEN=", "MODE=fast"],
        "restartPolicy": "always",
        "cmd": ["nginx", "-g", "daemon off;"],
        "entrypoint": ["/entry.sh"],
        "networkSettings": {
            "ipAddress": "172.18.0.2",
            "ports": {"80/tcp": [{"hostIp": "0.0.0.0", "hostPort": "8080"}], "443/tcp": None},
        },
        "mounts": [{"source": "/srv", "destination": "/usr/share", "mode": "ro"}],
        "labels": {"app": "web"},
    }
    assert "hunter2" not in words(answer)
    assert words(answer) == (
        "web (0123456789ab)\n  Image: nginx:1.29\n  State: running (running: true)\n"
        "  Started: 2026-11-20T09:00:01Z\n  Health: healthy\n  Restart: always\n  Platform: linux\n"
        "  Created: 2026-11-20T09:00:00Z\n  Env: 5 variables\n  Network: IP=172.18.0.2\n"
        "  Mounts: 1 mount(s)\n    /srv → /usr/share [ro]"
    )


def test_an_image_is_described() -> None:
    answer = inspected(["nginx"], [IMAGE_DETAILS])

    assert checked(answer, INSPECTED) == {
        "id": ID[:12],
        "name": "nginx:1.29",
        "inspectType": "image",
        "image": "nginx:1.29",
        "platform": "linux/amd64",
        "created": "2026-11-01T00:00:00Z",
        "repoTags": ["nginx:1.29"],
        "size": 10 << 20,
        "env": ["PATH=/bin"],
        "cmd": ["nginx"],
    }
    assert "  Size: 10.0 MB" in words(answer)


def test_volumes_and_networks_are_described() -> None:
    volume = {
        "Name": "data",
        "Driver": "local",
        "Scope": "local",
        "Mountpoint": "/v",
        "CreatedAt": "2026",
        "Labels": None,
    }
    network = {"Name": "inner", "Id": ID, "Driver": "bridge", "Scope": "local", "IPAM": {}, "Created": "2026"}

    assert checked(inspected(["data"], [volume]), INSPECTED)["inspectType"] == "volume"
    assert words(inspected(["inner"], [network])) == (
        f"Network: inner ({ID[:12]})\n  Driver: bridge\n  Scope: local\n  Created: 2026"
    )


def test_of_several_the_first_is_described_and_all_are_named() -> None:
    data = checked(inspected(["web", "nginx"], [DETAILS, IMAGE_DETAILS]), INSPECTED)

    assert data["name"] == "web"
    assert data["relatedTargets"] == [
        {"target": "web", "id": ID[:12], "name": "web", "inspectType": "container"},
        {"target": "nginx", "id": ID[:12], "name": "nginx:1.29", "inspectType": "image"},
    ]


def test_a_long_description_is_shortened_unless_everything_is_asked_for() -> None:
    long = {**DETAILS, "Config": {**DETAILS["Config"], "Env": [f"V{n}={'x' * 100}" for n in range(200)]}}

    short = inspected(["web"], [long])
    assert checked(short, INSPECTED) == {
        "id": ID[:12],
        "name": "web",
        "inspectType": "container",
        "image": "nginx:1.29",
        "status": "running",
        "running": True,
        "healthStatus": "healthy",
    }
    assert words(short) == f"web ({ID[:12]}) running [running] image=nginx:1.29 health=healthy"
    assert len(checked(inspected(["web"], [long], compact=False), INSPECTED)["env"]) == 200


@pytest.mark.parametrize(
    "little", [{"State": None}, {"State": {}, "Config": None, "Mounts": None}, {}, {"Mountpoint": ""}]
)
def test_little_is_described_as_well(little: dict[str, Any]) -> None:
    checked(inspected(["x"], [little]), INSPECTED)
    checked(inspected(["x"], [little], compact=False), INSPECTED)


@pytest.mark.parametrize(
    ("name", "value", "secret"),
    [
        ("AWS_SECRET_ACCESS_KEY", "x", True),
        ("GITHUB_TOKEN", "x", True),
        ("passwd", "x", True),
        ("PGPASSWORD", "x", True),
        ("DB_PASS", "x", True),
        ("SMTP_PASS_1", "x", True),
        ("X", "Server=db;User=sa;Password=hunter2;", True),
        ("JAVA_OPTS", "-Xmx1g -DkeyStorePassword=hunter2", True),
        ("PASSENGER_APP_ENV", "x", False),
        ("SENTRY_DSN", "x", True),
        ("X", "postgres://u:p@h/d", True),
        ("X", "ghp_abcdef", True),
        ("X", "-----BEGIN RSA PRIVATE KEY-----", True),
        ("PATH", "/usr/bin", False),
        ("URL", "https://host/x", False),
        ("LANG", "C.UTF-8", False),
        ("PYTHON_VERSION", "3.12", False),
    ],
)
def test_what_looks_like_a_secret_is_one(name: str, value: str, secret: bool) -> None:
    assert human.is_secret(name, value) is secret


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("redis-server --requirepass hunter2", "redis-server --requirepass [redacted]"),
        ("app --password=hunter2 -v", "app --password=[redacted] -v"),
        ("env DB_PASS=hunter2 app", "env DB_PASS=[redacted] app"),
        ("psql postgres://u:hunter2@h/d", "psql [redacted]"),
        ("app --token --verbose", "app --token --verbose"),
        ("sh -c PASSWORD=hunter2;app", "sh -c PASSWORD=[redacted]"),
        ("nginx -g daemon", "nginx -g daemon"),
        ("a --workers=4 key value", "a --workers=4 key value"),
    ],
)
def test_a_command_line_is_shown_without_its_secrets(given: str, shown: str) -> None:
    found = DETAILS | {"Config": {"Cmd": given.split(), "Entrypoint": given.split()}}
    data = checked(inspected(["web"], [found]), INSPECTED)

    assert data["cmd"] == data["entrypoint"] == shown.split()


# --- stats --------------------------------------------------------------------------------------

SAMPLE: dict[str, Any] = {
    "id": ID,
    "name": "/web",
    "cpu_stats": {
        "cpu_usage": {"total_usage": 300_000_000},
        "system_cpu_usage": 10_000_000_000,
        "online_cpus": 2,
    },
    "precpu_stats": {"cpu_usage": {"total_usage": 200_000_000}, "system_cpu_usage": 9_000_000_000},
    "memory_stats": {"usage": 3 << 20, "limit": 512 << 20, "stats": {"inactive_file": 1 << 20}},
    "pids_stats": {"current": 7},
    "networks": {"eth0": {"rx_bytes": 1_500, "tx_bytes": 2_300}, "eth1": {"rx_bytes": 500}},
    "blkio_stats": {
        "io_service_bytes_recursive": [
            {"op": "read", "value": 4_096},
            {"op": "Write", "value": 8_192},
            {"op": "total", "value": 1},
        ]
    },
}


def test_a_sample_is_shown_in_numbers_and_in_words() -> None:
    answer = sampled([SAMPLE])

    assert checked(answer, SAMPLED) == {
        "containers": [
            {
                "id": ID[:12],
                "name": "web",
                "cpuPercent": 20.0,
                "memoryUsage": "2MiB",
                "memoryLimit": "512MiB",
                "memoryPercent": 0.39,
                "netIO": "2kB / 2.3kB",
                "blockIO": "4.1kB / 8.19kB",
                "pids": 7,
                "memoryUsageBytes": 2 << 20,
                "memoryLimitBytes": 512 << 20,
                "netIn": 2_000,
                "netOut": 2_300,
                "blockRead": 4_096,
                "blockWrite": 8_192,
            }
        ]
    }
    assert words(answer) == (
        f"1 containers:\n  web ({ID[:12]}) CPU: 20.00% Mem: 2MiB/512MiB (0.39%) Net: 2kB / 2.3kB "
        "Block: 4.1kB / 8.19kB PIDs: 7"
    )


def test_a_stopped_container_uses_nothing() -> None:
    row = checked(
        sampled([{"id": ID, "name": "old", "blkio_stats": {"io_service_bytes_recursive": None}}]), SAMPLED
    )

    assert row["containers"][0] | {"id": "", "name": ""} == {
        "id": "",
        "name": "",
        "cpuPercent": 0.0,
        "memoryUsage": "0B",
        "memoryLimit": "0B",
        "memoryPercent": 0.0,
        "netIO": "0B / 0B",
        "blockIO": "0B / 0B",
        "pids": 0,
        "memoryUsageBytes": 0,
        "memoryLimitBytes": 0,
        "netIn": 0,
        "netOut": 0,
        "blockRead": 0,
        "blockWrite": 0,
    }


def test_whole_ids_of_samples_are_shown_where_they_are_asked_for() -> None:
    assert checked(sampled([SAMPLE], whole_ids=True), SAMPLED)["containers"][0]["id"] == ID
    assert words(sampled([])) == "No container stats available."


def test_many_samples_are_shown_shorter() -> None:
    short = checked(sampled([SAMPLE] * 40), SAMPLED)["containers"][0]

    assert short == {
        "id": ID[:12],
        "name": "web",
        "cpuPercent": 20.0,
        "memoryUsage": "2MiB",
        "memoryPercent": 0.39,
        "pids": 7,
    }


# --- logs ---------------------------------------------------------------------------------------


def test_lines_are_shown_by_stream_and_with_their_times() -> None:
    answer = logged(Logged(stdout=b"2026-11-20T09:00:00.5Z one\ntwo\r\n\n", stderr=b"\x1b[31mthree\x1b[0m\n"))

    assert checked(answer, LOGGED) == {
        "lines": ["2026-11-20T09:00:00.5Z one", "two", "three"],
        "entries": [
            {"timestamp": "2026-11-20T09:00:00.5Z", "message": "one"},
            {"message": "two"},
            {"message": "three"},
        ],
        "stdoutLines": ["2026-11-20T09:00:00.5Z one", "two"],
        "stderrLines": ["three"],
    }
    assert words(answer) == "3 lines [stdout=2, stderr=1]\n2026-11-20T09:00:00.5Z one\ntwo\nthree"
    assert words(logged(Logged())) == "0 lines"


def test_a_limit_of_lines_is_said() -> None:
    answer = logged(Logged(stdout=b"a\nb\nc\n"), limit=2)

    assert checked(answer, LOGGED)["lines"] == ["a", "b"]
    assert checked(answer, LOGGED)["isTruncated"] is True
    assert words(answer).startswith("2 lines (truncated)")


def test_a_long_log_loses_what_is_said_twice_first_and_then_its_middle() -> None:
    once = checked(
        logged(Logged(stdout=b"x" * 30 + b"\n" + b"y" * 40 + b"\n" * 1 + (b"z" * 60 + b"\n") * 60)), LOGGED
    )
    assert set(once) == {"lines"}
    assert len(once["lines"]) == 62

    lines = [f"{number}: {'x' * 100}" for number in range(1_000)]
    answer = logged(Logged(stdout="\n".join(lines).encode()))
    data = checked(answer, LOGGED)
    assert data["isTruncated"] is True
    assert data["head"][0] == lines[0]
    assert data["tail"][-1] == lines[-1]
    assert f"  ... {1_000 - len(data['head']) - len(data['tail'])} lines omitted ..." in words(answer)
    assert len(words(answer)) < COMPACT + 200
    assert checked(logged(Logged(stdout="\n".join(lines).encode()), compact=False), LOGGED)["lines"] == lines


def test_of_one_line_that_is_too_long_for_a_short_reply_the_beginning_is_shown() -> None:
    data = checked(logged(Logged(stdout=b"x" * 20_000)), LOGGED)

    assert data == {"head": ["x" * (COMPACT // 2)], "tail": [], "isTruncated": True}


# --- for people ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (3_540, "59 minutes"),
        (HOUR, "About an hour"),
        (2 * HOUR, "2 hours"),
        (47 * HOUR, "47 hours"),
        (48 * HOUR, "2 days"),
        (14 * 24 * HOUR, "2 weeks"),
        (60 * 24 * HOUR, "2 months"),
        (800 * 24 * HOUR, "2 years"),
        (-5, "Less than a second"),
    ],
)
def test_how_long_ago_is_told_as_engines_clients_tell_it(seconds: int, told: str) -> None:
    assert human.ago(1_000_000, 1_000_000 + seconds) == f"{told} ago"


@pytest.mark.parametrize(
    ("count", "decimal", "binary"),
    [
        (0, "0B", "0B"),
        (999, "999B", "999B"),
        (1_000, "1kB", "1000B"),
        (1_024, "1.02kB", "1KiB"),
        (1_572_864, "1.57MB", "1.5MiB"),
        (72_800_000, "72.8MB", "69.43MiB"),
        (10**15, "1PB", "909.5TiB"),
    ],
)
def test_sizes_are_told_as_engines_clients_tell_them(count: int, decimal: str, binary: str) -> None:
    assert (human.size(count, 3), human.binary_size(count)) == (decimal, binary)
