"""The fixed lists of requests, one for each server, and the names of what varies in the answers."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

Json = Any
Ask = tuple[str, dict[str, Json]]


def call(tool: str, **arguments: Json) -> Ask:
    return ("tools/call", {"name": tool, "arguments": arguments})


EVERYTHING: list[Ask] = [
    ("ping", {}),
    ("tools/list", {}),
    call("echo", message="hello"),
    call("echo", message='"quoted" \\ línea 漢字 🧭 \u2028 \x01'),
    call("echo"),
    call("no-such-tool"),
    call("get-sum", a=2, b=0.5),
    call("get-sum", a="two", b=1),
    call("get-tiny-image"),
    call("get-structured-content", location="Chicago"),
    call("get-annotated-message", messageType="error", includeImage=True),
    call("get-resource-links", count=3),
    call("get-resource-reference", resourceType="Text", resourceId=1),
    call("get-env"),
    call("get-roots-list"),
    # Reports so far apart that no busy machine brings two of them together with the answer: see `steady`.
    call("trigger-long-running-operation", duration=1.2, steps=3),
    call("trigger-sampling-request", prompt="a poem", maxTokens=5),
    call("trigger-elicitation-request"),
    call("gzip-file-as-resource", name="a.gz", data="data:text/plain;base64,aGVsbG8=", outputType="resource"),
    ("resources/list", {}),
    ("resources/templates/list", {}),
    ("resources/read", {"uri": "demo://resource/static/document/features.md"}),
    ("resources/read", {"uri": "demo://resource/dynamic/text/7"}),
    ("resources/read", {"uri": "demo://resource/dynamic/blob/7"}),
    ("resources/read", {"uri": "demo://resource/unknown"}),
    ("resources/subscribe", {"uri": "demo://resource/dynamic/text/1"}),
    ("resources/unsubscribe", {"uri": "demo://resource/dynamic/text/1"}),
    ("prompts/list", {}),
    ("prompts/get", {"name": "simple-prompt"}),
    ("prompts/get", {"name": "args-prompt", "arguments": {"city": "Lisbon", "state": "LX"}}),
    ("prompts/get", {"name": "args-prompt", "arguments": {}}),
    ("prompts/get", {"name": "no-such-prompt"}),
    (
        "completion/complete",
        {
            "ref": {"type": "ref/prompt", "name": "completable-prompt"},
            "argument": {"name": "department", "value": "E"},
        },
    ),
    (
        "completion/complete",
        {
            "ref": {"type": "ref/resource", "uri": "demo://resource/dynamic/text/{resourceId}"},
            "argument": {"name": "resourceId", "value": "1"},
        },
    ),
    ("logging/setLevel", {"level": "error"}),
    ("logging/setLevel", {"level": "debug"}),
]

TIME: list[Ask] = [
    ("tools/list", {}),
    call("convert_time", source_timezone="Europe/Lisbon", time="12:30", target_timezone="Asia/Kathmandu"),
    call("convert_time", source_timezone="Mars/Olympus", time="12:30", target_timezone="UTC"),
    call("convert_time", source_timezone="UTC"),
    call("get_current_time", timezone="UTC"),
    call("no_such_tool"),
    ("resources/list", {}),
    ("prompts/list", {}),
]

MEMORY: list[Ask] = [
    ("tools/list", {}),
    call(
        "create_entities",
        entities=[
            {"name": "Ada", "entityType": "person", "observations": ["wrote programs"]},
            {"name": "Engine", "entityType": "machine", "observations": []},
        ],
    ),
    call("create_relations", relations=[{"from": "Ada", "to": "Engine", "relationType": "programmed"}]),
    call(
        "add_observations", observations=[{"entityName": "Ada", "contents": ["wrote programs", "née Byron"]}]
    ),
    call("add_observations", observations=[{"entityName": "Nobody", "contents": ["x"]}]),
    call("read_graph"),
    call("search_nodes", query="person"),
    call("open_nodes", names=["Engine", "Nobody"]),
    call("delete_relations", relations=[{"from": "Ada", "to": "Engine", "relationType": "programmed"}]),
    call("delete_entities", entityNames="not a list"),
    call("delete_entities", entityNames=["Ada", "Engine"]),
    call("read_graph"),
]


def filesystem(folder: Path) -> list[Ask]:
    """Requests to a filesystem server that may see `folder`, prepared by `prepare_files`."""
    text, image = str(folder / "a.txt"), str(folder / "dot.png")
    return [
        ("tools/list", {}),
        call("list_allowed_directories"),
        call("read_text_file", path=text),
        call("read_text_file", path=text, head=1),
        call("read_text_file", path=text, head=1, tail=1),
        call("read_text_file", path=str(folder / "missing.txt")),
        call("read_text_file", path="/etc/passwd"),
        call("read_media_file", path=image),
        call("read_multiple_files", paths=[text, str(folder / "missing.txt")]),
        call("write_file", path=str(folder / "b.txt"), content="ünïcode\r\n\ttab\n"),
        call("edit_file", path=text, edits=[{"oldText": "two", "newText": "2"}]),
        call("create_directory", path=str(folder / "made/deep")),
        call("move_file", source=str(folder / "b.txt"), destination=str(folder / "made/c.txt")),
        call("list_directory", path=str(folder)),
        call("list_directory_with_sizes", path=str(folder), sortBy="size"),
        call("directory_tree", path=str(folder)),
        call("search_files", path=str(folder), pattern="**/*.txt"),
        call("get_file_info", path=text),
    ]


def git(repository: Path) -> list[Ask]:
    """Requests to a git server about `repository`, made by `world.make_repository`."""
    path = str(repository)
    return [
        ("tools/list", {}),
        call("git_status", repo_path=path),
        call("git_diff_unstaged", repo_path=path),
        call("git_diff_staged", repo_path=path, context_lines=1),
        call("git_diff", repo_path=path, target="HEAD~1"),
        call("git_diff", repo_path=path, target="no-such-branch"),
        call("git_log", repo_path=path, max_count=2),
        call("git_show", repo_path=path, revision="HEAD"),
        call("git_branch", repo_path=path, branch_type="local"),
        call("git_status", repo_path="/nowhere"),
        call("git_log", repo_path=path, max_count="many"),
    ]


def fetch(url: str) -> list[Ask]:
    """Requests to a fetch server; `url` is a page on loopback."""
    return [
        ("tools/list", {}),
        ("prompts/list", {}),
        call("fetch", url=url),
        call("fetch", url=url, raw=True, max_length=20),
        call("fetch", url=url, raw=True, start_index=100_000),
        call("fetch", url=url + "/missing"),
        call("fetch", url="http://127.0.0.1:1/"),
        call("fetch", url="not a url"),
        ("prompts/get", {"name": "fetch", "arguments": {"url": url}}),
        ("prompts/get", {"name": "no-such-prompt"}),
    ]


MODERN: list[Ask] = [
    ("tools/list", {}),
    call("add", numbers=[1, 2, 3]),
    call("add", numbers=["x"]),
    call("fail", why="because"),
    call("picture"),
    call("count", to=3),
    call("ask"),
    call("no_such_tool"),
    ("resources/list", {}),
    ("resources/templates/list", {}),
    ("resources/read", {"uri": "demo://one"}),
    ("resources/read", {"uri": "demo://item/7"}),
    ("resources/read", {"uri": "demo://missing"}),
    ("prompts/list", {}),
    ("prompts/get", {"name": "greet", "arguments": {"name": "Ada"}}),
    ("prompts/get", {"name": "greet"}),
]

# --- what varies by itself ------------------------------------------------------------------------

CLOCK = re.compile(r" created at \d{1,2}:\d\d:\d\d [AP]M")
"""server-everything writes the time of day into its dynamic resources."""

NOW = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")
"""The time server's `get_current_time` says what time it is, in its text and in `datetime`."""

