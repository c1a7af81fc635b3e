"""What `ps` and `images` answer, from what an engine says. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Final

from ostiary.errors import CallerFault
from ostiary.servers.core.content import ToolResult
from ostiary.servers.docker.exec_schemas import STATES
from ostiary.servers.docker.fitting import Data, fitting
from ostiary.servers.docker.human import ago, labels_without_secrets, moment, size
from ostiary.servers.docker.said import Said, label_texts, members, number, part, said, texts

NONE: Final = "<none>"
ID: Final = 12
_PROTOCOLS: Final = ("tcp", "udp", "sctp")


def containers_listed(
    found: Sequence[Said], now: float, *, sizes: bool = False, compact: bool = True
) -> ToolResult:
    """The answer of `ps`. `now` in seconds since 1970."""
    whole = [container(one, now, sizes=sizes) for one in found]

    def full() -> tuple[Data, str]:
        running = sum(one.get("state") == "running" for one in whole)
        lines = [f"{len(whole)} containers ({running} running, {len(whole) - running} stopped)"]
        return {"containers": whole}, "\n".join(lines + [_full_line(one) for one in whole])

    def small() -> tuple[Data, str]:
        rows = [
            {"id": one["id"][:ID], **{key: one[key] for key in ("name", "image", "status")}} for one in whole
        ]
        running = sum(one["status"].startswith("Up") for one in rows)
        lines = [f"{len(rows)} containers ({running} running)"]
        lines += [f"  {one['id']} {one['name']} ({one['image']}) {one['status']}" for one in rows]
        return {"containers": rows}, "\n".join(lines)

    return fitting((full, small), compact=compact)


def container(found: Said, now: float, *, sizes: bool = False) -> Data:
    """One container as `ps` shows it."""
    state = said(found, "State").lower()
    networks = sorted(part(part(found, "NetworkSettings"), "Networks"))
    labels = labels_without_secrets(label_texts(found))
    shown: Data = {
        "id": said(found, "Id"),
        "name": name_of(found),
        "image": said(found, "Image"),
        "status": said(found, "Status"),
    }
    shown |= {"state": state} if state in STATES else {}
    shown |= {
        "ports": _ports(members(found, "Ports")),
        "created": ago(number(found, "Created"), now),
    }
    shown |= ({"labels": labels} if labels else {}) | ({"networks": networks} if networks else {})
    if sizes:
        own, whole = (number(found, key) for key in ("SizeRw", "SizeRootFs"))
        shown["size"] = f"{size(own, 3)} (virtual {size(whole, 3)})"
    return shown


def name_of(found: Said) -> str:
    """The names of a container, without the slash that engines put before them."""
    return ",".join(name.removeprefix("/") for name in texts(found, "Names"))


def _ports(found: Sequence[Said]) -> list[Data]:
    """Each port once: engines name it for IPv4 and for IPv6."""
    ports: list[Data] = []
    for one in found:
        kind, public = said(one, "Type"), number(one, "PublicPort")
        port: Data = {"host": public} if public else {}
        port |= {"container": number(one, "PrivatePort"), "protocol": kind if kind in _PROTOCOLS else "tcp"}
        if port not in ports:
            ports.append(port)
    return ports


def _full_line(one: Data) -> str:
    shown = [
        f"{port['host']}->{port['container']}/{port['protocol']}"
        if "host" in port
        else f"{port['container']}/{port['protocol']}"
        for port in one["ports"]
    ]
    ports = f" [{', '.join(shown)}]" if shown else ""
    labels = f" labels={len(one['labels'])}" if "labels" in one else ""
    networks = f" nets={','.join(one['networks'])}" if "networks" in one else ""
    used = f" size={one['size']}" if "size" in one else ""
    return (
        f"  {one.get('state', 'unknown'):<10} {one['name']} ({one['image']}){ports}{labels}{networks}{used}"
    )


# --- filters of containers --------------------------------------------------------------------------


def matching(found: Sequence[Said], expression: str) -> list[Said]:
    """The containers that a filter `KEY=VALUE` lets through. Raises CallerFault for an unknown key."""
    key, _, value = expression.partition("=")
    test = _FILTERS.get(key)
    if test is None or not value:
        raise CallerFault(
            f"`filter` is KEY=VALUE, found `{expression[:80]}`", hint="keys are " + ", ".join(_FILTERS)
        )
    return [one for one in found if test(one, value)]


def _has_label(found: Said, value: str) -> bool:
    name, equals, wanted = value.partition("=")
    labels = label_texts(found)
    return name in labels and (not equals or labels[name] == wanted)


def _health(found: Said) -> str:
    """What the checks of a container say, as its status has it."""
    told = re.search(r"\((?:health: )?(healthy|unhealthy|starting)\)", said(found, "Status"))
    return told[1] if told else "none"


_FILTERS: Final[Mapping[str, Callable[[Said, str], bool]]] = {
    "id": lambda one, value: said(one, "Id").startswith(value),
    "name": lambda one, value: value.removeprefix("/") in name_of(one),
    "status": lambda one, value: said(one, "State").lower() == value.lower(),
    "label": _has_label,
    "network": lambda one, value: value in part(part(one, "NetworkSettings"), "Networks"),
    "ancestor": lambda one, value: value in (said(one, "Image"), said(one, "Image").partition(":")[0]),
    "health": lambda one, value: _health(one) == value.lower(),
}

# --- images -----------------------------------------------------------------------------------------


def images_listed(
    found: Sequence[Said],
    now: float,
    *,
    digests: bool = False,
    whole_ids: bool = False,
    compact: bool = True,
) -> ToolResult:
    """The answer of `images`."""
    rows = [_image(one, *tag, now, digests=digests, whole=whole_ids) for one in found for tag in tags_of(one)]

    def full() -> tuple[Data, str]:
        return {"images": rows}, _image_words([_image_line(one) for one in rows])

    def small() -> tuple[Data, str]:
        short = [{key: one[key] for key in ("id", "repository", "tag", "size")} for one in rows]
        return {"images": short}, _image_words([f"  {_named(one)} ({one['size']})" for one in short])

    return fitting((full, small), compact=compact)


def tags_of(found: Said) -> list[tuple[str, str]]:
    """Repository and tag of an image, once for each that it has."""
    tags = [tag for tag in texts(found, "RepoTags") if tag != f"{NONE}:{NONE}"]
    if tags:
        return [(tag.rpartition(":")[0], tag.rpartition(":")[2]) for tag in tags]
    digests = [one.partition("@")[0] for one in texts(found, "RepoDigests")]
    return [(digests[0] if digests and digests[0] != NONE else NONE, NONE)]


def _image(found: Said, repository: str, tag: str, now: float, *, digests: bool, whole: bool) -> Data:
    bytes_ = number(found, "Size")
    identity = said(found, "Id")
    created = number(found, "Created")
    labels = labels_without_secrets(label_texts(found))
    pairs = [one.partition("@") for one in texts(found, "RepoDigests")]
    digest = next((digest for name, _, digest in pairs if name == repository and digest != NONE), "")
    shown: Data = {
        "id": identity if whole else identity.removeprefix("sha256:")[:ID],
        "repository": repository,
        "tag": tag,
        "size": size(bytes_, 3),
        "sizeBytes": bytes_,
    }
    shown |= {"digest": digest} if digests and digest else {}
    shown |= {"created": ago(created, now), "createdAt": moment(created)}
    return shown | ({"labels": labels} if labels else {})


def _named(one: Data) -> str:
    return one["repository"] + (f":{one['tag']}" if one["tag"] != NONE else "")


def _image_line(one: Data) -> str:
    digest = f" [{one['digest'][:19]}...]" if "digest" in one else ""
    labels = f" labels={len(one['labels'])}" if "labels" in one else ""
    return f"  {_named(one)} ({one['size']} ~{one['sizeBytes']}B) ({one['createdAt']}){digest}{labels}"


def _image_words(lines: list[str]) -> str:
    return "\n".join([f"{len(lines)} images:", *lines]) if lines else "No images found."


def images_matching(found: Sequence[Said], reference: str | None, expression: str | None) -> list[Said]:
    """The images, and of each the tags, that a reference and a filter let through. Raises CallerFault."""
    kept = list(found)
    if expression:
        kept = _image_filter(kept, expression)
    return _referred(kept, reference) if reference else kept


def _image_filter(found: list[Said], expression: str) -> list[Said]:
    key, _, value = expression.partition("=")
    match key if value else "":
        case "dangling" if value in {"true", "false"}:
            return [one for one in found if (tags_of(one)[0][1] == NONE) is (value == "true")]
        case "reference":
            return _referred(found, value)
        case "label":
            return [one for one in found if _has_label(one, value)]
        case "before" | "since":
            return _made(found, key, value)
        case _:
            raise CallerFault(
                f"`filterExpr` is KEY=VALUE, found `{expression[:80]}`",
                hint="keys are dangling (true or false), reference, label, before, since",
            )


def _made(found: list[Said], key: str, reference: str) -> list[Said]:
    that = next((one for one in found if _is_image(one, reference)), None)
    if that is None:
        raise CallerFault(f"No such image: {reference[:200]}")
    mark = number(that, "Created")
    times = [(one, number(one, "Created")) for one in found]
    return [one for one, made in times if (made < mark if key == "before" else made > mark)]


def _is_image(found: Said, reference: str) -> bool:
    names = {f"{repository}:{tag}" for repository, tag in tags_of(found)}
    identity = said(found, "Id").removeprefix("sha256:")
    return bool({reference, f"{reference}:latest"} & names) or identity.startswith(
        reference.removeprefix("sha256:")
    )


def _referred(found: list[Said], reference: str) -> list[Said]:
    kept: list[Said] = []
    for one in found:
        tags = [
            f"{repository}:{tag}"
            for repository, tag in tags_of(one)
            if tag != NONE and (_fits(repository, reference) or _fits(f"{repository}:{tag}", reference))
        ]
        if tags:
            kept.append({**one, "RepoTags": tags})
    return kept


def _fits(name: str, pattern: str) -> bool:
    """Whether a pattern describes a name; `*` and `?` never mean a slash."""
    names, patterns = name.split("/"), pattern.split("/")
    return len(names) == len(patterns) and all(map(fnmatchcase, names, patterns))
