"""What `inspect` answers, from what an engine says of one thing. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ostiary.servers.core.content import ToolResult
from ostiary.servers.docker.fitting import Data, fitting
from ostiary.servers.docker.human import labels_without_secrets, without_secrets, words_without_secrets
from ostiary.servers.docker.listing import ID
from ostiary.servers.docker.said import Said, label_texts, members, part, said, texts

_NEVER: Final = "0001-01-01T00:00:00Z"
_HEALTH: Final = ("healthy", "unhealthy", "starting", "none")
_MEGABYTE: Final = 1 << 20


def kind_of(found: Said) -> str:
    """What sort of thing the engine described."""
    if "State" in found or "HostConfig" in found:
        return "container"
    if "Mountpoint" in found:
        return "volume"
    if "IPAM" in found or "EnableIPv6" in found:
        return "network"
    return "image"


def inspected(targets: Sequence[str], found: Sequence[Said], *, compact: bool = True) -> ToolResult:
    """The answer about the first of several, which names the others."""
    things = [thing(one) for one in found]
    related = [
        {"target": target, **{key: one[key] for key in ("id", "name", "inspectType")}}
        for target, one in zip(targets, things, strict=True)
    ]
    more: Data = {"relatedTargets": related} if len(related) > 1 else {}

    def full() -> tuple[Data, str]:
        data = things[0] | more
        lines = _LINES[data["inspectType"]](data)
        return data, "\n".join([*lines, *([f"  Related targets: {len(related)}"] if more else [])])

    def small() -> tuple[Data, str]:
        data = _small(things[0]) | more
        return data, _small_words(data)

    return fitting((full, small), compact=compact)


def thing(found: Said) -> Data:
    """One container, image, volume or network."""
    match kind_of(found):
        case "container":
            return _container(found)
        case "image":
            return _image(found)
        case kind:
            return _plain(found, kind)


def _present(**members: Any) -> Data:
    """Those that say something."""
    return {key: value for key, value in members.items() if value not in (None, "", [], {})}


def _container(found: Said) -> Data:
    state, config = part(found, "State"), part(found, "Config")
    started = said(state, "StartedAt")
    health = said(part(state, "Health"), "Status").lower()
    return {
        "id": said(found, "Id")[:ID],
        "name": said(found, "Name").removeprefix("/"),
        "inspectType": "container",
        "state": {
            "status": (said(state, "Status") or "unknown").lower(),
            "running": bool(state.get("Running")),
        }
        | ({"startedAt": started} if started and started != _NEVER else {}),
        "image": said(config, "Image") or said(found, "ImageName") or said(found, "Image"),
    } | _present(
        platform=found.get("Platform"),
        created=found.get("Created"),
        healthStatus=health if health in _HEALTH else None,
        env=without_secrets(texts(config, "Env")),
        restartPolicy=part(part(found, "HostConfig"), "RestartPolicy").get("Name"),
        size=found.get("SizeRootFs"),
        cmd=_words(config, "Cmd"),
        entrypoint=_words(config, "Entrypoint"),
        networkSettings=_network(part(found, "NetworkSettings")),
        mounts=[_mount(one) for one in members(found, "Mounts")],
        labels=labels_without_secrets(label_texts(config)),
    )


def _words(found: Said, name: str) -> list[str]:
    """A command line of an engine: a list, or with some a string."""
    return words_without_secrets(texts(found, name) or [word for word in (said(found, name),) if word])


def _network(found: Said) -> Data | None:
    networks = part(found, "Networks")
    addresses = [said(found, "IPAddress"), *(said(part(networks, name), "IPAddress") for name in networks)]
    bound = part(found, "Ports")
    ports = {
        name: None
        if bound[name] is None
        else [
            _present(hostIp=one.get("HostIp"), hostPort=one.get("HostPort")) for one in members(bound, name)
        ]
        for name in bound
    }
    address = next((one for one in addresses if one), "")
    if not address and not ports:
        return None
    return {"ipAddress": address, **({"ports": ports} if ports else {})}


def _mount(found: Said) -> Data:
    where = {"source": said(found, "Source"), "destination": said(found, "Destination")}
    return where | _present(mode=found.get("Mode"))


def _image(found: Said) -> Data:
    config = part(found, "Config")
    tags = texts(found, "RepoTags")
    short = said(found, "Id").removeprefix("sha256:")[:ID]
    name = tags[0] if tags else short
    system = "/".join(str(found[key]) for key in ("Os", "Architecture") if found.get(key))
    return {"id": short, "name": name, "inspectType": "image", "image": name} | _present(
        platform=system,
        created=found.get("Created"),
        repoTags=tags,
        repoDigests=texts(found, "RepoDigests"),
        size=found.get("Size"),
        env=without_secrets(texts(config, "Env")),
        cmd=_words(config, "Cmd"),
        entrypoint=_words(config, "Entrypoint"),
        labels=labels_without_secrets(label_texts(config)),
    )


def _plain(found: Said, kind: str) -> Data:
    name = said(found, "Name")
    identity = {"id": str(found.get("Id") or name)[:ID], "name": name, "inspectType": kind, "image": ""}
    return identity | _present(
        driver=found.get("Driver"),
        scope=found.get("Scope"),
        mountpoint=found.get("Mountpoint"),
        labels=labels_without_secrets(label_texts(found)),
        created=found.get("Created") or found.get("CreatedAt"),
    )


# --- words ------------------------------------------------------------------------------------------


def _told(**members: object) -> list[str]:
    return [f"  {name}: {value}" for name, value in members.items() if value not in (None, "", 0)]


def _container_lines(data: Data) -> list[str]:
    state = data["state"]
    lines = [
        f"{data['name']} ({data['id']})",
        f"  Image: {data['image']}",
        f"  State: {state['status']} (running: {str(state['running']).lower()})",
    ]
    lines += _told(
        Started=state.get("startedAt"),
        Health=data.get("healthStatus"),
        Restart=data.get("restartPolicy"),
        Platform=data.get("platform"),
        Created=data.get("created"),
    )
    lines += [f"  Env: {len(data['env'])} variables"] if "env" in data else []
    lines += [f"  Network: IP={data['networkSettings']['ipAddress']}"] if "networkSettings" in data else []
    if "mounts" in data:
        lines.append(f"  Mounts: {len(data['mounts'])} mount(s)")
        lines += [f"    {one['source']} → {one['destination']}{_mode(one)}" for one in data["mounts"]]
    return lines


def _mode(mount: Data) -> str:
    return f" [{mount['mode']}]" if "mode" in mount else ""


def _image_lines(data: Data) -> list[str]:
    digests = ", ".join(f"{one[:40]}..." for one in data.get("repoDigests", []))
    size = f"{data['size'] / _MEGABYTE:.1f} MB" if "size" in data else None
    variables = f"{len(data['env'])} variables" if "env" in data else None
    return [
        f"Image: {data['name']} ({data['id']})",
        *_told(
            Tags=", ".join(data.get("repoTags", [])),
            Digests=digests,
            Size=size,
            Platform=data.get("platform"),
            Created=data.get("created"),
            Entrypoint=" ".join(data.get("entrypoint", [])),
            Cmd=" ".join(data.get("cmd", [])),
            Env=variables,
        ),
    ]


def _plain_lines(data: Data) -> list[str]:
    return [
        f"{data['inspectType'].capitalize()}: {data['name']} ({data['id']})",
        *_told(
            Driver=data.get("driver"),
            Scope=data.get("scope"),
            Mountpoint=data.get("mountpoint"),
            Created=data.get("created"),
            Labels=len(data.get("labels", {})),
        ),
    ]


_LINES: Final = {
    "container": _container_lines,
    "image": _image_lines,
    "volume": _plain_lines,
    "network": _plain_lines,
}


def _small(data: Data) -> Data:
    state = data.get("state", {"status": "n/a", "running": False})
    kept = {key: data[key] for key in ("id", "name", "inspectType", "image")}
    kept |= {"status": state["status"], "running": state["running"]}
    return kept | {key: data[key] for key in ("healthStatus", "repoTags") if key in data}


def _small_words(data: Data) -> str:
    if data["inspectType"] != "container":
        tags = f" tags={','.join(data['repoTags'])}" if "repoTags" in data else ""
        return f"{data['inspectType'].capitalize()} {data['name']} ({data['id']}){tags}"
    health = f" health={data['healthStatus']}" if "healthStatus" in data else ""
    how = "running" if data["running"] else "stopped"
    return f"{data['name']} ({data['id']}) {data['status']} [{how}] image={data['image']}{health}"