TOUCHED = re.compile(r"(created|accessed|modified): [^\n]*")
"""`get_file_info` tells when the file was made, which differs from run to run."""

SESSION = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
"""server-everything names its HTTP session in messages for the log."""

PROCESS = ("_", "SHLVL", "PWD", "OLDPWD", "PORT")
"""Variables that a shell or the start of a process sets; `get-env` prints them all."""


def steady(answer: Json) -> Json:
    """An answer without what varies by itself: each of the rules above, and the last progress.

    server-everything reports its last step and answers at once; the TypeScript clients drop a
    report that they read together with the answer, with or without a gate.
    """
    answer = _walk(answer, _steady_text)
    if answer.get("progress"):
        answer["progress"] = [step for step in answer["progress"] if step[0] != step[1]]
    return answer


def _steady_text(key: str, text: str) -> str:
    if key == "blob":
        decoded = base64.b64decode(text)
        return CLOCK.sub(" created at TIME", decoded.decode()) if b" created at " in decoded else text
    if text.startswith("{") and '"PATH"' in text:
        variables = json.loads(text)
        return json.dumps({name: value for name, value in sorted(variables.items()) if name not in PROCESS})
    for pattern, instead in (
        (CLOCK, " created at TIME"),
        (NOW, "NOW"),
        (TOUCHED, r"\1: THEN"),
        (SESSION, "SESSION"),
    ):
        text = pattern.sub(instead, text)
    return text


def _walk(value: Json, edit: Callable[[str, str], str], key: str = "") -> Json:
    if isinstance(value, dict):
        return {name: _walk(item, edit, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_walk(item, edit, key) for item in value]
    return edit(key, value) if isinstance(value, str) else value
