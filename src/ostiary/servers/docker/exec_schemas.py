"""The toolset `exec` as it is listed: six tools of `@paretools/docker` 0.22.2. Data.

Names, order, wording of the properties, defaults and bounds of what goes in are those of that server
(MIT licence, the Pare authors), so that a client which knows it notices no difference. Of what comes
out, schemas are as open as honest replies need; each difference stands beside its schema.
"""

from __future__ import annotations

from typing import Any, Final

Schema = dict[str, Any]

DRAFT_7: Final = "http://json-schema.org/draft-07/schema#"
SHORT: Final = 255
PATH: Final = 4_096
LONG: Final = 65_536
MANY: Final = 1_000


def _string(description: str, most: int = SHORT) -> Schema:
    return {"type": "string", "maxLength": most, "description": description}


def _strings(description: str) -> Schema:
    items = {"type": "string", "maxLength": LONG}
    return {"type": "array", "maxItems": MANY, "items": items, "description": description}


def _number(description: str, **more: Any) -> Schema:
    return {"type": "number", "description": description, **more}


def _flag(description: str, *, default: bool = False) -> Schema:
    return {"type": "boolean", "default": default, "description": description}


_COMPACT: Final = _flag("Prefer compact output", default=True)
_FOLDER: Final = _string("Working directory", PATH)


