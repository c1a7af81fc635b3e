"""What can be read of the Django server: the project, djangopackages.org, runs and sessions.

The project has two spellings, `django://project/apps` as mcp-django has it on the wire and `django://apps`
as its documentation says. Both are read; which is listed goes with the names of the tools.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from ostiary.servers.core.content import words
from ostiary.servers.core.context import CallContext
from ostiary.servers.core.resource import Read, Resource, ResourceTemplate
from ostiary.servers.core.tool import Naming
from ostiary.servers.django.history import History
from ostiary.servers.django.packages import DjangoPackages
from ostiary.servers.django.shell import Shell
from ostiary.servers.django.tools import python_of
from ostiary.servers.notebook import notebook
from ostiary.servers.runs import JSON, Found, Variables, as_json

Answer = Callable[[Variables, CallContext], Awaitable[Any]]

NOTEBOOK: Final = "application/x-ipynb+json"
LOOKS: Final = {"readOnlyHint": True, "idempotentHint": True}


class _Kind(NamedTuple):
    """One of the project's resources: its name and path below `django://`, and the toolset before it."""

    name: str
    path: str
    answer: Answer
    description: str = ""
    toolset: str = "project"


def django_resources(shell: Shell, naming: Naming) -> list[Resource]:
    """The two of the project that have one address each."""
    made: list[Resource] = []
    for kind in (
        _Kind("Installed Django Apps", "apps", _asking(shell, "apps"), "the apps with their models"),
        _Kind("Django Models", "models", _asking(shell, "models"), "the models of the project itself"),
    ):
        made += [
            Resource(
                uri=uri,
                name=kind.name,
                description=kind.description,
                mime=JSON,
                annotations=LOOKS,
                meta=_tagged(kind),
                read=_reading(kind.answer),
                unlisted=unlisted,
            )
            for uri, unlisted in _spellings(kind, naming)
        ]
    return made


def django_templates(shell: Shell, packages: DjangoPackages, naming: Naming) -> list[ResourceTemplate]:
    """The families of the project and of djangopackages.org."""
    kinds = (
        _Kind("Django Grid Details", "grid/{slug}", _of(packages.grid), toolset="djangopackages"),
        _Kind("Django Package Details", "package/{slug}", _of(packages.package), toolset="djangopackages"),
        _Kind(
            "Django App Models",
            "app/{app_label}/models",
            partial(_app_models, shell),
            "the models of one app",
        ),
        _Kind("Django App Details", "app/{app_label}", _asking(shell, "app", label="app_label"), "one app"),
        _Kind(
            "Model Details",
            "model/{app_label}/{model_name}",
            _asking(shell, "model", label="app_label", name="model_name"),
            "one model",
        ),
        _Kind(
            "Route by Pattern",
            "route/{pattern*}",
            _asking(shell, "routes", pattern="pattern"),
            "the routes whose pattern holds this text",
        ),
        _Kind("Django Setting", "setting/{key}", _asking(shell, "setting", key="key")),
    )
    return [
        ResourceTemplate(
            uri_template=uri,
            name=kind.name,
            description=kind.description,
            mime=JSON,
            annotations=LOOKS,
            meta=_tagged(kind),
            read=_reading(kind.answer),
            unlisted=unlisted,
        )
        for kind in kinds
        for uri, unlisted in _spellings(kind, naming)
    ]


def _spellings(kind: _Kind, naming: Naming) -> tuple[tuple[str, bool], ...]:
    """Both addresses of one kind, and of each whether it is left out of lists."""
    return (
        (f"django://{kind.path}", naming == "prefixed"),
        (f"django://{kind.toolset}/{kind.path}", naming == "bare"),
    )


def _tagged(kind: _Kind) -> dict[str, object]:
    return {"fastmcp": {"tags": [kind.toolset]}}


def _reading(answer: Answer) -> Read:
    async def read(uri: str, found: Variables, context: CallContext) -> Found:
        return [as_json(uri, await answer(found, context))]

    return read


_USUAL: Final[dict[str, dict[str, Any]]] = {
    "models": {"include": None, "scope": "project"},
    "routes": {"method": None, "name": None, "pattern": None},
}
"""What a question says where an address says nothing else."""


def _asking(shell: Shell, do: str, **names: str) -> Answer:
    """The answer to the question `do`, whose members `names` are variables of the address."""

    async def answer(found: Variables, context: CallContext) -> Any:
        given = {member: found[variable] for member, variable in names.items()}
        return await shell.ask({"do": do, **_USUAL.get(do, {}), **given}, context)

    return answer


async def _app_models(shell: Shell, found: Variables, context: CallContext) -> Any:
    label = found["app_label"]
    await shell.ask({"do": "app", "label": label}, context)  # an unknown app is no app without models
    return await shell.ask({"do": "models", "include": [label], "scope": "project"}, context)


def _of(ask: Callable[[str], Awaitable[Any]]) -> Answer:
    async def answer(found: Variables, _: CallContext) -> Any:
        return await ask(found["slug"])

    return answer


# --- sessions ---------------------------------------------------------------------------------------


def session_templates(shell: Shell) -> list[ResourceTemplate]:
    """What a client has run. `current` stands for the session of who asks."""
    return [
        ResourceTemplate(
            uri_template="session://{session}/history",
            name="history of a session",
            description="the code that was run in it and what became of it; `current` is the caller's own",
            mime=JSON,
            read=partial(_history, shell),
            list=partial(_sessions, shell),
        ),
        ResourceTemplate(
            uri_template="session://{session}/notebook",
            name="session as a notebook",
            description="the same for notebook programs",
            mime=NOTEBOOK,
            read=partial(_notebook, shell),
        ),
    ]


def _named(shell: Shell, found: Variables, context: CallContext) -> tuple[str, History | None]:
    name = found["session"]
    if name == "current":
        name = shell.session(context, {})
    return name, shell.histories.find(context.owner, name) if shell.sees(context, name) else None


async def _history(shell: Shell, uri: str, found: Variables, context: CallContext) -> Found:
    name, history = _named(shell, found, context)
    return None if history is None else [as_json(uri, {"session": name, "runs": history.steps})]


async def _notebook(shell: Shell, uri: str, found: Variables, context: CallContext) -> Found:
    _, history = _named(shell, found, context)
    if history is None:
        return None
    cells = [(step.code, shell.engine.record(context.owner, step.run_id)) for step in history.steps]
    return [words(uri, notebook(cells, python_of(shell.engine.runner.version)).decode(), NOTEBOOK)]


async def _sessions(shell: Shell, context: CallContext) -> Sequence[Resource]:
    async def read(uri: str, _: Variables, context: CallContext) -> Found:
        return await _history(shell, uri, {"session": uri.split("/")[2]}, context)

    return [
        Resource(uri=f"session://{name}/history", name=f"session {name}", mime=JSON, read=read)
        for name in shell.histories.of(context.owner)
        if shell.sees(context, name)
    ]
