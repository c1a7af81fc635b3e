"""Which files of the project have changed since their modules were imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

_PACKAGES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_GONE = -1


class Watch:
    """Remembers the files of modules below some folders, without those of installed packages."""

    def __init__(self, folders: Iterable[str]) -> None:
        self._folders = tuple(f"{folder.rstrip(os.sep)}{os.sep}" for folder in folders)
        self._seen: set[str] = set()
        self._times: dict[str, int] = {}

    def look(self) -> None:
        """Take up the modules that were imported since the last look."""
        if len(sys.modules) == len(self._seen):
            return
        for name in sys.modules.keys() - self._seen:
            path = getattr(sys.modules[name], "__file__", None)
            if isinstance(path, str) and self._is_the_projects(path):
                self._times[path] = _time(path)
        self._seen = set(sys.modules)

    def _is_the_projects(self, path: str) -> bool:
        return path.startswith(self._folders) and not any(part in path for part in _PACKAGES)

    def changed(self) -> list[str]:
        """The files that are not what was imported; one that is gone, too."""
        self.look()
        return [path for path, time in self._times.items() if _time(path) != time]


def _time(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116 - hundreds of these come before each run
    except OSError:
        return _GONE