def _arguments(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    schema: Schema = {"type": "object", "properties": properties | {"compact": _COMPACT}}
    if required:
        schema["required"] = list(required)
    return schema | {"$schema": DRAFT_7, "additionalProperties": False}


PS: Final = _arguments(
    all=_flag("Show all containers (default: true, includes stopped)", default=True),
    last=_number("Show only the N most recently created containers"),
    size=_flag("Display total file sizes per container (default: false)"),
    filter=_string("Filter by status, name, label, network (--filter)"),
)

LOGS: Final = _arguments(
    ("container",),
    container=_string("Container name or ID"),
    tail=_number(
        "Number of lines to fetch from Docker (passed to --tail). This controls how many lines Docker "
        "returns from the end of the log. Default: 100.",
        default=100,
    ),
    since=_string("Show logs since timestamp (e.g., '10m', '2024-01-01')"),
    until=_string("Show logs until timestamp (e.g., '5m', '2024-01-02') for time-bounded queries"),
    limit=_number(
        "Max lines in structured output. Truncates AFTER Docker returns lines (sets isTruncated=true). "
        "Use 'tail' to limit what Docker returns; use 'limit' to cap the structured response size."
    ),
    timestamps=_flag("Show timestamps for each log line (default: false)"),
    details=_flag("Show extra details provided to logs (default: false)"),
)

IMAGES: Final = _arguments(
    all=_flag("Show all images including intermediates"),
    reference=_string(
        "Filter by image reference (positional arg, e.g., 'myapp', 'nginx:*'). This is a positional "
        "reference filter, not Docker's --filter flag."
    ),
    filterExpr=_string(
        "Key-value filter expression (--filter). Examples: 'dangling=true', 'reference=myimage:*', "
        "'before=image:tag', 'since=image:tag', 'label=com.example.version'"
    ),
    digests=_flag("Show image digests (default: false)"),
    noTrunc=_flag("Do not truncate image IDs (default: false)"),
)

EXEC: Final = _arguments(
    ("container", "command"),
    container=_string("Container name or ID"),
    command=_strings('Command to execute (e.g., ["ls", "-la"])'),
    workdir=_string("Working directory inside the container", PATH),
    user=_string('Run command as a specific user (e.g., "root", "1000:1000")'),
    env={"default": [], **_strings('Environment variables (e.g., ["KEY=VALUE"])')},
    envFile=_string("Read environment variables from a file (--env-file)", PATH),
    detach=_flag("Run command in the background (default: false)"),
    timeout={
        "type": "integer",
        "minimum": 1_000,
        "maximum": 600_000,
        "description": "Command timeout in milliseconds (min 1000, max 600000)",
    },
    parseJson=_flag("Parse stdout as JSON and return it in `json` when valid"),
    limit=_number(
        "Maximum number of characters to return in stdout. Output exceeding this limit will be truncated "
        "and isTruncated set to true."
    ),
    path=_string("Host working directory", PATH),
)

INSPECT: Final = _arguments(
    ("target",),
    target={
        "anyOf": [
            {"type": "string", "maxLength": SHORT},
            {"type": "array", "maxItems": MANY, "items": {"type": "string", "maxLength": SHORT}},
        ],
        "description": "Container/image/network/volume target(s) to inspect",
    },
    type={
        "type": "string",
        "enum": ["container", "image", "volume", "network"],
        "description": 'Object type to inspect: "container", "image", "volume", or "network" (--type)',
    },
    size=_flag("Display total file sizes (-s, --size)"),
    path=_FOLDER,
)

STATS: Final = _arguments(
    containers={
        "type": "array",
        "items": {"type": "string", "maxLength": SHORT},
        "description": "Container names or IDs to filter (default: all running containers)",
    },
    all=_flag("Show all containers including stopped (default: false)"),
    noTrunc=_flag("Do not truncate container IDs (default: false)"),
    path=_FOLDER,
)

# --- what comes out ---------------------------------------------------------------------------------

_TEXT: Final[Schema] = {"type": "string"}
_AMOUNT: Final[Schema] = {"type": "number"}
_YES: Final[Schema] = {"type": "boolean"}
_LINES: Final[Schema] = {"type": "array", "items": _TEXT}
_NAMED: Final[Schema] = {
    "type": "object",
    "propertyNames": {"type": "string"},
    "additionalProperties": {"type": "string"},
}
_KINDS: Final[Schema] = {"type": "string", "enum": ["container", "image", "volume", "network"]}


def _closed(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    schema: Schema = {"type": "object", "properties": properties}
    if required:
        schema["required"] = list(required)
    return schema | {"additionalProperties": False}


def _open(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key != "additionalProperties"}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _reply(schema: Schema) -> Schema:
    return schema | {"$schema": DRAFT_7}


EXECUTED: Final = _open(
    _reply(
        _closed(
            ("exitCode",),
            exitCode=_AMOUNT,
            stdout=_TEXT,
            stderr=_TEXT,
            isTruncated=_YES,
            timedOut=_YES,
            json={},
            parseJsonError=_TEXT,
        )
    )
)
"""Open where the original is closed: that is what makes its own default reply illegal."""

STATES: Final = ("running", "exited", "paused", "restarting", "dead", "created", "removing")

_PORT: Final = _closed(
    ("container", "protocol"),
    host=_AMOUNT,
    container=_AMOUNT,
    protocol={"type": "string", "enum": ["tcp", "udp", "sctp"]},
)
"""With `sctp`, which engines know and the original does not: it calls such a port `tcp`."""

LISTED: Final = _reply(
    _closed(
        ("containers",),
        containers=_list(
            _open(
                _closed(
                    ("id", "name", "image", "status"),
                    id=_TEXT,
                    name=_TEXT,
                    image=_TEXT,
                    status=_TEXT,
                    state={"type": "string", "enum": list(STATES)},
                    ports=_list(_PORT),
                    created=_TEXT,
                    labels=_NAMED,
                    networks=_LINES,
                )
            )
        ),
    )
)
"""A container is open: with `size` it has a `size`, for which the original has no place."""

LOGGED: Final = _reply(
    _closed(
        lines=_LINES,
        entries=_list(_closed(("message",), timestamp=_TEXT, message=_TEXT)),
        isTruncated=_YES,
        head=_LINES,
        tail=_LINES,
        stdoutLines=_LINES,
        stderrLines=_LINES,
    )
)

IMAGES_LISTED: Final = _reply(
    _closed(
        ("images",),
        images=_list(
            _closed(
                ("id", "repository", "tag", "size"),
                id=_TEXT,
                repository=_TEXT,
                tag=_TEXT,
                size=_TEXT,
                sizeBytes=_AMOUNT,
                digest=_TEXT,
                created=_TEXT,
                createdAt=_TEXT,
                labels=_NAMED,
            )
        ),
    )
)

_PORTS: Final[Schema] = {
    "type": "object",
    "propertyNames": {"type": "string"},
    "additionalProperties": {"anyOf": [_list(_closed(hostIp=_TEXT, hostPort=_TEXT)), {"type": "null"}]},
}

INSPECTED: Final = _reply(
    _closed(
        ("id", "name", "image"),
        id=_TEXT,
        name=_TEXT,
        inspectType=_KINDS,
        state=_closed(("status", "running"), status=_TEXT, running=_YES, startedAt=_TEXT),
        image=_TEXT,
        platform=_TEXT,
        created=_TEXT,
        status=_TEXT,
        running=_YES,
        healthStatus={"type": "string", "enum": ["healthy", "unhealthy", "starting", "none"]},
        env=_LINES,
        restartPolicy=_TEXT,
        repoTags=_LINES,
        repoDigests=_LINES,
        size=_AMOUNT,
        cmd=_LINES,
        entrypoint=_LINES,
        networkSettings=_closed(("ipAddress",), ipAddress=_TEXT, ports=_PORTS),
        mounts=_list(_closed(("source", "destination"), source=_TEXT, destination=_TEXT, mode=_TEXT)),
        driver=_TEXT,
        scope=_TEXT,
        mountpoint=_TEXT,
        labels=_NAMED,
        relatedTargets=_list(
            _closed(("target", "id", "name"), target=_TEXT, id=_TEXT, name=_TEXT, inspectType=_KINDS)
        ),
    )
)

SAMPLED: Final = _reply(
    _closed(
        ("containers",),
        containers=_list(
            _closed(
                ("id", "name", "cpuPercent", "memoryPercent", "pids"),
                id=_TEXT,
                name=_TEXT,
                state=_TEXT,
                cpuPercent=_AMOUNT,
                memoryUsage=_TEXT,
                memoryLimit=_TEXT,
                memoryPercent=_AMOUNT,
                netIO=_TEXT,
                blockIO=_TEXT,
                pids=_AMOUNT,
                memoryUsageBytes=_AMOUNT,
                memoryLimitBytes=_AMOUNT,
                netIn=_AMOUNT,
                netOut=_AMOUNT,
                blockRead=_AMOUNT,
                blockWrite=_AMOUNT,
            )
        ),
    )
)
