"""Which values of a configuration are secrets that stand in it in clear text. Only keys are ever named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import log2
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from ostiary.scan.scanned import Target

_NAMES: Final = re.compile(
    r"(?:^|[^a-z])(?:auth(?:orization)?|cookie|credentials?|dsn|jwt|key|pass(?:wd|word|phrase|code)?|pat|pwd"
    r"|secrets?|signature|tokens?|webhook)(?:$|[^a-z])"
)
_WORDS: Final = re.compile(
    r"(?:api|access|private|secret|signing|app|service|account|master|session)key|apitoken"
)
_PREFIXES: Final = re.compile(
    r"(?:^|[=:\s])(?:sk-|sk_|pk_live|rk_live|ghp_|gho_|ghu_|ghs_|github_pat_|glpat-|npm_|pypi-|xox[abeoprs]-|xapp-"
    r"|AKIA|ASIA|AIza|ya29\.|eyJ[A-Za-z0-9_-]{8,}\.|hf_|dop_v1_|SG\.|shpat_|ntn_|lin_api_|figd_|ost_)[A-Za-z0-9]?"
)
_WHOLE_PLACEHOLDER: Final = re.compile(r"(?:[A-Za-z]+ )?(?:\$\{[^{}]*\}|\$[A-Za-z_][A-Za-z0-9_]*)")
_DEFAULT: Final = re.compile(r"(?:[A-Za-z]+ )?\$\{[^{}]*?:-([^{}]*)\}")
_LONG: Final = re.compile(r"[A-Za-z0-9+=]{20,}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}|@[0-9a-f]{40}\b")
"""What says exactly which version is meant, and is as long as a key."""
_OPTION: Final = re.compile(r"--?([A-Za-z][A-Za-z0-9_.-]*)(?:=(.*))?", re.DOTALL)
_VARIABLE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_BITS: Final = 3.5
"""Bits a character, above which a long word is taken for a key and not for a name."""


def clear_secrets(target: Target) -> tuple[str, ...]:
    """Where secrets stand in clear text, as `env.API_KEY`, `headers.Authorization`, `args[3]`, `url`."""
    found = [f"env.{key}" for key, value in target.environment.items() if is_secret(key, value)]
    found += [f"headers.{key}" for key, value in target.headers if is_secret(key, value)]
    found += [f"args[{at}]" for at in _arguments(target.command[1:])]
    if secret_in_url(target.url):
        found.append("url")
    return tuple(dict.fromkeys(found))


def is_secret(name: str, value: str) -> bool:
    """Whether a value is taken for a secret: by its name, else by its look. A placeholder is none."""
    value = value.strip()
    default = _DEFAULT.fullmatch(value)
    value = default[1] if default else value
    if not value or _WHOLE_PLACEHOLDER.fullmatch(value) or value.lower() in {"true", "false"}:
        return False
    return names_secret(name) or looks_secret(value)


def names_secret(name: str) -> bool:
    """Whether a name is one that secrets have: `API_KEY`, `githubToken`, but not `KEYBOARD`."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()
    return bool(_NAMES.search(spaced) or _WORDS.search(spaced.replace("_", "").replace("-", "")))


def looks_secret(value: str) -> bool:
    """Whether a text has the look of a credential: a known beginning, or a long word without order."""
    value = _DIGEST.sub("", value)
    if _PREFIXES.search(value) or secret_in_url(value):
        return True
    return any(_bits(word) > _BITS and _is_mixed(word) for word in _LONG.findall(value))


def secret_in_url(url: str) -> bool:
    """Whether an address holds a password, a parameter that is a secret, or a long word without order."""
    if "://" not in url:
        return False
    try:
        parts = urlsplit(url)
        if parts.password or (parts.username and "@" in parts.netloc):
            return True
    except ValueError:
        return True
    pairs = [*parse_qsl(parts.query, keep_blank_values=True), *parse_qsl(parts.fragment)]
    if any(names_secret(key) or (_PREFIXES.search(value) is not None) for key, value in pairs):
        return True
    return any(
        _bits(word) > _BITS and _is_mixed(word)
        for text in (_DIGEST.sub("", parts.path), *(value for _, value in pairs))
        for word in re.split(r"[/._-]", text)
        if len(word) >= 20  # noqa: PLR2004 - shorter words are names
    )


def _arguments(words: tuple[str, ...]) -> Iterator[int]:
    """Which arguments hold a secret: `--token X`, `--token=X`, `TOKEN=X` as docker takes it, or by look."""
    awaited = False
    for at, word in enumerate(words):
        option, variable = _OPTION.fullmatch(word), _VARIABLE.fullmatch(word)
        if option is not None:
            name, value = option[1], option[2]
            awaited = value is None and names_secret(name)
            if value is not None and is_secret(name, value):
                yield at
            continue
        name, value = ("token" if awaited else "", word) if variable is None else variable.groups()
        if is_secret(name, value):
            yield at
        awaited = False


def _is_mixed(word: str) -> bool:
    return any(char.isdigit() for char in word) and any(char.isalpha() for char in word)


def _bits(word: str) -> float:
    counts = [word.count(char) for char in set(word)]
    return -sum(count / len(word) * log2(count / len(word)) for count in counts)
