"""A project's page at an index: which files it has. Pure.

Read as JSON (PEP 691) or HTML (PEP 503), written as JSON with other addresses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from html.parser import HTMLParser
from typing import Any, Final, cast
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import msgspec

MAX_FILES: Final = 20_000
JSON_TYPE: Final = "application/vnd.pypi.simple.v1+json"
ACCEPT: Final = f"{JSON_TYPE}, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+!-]{0,254}\Z")
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


class PageError(Exception):
    """The page is not one that an index writes."""


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a project. `url` is absolute; `sha256` is empty where the page gives none.

    `metadata` says that the wheel's metadata can be had alone, at the same address with `.metadata`;
    it is the page's own value, a boolean or hashes.
    """

    name: str
    url: str
    sha256: str = ""
    size: int | None = None
    requires_python: str | None = None
    yanked: bool | str = False
    metadata: Any = False


def read_page(body: bytes, content_type: str, url: str) -> list[File]:
    """The files on the page at `url`. Those whose name or address cannot be right are left out.

    Raises:
        PageError: when it is neither JSON nor HTML of an index, or lists more than `MAX_FILES`.
    """
    files = _from_json(body, url) if "json" in content_type else _from_html(body, url)
    kept = [file for file in files if _NAME.match(file.name) and _is_web(file.url)]
    if len(kept) > MAX_FILES:
        raise PageError(f"the index lists more than {MAX_FILES} files of one project")
    return kept


def write_page(project: str, files: Iterable[tuple[File, str]]) -> bytes:
    """The same files as JSON (PEP 691), each with the address it is given here."""
    document = {
        "meta": {"api-version": "1.0"},
        "name": project,
        "files": [_as_json(file, url) for file, url in files],
    }
    return msgspec.json.encode(document)


def _as_json(file: File, url: str) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "filename": file.name,
        "url": url,
        "hashes": {"sha256": file.sha256} if file.sha256 else {},
        "yanked": file.yanked,
        "core-metadata": file.metadata,
    }
    if file.requires_python is not None:
        entry["requires-python"] = file.requires_python
    if file.size is not None:
        entry["size"] = file.size
    return entry


def _from_json(body: bytes, url: str) -> list[File]:
    try:
        document: Any = msgspec.json.decode(body)
        entries = cast("list[dict[str, Any]]", document["files"])
        return [_file_of(entry, url) for entry in entries]
    except (msgspec.DecodeError, LookupError, TypeError, AttributeError, ValueError):
        raise PageError("the index's page of the project is not the JSON of an index") from None


def _file_of(entry: Mapping[str, Any], url: str) -> File:
    metadata = entry.get("core-metadata", entry.get("dist-info-metadata", False))
    size = entry.get("size")
    requires = entry.get("requires-python")
    yanked = entry.get("yanked", False)
    return File(
        name=str(entry["filename"]),
        url=urldefrag(urljoin(url, str(entry["url"])))[0],
        sha256=_digest(str(entry.get("hashes", {}).get("sha256", ""))),
        size=size if isinstance(size, int) else None,
        requires_python=requires if isinstance(requires, str) else None,
        yanked=yanked if isinstance(yanked, str) else bool(yanked),
        metadata=metadata if isinstance(metadata, dict) else bool(metadata),
    )


class _Anchors(HTMLParser):
    """Collects the attributes of every link, and where `<base>` says they start from."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.base = ""
        self.found: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "base" and not self.base:
            self.base = given.get("href") or ""
        elif tag == "a" and given.get("href") and len(self.found) <= MAX_FILES:
            self.found.append(given)


def _from_html(body: bytes, url: str) -> list[File]:
    anchors = _Anchors()
    anchors.feed(body.decode("utf-8", errors="replace"))
    base = urljoin(url, anchors.base)
    try:
        return [_file_of_link(given, base) for given in anchors.found]
    except ValueError:
        raise PageError("the index's page of the project holds a link that is none") from None


def _file_of_link(given: Mapping[str, str | None], base: str) -> File:
    address, fragment = urldefrag(urljoin(base, given["href"] or ""))
    algorithm, _, digest = fragment.partition("=")
    metadata = given.get("data-core-metadata", given.get("data-dist-info-metadata", ""))
    kind, _, value = (metadata or "").partition("=")
    return File(
        name=unquote(urlsplit(address).path.rpartition("/")[2]),
        url=address,
        sha256=_digest(digest if algorithm == "sha256" else ""),
        requires_python=given.get("data-requires-python"),
        yanked=(given["data-yanked"] or True) if "data-yanked" in given else False,
        metadata={kind: value} if value else kind == "true",
    )


def _digest(text: str) -> str:
    return text.lower() if _DIGEST.match(text.lower()) else ""


def _is_web(url: str) -> bool:
    return url.startswith(("https://", "http://")) and url.isascii() and url.isprintable() and " " not in url
