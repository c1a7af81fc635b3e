"""The tools of the Django server, each from its arguments to its reply."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from ostiary.errors import CallerFault
from ostiary.servers.core.content import ToolResult, text
from ostiary.servers.core.context import CallContext
from ostiary.servers.core.tool import Alias, Arguments, Tool
from ostiary.servers.django.history import History
from ostiary.servers.django.interface import Interface, extended, interfaces
from ostiary.servers.django.packages import DjangoPackages
from ostiary.servers.django.replies import commanded, executed, of_json
from ostiary.servers.django.saving import checked, save
from ostiary.servers.django.script import NOTHING, script
from ostiary.servers.django.shell import Shell
from ostiary.servers.notebook import notebook

Handler = Callable[[Arguments, CallContext], Awaitable[ToolResult]]

PREFIXES: Final = ("shell", "management", "project")
"""The toolsets whose names are left out of what is listed by default."""

CLEARED: Final = "Django shell history has been cleared."
PREVIEW: Final = 20
"""Lines of a saved script that its reply shows."""

DESCRIPTIONS: Final = {
    "shell_execute": "Run Python code in a shell of this Django project, which is set up: models, settings "
    "and everything else can be imported.{state} What the code prints and the value of its last expression "
    "are returned, and an error is returned with its traceback. The ORM works both ways: `.get()` as it is, "
    "and `await ….aget()` at the top level.{mode}",
    "shell_export_history": "What was run in this shell, as a script: the steps that succeeded, their "
    "imports once at its top. With `filename` it is written to a new file in the project's folder; a name "
    "that ends in .ipynb makes a notebook.",
    "shell_clear_history": "Forget what was run in this shell, and every name that it has set.",
    "management_execute_command": "Run a management command. Options are named as in Python "
    "(`run_syncdb` for --run-syncdb); one that takes a list takes a single text, too, so that `check` works "
    'with {{"tag": "security"}}. `args` may hold options as they are typed, such as --help.{mode}',
    "management_list_commands": "The management commands of this project that may be run, and the app that "
    "each comes from.",
    "project_get_project_info": "The Python that runs this project, its Django, apps and databases.",
    "project_get_setting": "The value of one setting, and its type. What is secret is masked.",
    "project_list_apps": "The apps of this project with the names of their models.",
    "project_list_models": "The models with the types of their fields: those of the project itself, of the "
    "apps in `include`, or with the scope `all` those of every app.",
    "project_list_routes": "The routes of this project with their views, methods and parameters. All filters "
    "that are given have to fit; `name` and `pattern` fit where they are contained.",
    "djangopackages_search": "Search djangopackages.org for apps, projects and comparisons of them.",
    "djangopackages_get_package": "What djangopackages.org knows of one package.",
    "djangopackages_get_grid": "One comparison of djangopackages.org with its packages.",
}
_STATE: Final = {
    "session": " Names stay from call to call, until the history is cleared.",
    "fresh": " Nothing is kept from call to call.",
}
_MODE: Final = {
    "": "",
    "read-only": " This shell only reads the databases: what would write is refused.",
    "rollback": " What is written to the databases is undone after each call.",
}


def tools_of(shell: Shell, packages: DjangoPackages) -> list[Tool]:
    """What may be called, in the order in which the original lists it."""
    handlers: dict[str, Handler] = {
        "djangopackages_get_grid": partial(_get_grid, packages),
        "djangopackages_get_package": partial(_get_package, packages),
        "djangopackages_search": partial(_search, packages),
        "management_execute_command": partial(_execute_command, shell),
        "management_list_commands": partial(_list_commands, shell),
        "project_get_project_info": partial(_project, shell, {"do": "project"}),
        "project_list_apps": partial(_project, shell, {"do": "apps"}),
        "project_list_models": partial(_list_models, shell),
        "project_list_routes": partial(_list_routes, shell),
        "project_get_setting": partial(_get_setting, shell),
        "shell_execute": partial(_execute, shell),
        "shell_export_history": partial(_export_history, shell),
        "shell_clear_history": partial(_clear_history, shell),
    }
    return [_tool(shell, name, one, handlers[name]) for name, one in interfaces().items()]


def _tool(shell: Shell, wire: str, interface: Interface, handler: Handler) -> Tool:
    toolset, _, bare = wire.partition("_")
    short = toolset in PREFIXES
    accepts = extended(wire)
    describe = DESCRIPTIONS[wire].format(state=_STATE[shell.settings.state], mode=_MODE[shell.settings.mode])
    return Tool(
        name=bare if short else wire,
        prefix=toolset if short else "",
        title=interface.title,
        description=describe,
        input_schema=accepts if shell.options.extended else interface.input_schema,
        accepts=accepts,
        output_schema=interface.output_schema,
        annotations=interface.annotations,
        meta=interface.meta,
        handler=handler,
        aliases=_ALIASES.get(wire, ()),
    )


_ALIASES: Final = {
    "shell_execute": (Alias(name="django_shell"),),
    "djangopackages_get_package": (Alias(name="get_package"),),
    "djangopackages_get_grid": (Alias(name="get_grid"),),
}
"""What else these answer to. Never `search`: a gate in front of many servers has that for tools."""

# --- the shell --------------------------------------------------------------------------------------


async def _execute(shell: Shell, arguments: Arguments, context: CallContext) -> ToolResult:
    return executed(await shell.run(arguments, context), extended=shell.options.extended)


async def _clear_history(shell: Shell, arguments: Arguments, context: CallContext) -> ToolResult:
    shell.forget(context.owner, shell.session(context, arguments))
    return _said(CLEARED)


async def _export_history(shell: Shell, arguments: Arguments, context: CallContext) -> ToolResult:
    history = shell.history(context, arguments)
    filename: str | None = arguments.get("filename")
    as_notebook = arguments.get("format") == "notebook"
    if filename is None:
        return _said(await _exported(shell, history, context.owner, as_notebook=as_notebook))
    name = checked(filename, ".ipynb" if as_notebook else ".py")
    if shell.settings.mode == "read-only":
        raise CallerFault(
            "this server only reads, and writes no file", hint="leave `filename` out: the script is returned"
        )
    if not history.good:
        return _said(NOTHING)
    as_notebook = name.endswith(".ipynb")
    content = await _exported(shell, history, context.owner, as_notebook=as_notebook)
    save(shell.settings.project, name, content.encode(), shell.sealed())
    if as_notebook:
        count = len(history.good)
        return _said(f"Exported {count} cell{'s' if count > 1 else ''} to {name}")
    lines = content.rstrip("\n").split("\n")
    more = [f"... ({len(lines) - PREVIEW} more lines)"] if len(lines) > PREVIEW else []
    shown = "\n".join([*lines[:PREVIEW], *more])
    return _said(f"Exported {len(lines)} lines to {name}\n\n{shown}")


async def _exported(shell: Shell, history: History, owner: str, *, as_notebook: bool) -> str:
    """The steps that succeeded, as a script or as a notebook."""
    if not as_notebook:
        return await asyncio.to_thread(script, history.good)  # reading code takes a while
    cells = [(step.code, shell.engine.record(owner, step.run_id)) for step in history.good]
    return notebook(cells, python_of(shell.engine.runner.version)).decode()


def python_of(version: str) -> str:
    """`3.11.7` of `Django 5.2.8 (Python 3.11.7)`."""
    return version.rpartition(" ")[2].rstrip(")")


# --- management commands ----------------------------------------------------------------------------


async def _execute_command(shell: Shell, arguments: Arguments, context: CallContext) -> ToolResult:
    question: dict[str, Any] = {
        "do": "command",
        "command": arguments["command"],
        "args": arguments.get("args") or [],
        "options": arguments.get("options") or {},
    }
    return commanded(await shell.command(question, arguments, context), question)


async def _list_commands(shell: Shell, _: Arguments, context: CallContext) -> ToolResult:
    """Only those that the gate would let through: what nobody may run is no use to anybody."""
    found = await shell.ask({"do": "commands"}, context)
    return of_json([one for one in found if shell.permits(one["name"])], wrapped=True)


# --- the project ------------------------------------------------------------------------------------


async def _project(shell: Shell, question: dict[str, Any], _: Arguments, context: CallContext) -> ToolResult:
    found = await shell.ask(question, context)
    return of_json(found, wrapped=isinstance(found, list))


async def _list_models(shell: Shell, arguments: Arguments, context: CallContext) -> ToolResult:
    asked = {"include": arguments.get("include"), "scope": arguments.get("scope", "project")}
    return await _project(shell, {"do": "models", **asked}, arguments, context)


async def _list_routes(shell: Shell, arguments: Arguments, context: CallContext) -> ToolResult:
    asked = {name: arguments.get(name) for name in ("method", "name", "pattern")}
    return await _project(shell, {"do": "routes", **asked}, arguments, context)


async def _get_setting(shell: Shell, arguments: Arguments, context: CallContext) -> ToolResult:
    found = await shell.ask({"do": "setting", "key": arguments["key"]}, context)
    return of_json(found, wrapped=False)


# --- djangopackages ---------------------------------------------------------------------------------


async def _search(packages: DjangoPackages, arguments: Arguments, _: CallContext) -> ToolResult:
    return of_json(await packages.search(arguments["query"]), wrapped=True)


async def _get_package(packages: DjangoPackages, arguments: Arguments, _: CallContext) -> ToolResult:
    return of_json(await packages.package(arguments["slug"]), wrapped=False)


async def _get_grid(packages: DjangoPackages, arguments: Arguments, _: CallContext) -> ToolResult:
    return of_json(await packages.grid(arguments["slug"]), wrapped=False)


def _said(words: str) -> ToolResult:
    """A reply that is one text: for a model as it is, for a program in its envelope."""
    wrapped = of_json(words, wrapped=True)
    return ToolResult((text(words),), wrapped.structured, meta=wrapped.meta)
