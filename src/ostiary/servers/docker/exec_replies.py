"""From the record of a run to what `exec` answers: its texts and its fields. Pure."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import msgspec

from ostiary.sandbox.record import RunRecord
from ostiary.servers.core.content import Block, ToolResult, link, text
from ostiary.servers.docker.arguments import ExecAsked
from ostiary.servers.runs import RUN_META, ran

COMPACT: Final = 8_192
"""Characters that a reply shows of a stream, or holds in all, where `compact` is not false."""

WHOLE: Final = 65_536
"""Characters that a reply shows of a stream at most."""

MAX_JSON: Final = 262_144
"""Characters of JSON that a reply holds as data."""

TIMED_OUT: Final = 124
KILLED: Final = 137
CANCELLED: Final = 130

_ANSI: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # CSI: colours, movements
    r"|\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC: titles, links
    r"|[PX^_][^\x1b]*(?:\x1b\\)?"  # strings for devices
    r"|[ -/]*[0-~])"
)


class Shortened(NamedTuple):
    """A text as a reply shows it."""

    text: str
    cut: bool


def executed(record: RunRecord, asked: ExecAsked) -> ToolResult:
    """The answer of `exec`. Only a run that the engine could not begin is an error of the tool."""
    data = _data(record, asked)
    content: list[Block] = [text(_words(data))]
    content += [text(note) for note in record.notes]
    for name in ("stdout", "stderr"):
        stream = record.stdout if name == "stdout" else record.stderr
        if data.get("isTruncated") and data[name] != plain(stream.whole):
            content.append(
                link(f"run://{record.run_id}/{name}", f"all of {name}", mime="text/plain", size=stream.size)
            )
    return ToolResult(content, data, is_error=engine_failed(record), meta={RUN_META: ran(record)})


def exit_code(record: RunRecord) -> int:
    """The exit code as a shell and the engine's own client have it."""
    if record.status == "timeout":
        return TIMED_OUT
    if record.exit_code is not None:
        return record.exit_code
    if record.signal is not None:
        return 128 + record.signal
    if engine_failed(record) or _began_nowhere(record):
        return 1
    return {"success": 0, "error": 1, "cancelled": CANCELLED}.get(record.status, KILLED)


def engine_failed(record: RunRecord) -> bool:
    """Whether the engine failed, and not what it was to run."""
    return record.error is not None and record.error.type == "EngineFault"


def _began_nowhere(record: RunRecord) -> bool:
    """Whether the container was gone, stopped or without Python when the run was to begin."""
    kinds = {"UnknownContainer", "NotRunning", "NoPython", "CallerFault"}
    return record.error is not None and record.error.type in kinds


def errors(record: RunRecord) -> str:
    """What was written to standard error, and below it why the run ended if it did not by itself."""
    written = plain(record.stderr.whole)
    if record.error is None or record.error.category not in {"limit", "worker"} or record.status == "timeout":
        return written
    return (written.rstrip("\n") + "\n" if written else "") + record.error.message + "\n"


def plain(written: str) -> str:
    """A text without the sequences that colour terminals."""
    return _ANSI.sub("", written) if "\x1b" in written else written


def shortened(whole: str, limit: int | None, *, compact: bool) -> Shortened:
    """A stream as it is shown: its first `limit` characters, or else its beginning and its end."""
    if limit is not None and len(whole) > limit:
        return Shortened(_around(whole[:limit], WHOLE), cut=True)
    most = COMPACT if compact and limit is None else WHOLE
    return Shortened(_around(whole, most), cut=len(whole) > most)


def _around(whole: str, most: int) -> str:
    if len(whole) <= most:
        return whole
    half = most // 2
    return f"{whole[:half]}\n... ({len(whole) - 2 * half} characters omitted) ...\n{whole[-half:]}"


def _data(record: RunRecord, asked: ExecAsked) -> dict[str, Any]:
    whole = plain(record.stdout.whole)
    out = shortened(whole, asked.limit, compact=asked.compact)
    err = shortened(errors(record), asked.limit, compact=asked.compact)
    data: dict[str, Any] = {"exitCode": exit_code(record), "stdout": out.text, "stderr": err.text}
    if out.cut or err.cut or _flooded(record):
        data["isTruncated"] = True
    if record.status == "timeout":
        data["timedOut"] = True
    return data | (_parsed(whole) if asked.parse_json else {})


def _flooded(record: RunRecord) -> bool:
    return record.error is not None and record.error.type == "OutputLimit"


def _parsed(whole: str) -> dict[str, Any]:
    """The JSON that was printed, which is read before anything is cut off."""
    found = whole.strip()
    if len(found) > MAX_JSON:
        return {"parseJsonError": f"{len(found)} characters are more than a reply holds as JSON ({MAX_JSON})"}
    try:
        return {"json": msgspec.json.decode(found)}
    except msgspec.MsgspecError as error:
        return {"parseJsonError": str(error)}
    except RecursionError:
        return {"parseJsonError": "the JSON is nested too deeply"}


def _words(data: dict[str, Any]) -> str:
    code = data["exitCode"]
    how = "timed out" if data.get("timedOut") else "succeeded" if not code else f"failed (exit code {code})"
    lines = [f"Exec {how}{' [truncated]' if data.get('isTruncated') else ''}"]
    if data["stdout"]:
        lines.append(data["stdout"])
    if data["stderr"]:
        lines.append(f"stderr: {data['stderr']}")
    if "json" in data:
        lines.append(f"json: {msgspec.json.encode(data['json']).decode()}")
    if "parseJsonError" in data:
        lines.append(f"json-parse-error: {data['parseJsonError']}")
    return "\n".join(lines)


def refused(message: str) -> ToolResult:
    """The answer where the engine would not begin: as its client says so, with exit code 1."""
    data: dict[str, Any] = {"exitCode": 1, "stdout": "", "stderr": message}
    return ToolResult((text(_words(data)),), data)
