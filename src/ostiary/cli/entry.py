"""Where the `ostiary` command starts.

`proxy`, `run` and `hook run` are what MCP clients start again and again, so they take a short way in
that imports no command framework; every other command goes through `cli.app`.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its status (0 yes, 1 no, 2 could not run)."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["proxy"]:
        from ostiary.cli.proxy import main as proxy

        sys.exit(proxy(arguments[1:]))
    if arguments[:1] == ["run"] and arguments[1:2] not in ([], ["--help"], ["-h"]):
        from ostiary.cli.run import main as run

        sys.exit(run(arguments[1:]))
    if arguments[:2] == ["hook", "run"] and not {"--help", "-h"} & set(arguments):
        from ostiary.cli.hook_run import bound
        from ostiary.cli.hook_run import main as hook

        bound()
        sys.exit(hook(arguments[2:]))
    from ostiary.cli.app import main as everything

    everything()


if __name__ == "__main__":
    main()
