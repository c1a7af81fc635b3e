"""Where packages come from: the operator's index, as this machine's own tools are told of it."""

from __future__ import annotations

import configparser
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

from ostiary.arguments.fault import ArgumentError
from ostiary.errors import CallerFault
from ostiary.sandbox.egress.places import Place, read_place

PUBLIC: Final = "pypi"
"""The index that pip and uv use when they are told of no other; its address is made of its name."""

_ADDRESSES: Final = ("OSTIARY_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
_CERTIFICATES: Final = ("OSTIARY_INDEX_CERT", "SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")
_FOLDERS: Final = ("OSTIARY_FIND_LINKS", "UV_FIND_LINKS", "PIP_FIND_LINKS")
_PORTS: Final = {"http": 80, "https": 443}


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """An index of packages. `url` is that of its list of projects, with a final slash, without credentials.

    `user` and `password` are sent to the index itself and to no other place. `certificates` is a file
    of authorities to trust instead of the system's; empty for those. `folders` hold further wheels.
    `private` says that it may have an address of a private network: the operator's own may, one that
    a script names may not.
    """

    url: str
    user: str = ""
    password: str = ""
    certificates: str = ""
    folders: tuple[str, ...] = ()
    private: bool = True

    def __repr__(self) -> str:
        return f"Index({self.url!r})"  # never the password, which a traceback or a log would show

    @property
    def place(self) -> Place:
        """Host and port. `url` was read already, so this raises nothing."""
        return _place(self.url)


def read_index(
    url: str, *, certificates: str = "", folders: tuple[str, ...] = (), private: bool = True
) -> Index:
    """Read the address of an index, which may carry a user and a password.

    Raises:
        CallerFault: when it is no http or https address; the words never repeat it, since what is
            wrong with it may be what is secret in it.
    """
    try:
        _check_plain(url)  # before it is split, which drops some of what it refuses
        parts = urlsplit(url)
        plain = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/") + "/"
        _place(plain)
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
    except (ValueError, ArgumentError):
        raise CallerFault(
            "the package index's address cannot be used",
            hint="for example https://packages.example.org/simple/",
        ) from None
    return Index(
        url=plain,
        user=user,
        password=password,
        certificates=certificates,
        folders=folders,
        private=private,
    )


def find_index(environ: Mapping[str, str], url: str | None = None) -> Index:
    """The index of this machine: `url`, `$OSTIARY_INDEX_URL`, uv's or pip's settings, or the public one.

    Of pip's files, those for the whole machine and for the user are read; of uv's, none: its
    settings are taken from the environment. Raises CallerFault as `read_index`.
    """
    pip = _pip_settings(environ)
    address = url or _first(environ, _ADDRESSES) or pip.get("index-url") or f"https://{PUBLIC}.org/simple/"
    certificates = _first(environ, _CERTIFICATES) or pip.get("cert", "")
    links = _first(environ, _FOLDERS) or pip.get("find-links", "")
    folders = tuple(part for part in links.replace(",", " ").split() if Path(part).is_dir())
    return read_index(address, certificates=certificates, folders=folders)


def _check_plain(url: str) -> None:
    if any(mark in url for mark in "?#") or not url.isascii() or not url.isprintable():
        raise ArgumentError("holds what no index has")


def _place(url: str) -> Place:
    parts = urlsplit(url)
    if parts.scheme not in _PORTS:
        raise ArgumentError("is neither http nor https")
    return read_place(parts.netloc.rpartition("@")[2], _PORTS[parts.scheme])


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((environ[name] for name in names if environ.get(name)), "")


def _pip_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """What pip's files say in `[global]`; later files win, as with pip."""
    home = Path(environ.get("HOME", "/nonexistent"))
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    files = [Path("/etc/pip.conf"), home / ".pip/pip.conf", config / "pip/pip.conf"]
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return {}
    parser = configparser.RawConfigParser()
    for path in [*files, *([Path(named)] if named else [])]:
        try:
            parser.read_string(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, configparser.Error):
            continue  # absent, unreadable or broken: pip complains of it, and we go by the rest
    return dict(parser.items("global")) if parser.has_section("global") else {}
