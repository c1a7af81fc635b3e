"""The toolset `scripts` as it is listed: the six tools of zaycruz/docker_mcp. Data.

What goes in is as that server lists it (MIT licence, the docker_mcp authors). What comes out has data
besides the original's one string: there its exit code, and the other stream, are lost.
"""

from __future__ import annotations

from typing import Any, Final

Schema = dict[str, Any]


def _string(title: str, **more: Any) -> Schema:
    return {"title": title, "type": "string", **more}


def _arguments(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    schema: Schema = {"additionalProperties": False, "properties": properties}
    return schema | ({"required": list(required)} if required else {}) | {"type": "object"}


_CONTAINER: Final = _string("Container Name")

CREATE_CONTAINER: Final = _arguments(
    ("image", "container_name"),
    image=_string("Image"),
    container_name=_CONTAINER,
    dependencies=_string("Dependencies", default=""),
)

EXECUTE_CODE: Final = _arguments(
    ("container_name", "command"), container_name=_CONTAINER, command=_string("Command")
)

EXECUTE_PYTHON_SCRIPT: Final = _arguments(
    ("container_name", "script_content"),
    container_name=_CONTAINER,
    script_content=_string("Script Content"),
    script_args=_string("Script Args", default=""),
)

CLEANUP_CONTAINER: Final = _arguments(("container_name",), container_name=_CONTAINER)

ADD_DEPENDENCIES: Final = _arguments(
    ("container_name", "dependencies"), container_name=_CONTAINER, dependencies=_string("Dependencies")
)

LIST_CONTAINERS: Final = _arguments(
    show_all={"default": True, "title": "Show All", "type": "boolean"},
)

DONE: Final[Schema] = {
    "type": "object",
    "properties": {
        "exitCode": {"type": ["integer", "null"], "description": "null where there is none"},
        "stdout": {"type": "string"},
        "stderr": {"type": "string"},
        "timedOut": {"type": "boolean"},
    },
    "required": ["exitCode", "stdout", "stderr", "timedOut"],
}
"""What each of the six answers as data."""
