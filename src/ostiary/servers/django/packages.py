"""djangopackages.org, or a site that answers like it: asked only where the operator said which one.

What comes back was written by strangers. It is bounded, read strictly, and handed on as data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import quote

import msgspec

from ostiary.errors import CallerFault, OstiaryError
from ostiary.sandbox.packages.index import read_index
from ostiary.sandbox.packages.web import Web, WebError
from ostiary.wire.message import as_object

USUAL: Final = "https://djangopackages.org"
MAX_ANSWER: Final = 4 << 20
"""Bytes of one answer of the site."""

MAX_QUERY: Final = 200

_SLUG: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_NOT_FOUND: Final = 404
_OK: Final = 200
_PACKAGE: Final = (
    "documentation_url", "pypi_url", "pypi_version", "repo_description", "repo_forks", "repo_url",
)  # fmt: skip

Object = Mapping[str, Any]


class SiteError(OstiaryError):
    """The site could not be asked, or its answer could not be used."""


class DjangoPackages:
    """A client of the site at `url`; without one, every question is answered with how to switch it on."""

    def __init__(self, url: str, certificates: str = "") -> None:
        """Raises CallerFault when `url` is no http or https address."""
        try:
            self._web = Web(read_index(url, certificates=certificates)) if url else None
        except CallerFault:
            raise CallerFault(
                "--djangopackages: the address cannot be used", hint=f"for example {USUAL}"
            ) from None

    async def search(self, query: str) -> list[Object]:
        """Packages and grids that fit `query`. Raises CallerFault, SiteError."""
        if not 0 < len(query) <= MAX_QUERY:
            raise CallerFault(f"`query` is 1 to {MAX_QUERY} characters")
        found = await self._get(f"api/v4/search/?q={quote(query, safe='')}")
        return [_found(one) for one in _list(found)]

    async def package(self, slug: str) -> Object:
        """One package. Raises CallerFault, SiteError."""
        one = _object(await self._get(f"api/v3/packages/{_checked(slug)}/"))
        description = _maybe(one, "description", str) or _maybe(one, "repo_description", str)
        more = {name: _maybe(one, name, int if name == "repo_forks" else str) for name in _PACKAGE}
        modified = "modified" if "modified" in one else "last_updated"
        found = {
            "category": _last(_must(one, "category")),
            "slug": _must(one, "slug"),
            "title": _must(one, "title"),
            "description": description,
            "grids": _slugs(one, "grids"),
            "last_updated": _maybe(one, modified, str),
            "participants": _people(one),
            "repo_watchers": _maybe(one, "repo_watchers", int) or 0,
        }
        return {name: (found | more)[name] for name in _ORDER}

    async def grid(self, slug: str) -> Object:
        """One comparison of packages. Raises CallerFault, SiteError."""
        one = _object(await self._get(f"api/v3/grids/{_checked(slug)}/"))
        return {
            "title": _must(one, "title"),
            "slug": _must(one, "slug"),
            "description": _maybe(one, "description", str) or "",
            "packages": _slugs(one, "packages") or [],
        }

    async def _get(self, path: str) -> Any:
        if self._web is None:
            raise CallerFault(
                f"this server asks no other site; its operator can let it: --djangopackages {USUAL}"
            )
        try:
            async with self._web.get(self._web.index.url + path, "application/json", stray=False) as reply:
                if reply.status == _NOT_FOUND:
                    raise CallerFault("djangopackages: there is nothing by that name")
                if reply.status != _OK:
                    raise SiteError(f"djangopackages: the site answered with status {reply.status}")
                body = await reply.read(MAX_ANSWER)
        except WebError as error:
            raise SiteError(f"djangopackages: {error}") from None
        try:
            return msgspec.json.decode(body)
        except (msgspec.MsgspecError, RecursionError):
            raise _unusable() from None


_ORDER: Final = (
    "category", "slug", "title", "description", "documentation_url", "grids", "last_updated", "participants",
    "pypi_url", "pypi_version", "repo_description", "repo_forks", "repo_url", "repo_watchers",
)  # fmt: skip


def _found(given: object) -> Object:
    """One result of a search."""
    one = _object(given)
    found: dict[str, Any] = {
        "item_type": _must(one, "item_type"),
        "slug": _must(one, "slug"),
        "title": _must(one, "title"),
        "description": _maybe(one, "description", str),
    }
    if found["item_type"] == "grid":
        return found
    if found["item_type"] != "package":
        raise _unusable()
    return found | {
        "repo_watchers": _maybe(one, "repo_watchers", int) or 0,
        "repo_forks": _maybe(one, "repo_forks", int) or 0,
        "participants": _people(one),
        "last_committed": _maybe(one, "last_committed", str),
        "last_released": _maybe(one, "last_released", str),
    }


def _checked(slug: str) -> str:
    if not _SLUG.fullmatch(slug):
        raise CallerFault(
            f"`{slug[:80]}` is not a slug", hint="letters, digits, `-` and `_`, such as django-debug-toolbar"
        )
    return slug


def _object(given: object) -> Object:
    found = as_object(given)
    if found is None:
        raise _unusable()
    return found


def _list(given: object) -> list[object]:
    if not isinstance(given, list):
        raise _unusable()
    return cast("list[object]", given)


def _must(one: Object, name: str) -> str:
    value = one.get(name)
    if not isinstance(value, str):
        raise _unusable()
    return value


def _maybe(one: Object, name: str, kind: type) -> Any:
    value = one.get(name)
    if value is not None and type(value) is not kind:
        raise _unusable()
    return value


def _last(address: str) -> str:
    """The site names things by their address; what tells them apart is its last part."""
    return address.rstrip("/").rpartition("/")[2]


def _slugs(one: Object, name: str) -> list[str] | None:
    value = one.get(name)
    if value is None:
        return None
    found = [each for each in _list(value) if isinstance(each, str)]
    if len(found) < len(value):
        raise _unusable()
    return [_last(each) for each in found if each]


def _people(one: Object) -> int | None:
    """How many took part, of a list of their names or of a text with commas."""
    value = one.get("participants")
    if value is None:
        return None
    names = value.split(",") if isinstance(value, str) else _list(value)
    return sum(bool(str(name).strip()) for name in names)


def _unusable() -> SiteError:
    return SiteError("djangopackages: the site's answer is not what it is known to send")
