"""Every check that ends otherwise through the gate than without it, and why that is right."""

from __future__ import annotations

from collections.abc import Mapping

from tests.conformance.suite import Named

Expected = Mapping[str, Named]

WHITE_SPACE = {
    "http-header-validation/sep-2243-server-accepts-whitespace-header-value": Named(
        "failed -> passed",
        "the HTTP parser in front of the SDK leaves white space after a header value; the gate cuts it "
        "off, as RFC 9110 5.5 asks, and forwards the value without it",
    ),
}
TASK_HEADERS = {
    "tasks-request-headers/sep-2663-server-rejects-mismatched-mcp-name-on-tasks-get": Named(
        "failed -> passed",
        "the SDK compares Mcp-Name only for its own methods; the gate compares it with the task id too, "
        "because what stands in front of it may decide by the header",
    ),
}
REBINDING = {
    "dns-rebinding-protection/localhost-host-rebinding-rejected": Named(
        "failed -> passed",
        "the server takes any Host and Origin; the gate refuses foreign ones (421, 403) before it",
    ),
}

_NO_STREAM = (
    "a server on standard streams sends messages, not event streams: there is nothing to resume, "
    "and a plain answer comes as JSON"
)
NO_STREAM = {
    "server-sse-multiple-streams/server-sse-streams-functional": Named("passed -> not judged", _NO_STREAM),
    "server-sse-polling/server-sse-disconnect-resume": Named("passed -> not judged", _NO_STREAM),
    "server-sse-polling/server-sse-priming-event": Named("passed -> not judged", _NO_STREAM),
    "server-sse-polling/server-sse-retry-field": Named("passed -> not judged", _NO_STREAM),
}

_HEADERS = "the gate compares the headers of 2026-07-28 with the body whoever stands behind it"
_REMOVED = "the gate knows which methods 2026-07-28 no longer has, and forwards none of them"
LEGACY_SERVER = {
    "server-stateless/sep-2575-request-meta-invalid-missing-meta": Named("failed -> passed", _HEADERS),
    "server-stateless/sep-2575-request-meta-invalid-missing-protocol-version": Named(
        "failed -> passed", _HEADERS
    ),
    "server-stateless/sep-2575-http-server-header-mismatch-400": Named("failed -> passed", _HEADERS),
    "tasks-request-headers/tasks-headers-reject-mismatched-method": Named("failed -> passed", _HEADERS),
    **{
        f"server-stateless/sep-2575-http-server-method-not-found-404-{name}": Named(
            "failed -> passed", _REMOVED
        )
        for name in ("initialize", "ping", "logging-setlevel", "resources-subscribe", "resources-unsubscribe")
    },
    "tasks-dispatch-and-envelope/sep-2663-tasks-result-removed-method-not-found": Named(
        "failed -> passed", _REMOVED
    ),
    "tasks-dispatch-and-envelope/tasks-removed-tasks-list": Named("failed -> passed", _REMOVED),
    "tasks-dispatch-and-envelope/sep-2663-tasks-get-invalid-task-id-32602": Named(
        "failed -> passed",
        "the gate knows which tasks it has handed out, and asks no server about any other",
    ),
}

MODERN = {**WHITE_SPACE, **TASK_HEADERS}
EXPECTED: Mapping[tuple[str, str], Expected] = {
    ("fixture", "2025-11-25"): {},
    ("fixture", "2026-07-28"): MODERN,
    ("fixture, every tool by name", "2025-11-25"): {},
    ("fixture, every tool by name", "2026-07-28"): MODERN,
    ("fixture on standard streams", "2025-11-25"): NO_STREAM,
    ("fixture on standard streams", "2026-07-28"): MODERN,
    ("server-everything", "2025-11-25"): REBINDING,
    ("server-everything", "2026-07-28"): LEGACY_SERVER,
}
"""By what stands behind the gate and requirement set."""

EXPECTED_OF_CLIENTS: Mapping[str, Expected] = {"2025-11-25": {}, "2026-07-28": {}}
"""The same where the suite plays the server, by requirement set."""
