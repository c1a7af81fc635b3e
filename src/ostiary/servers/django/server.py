"""The Django server: its tools and resources over one project."""

from __future__ import annotations

from typing import Final

from ostiary.servers.core.server import Server
from ostiary.servers.core.tool import Naming
from ostiary.servers.django.packages import DjangoPackages
from ostiary.servers.django.resources import django_resources, django_templates, session_templates
from ostiary.servers.django.shell import Shell
from ostiary.servers.django.tools import tools_of
from ostiary.servers.runs import Status, run_templates, status_resource

_INSTRUCTIONS: Final = """\
A shell in a Django project. Look first (`list_apps`, `list_models`, `list_routes`, `get_setting`, or the \
resources django://…), then run code with `execute` and management commands with `execute_command`. """

_OF_STATE: Final = {
    "session": "Names stay from call to call in a session, which is yours alone; `clear_history` ends it. "
    "A session starts anew when the project's files change.",
    "fresh": "Each call starts with nothing but the project as its files are now.",
}


def make_server(
    shell: Shell, packages: DjangoPackages, *, version: str, status: Status, naming: Naming = "bare"
) -> Server:
    """The server over `shell`. `version` is of Ostiary, `status` says what walls there are."""
    return Server(
        "ostiary-django",
        version,
        title="Django shell",
        instructions=_INSTRUCTIONS + _OF_STATE[shell.settings.state],
        tools=tools_of(shell, packages),
        resources=[*django_resources(shell, naming), status_resource(status)],
        templates=[
            *django_templates(shell, packages, naming),
            *run_templates(shell.engine),
            *session_templates(shell),
        ],
        naming=naming,
    )
