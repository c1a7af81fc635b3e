"""Telling somebody else of approvals, with receivers that listen, fail, hang, redirect or are gone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC

from ostiary.approvals.request import Request, Resolution, Standing
from ostiary.errors import CallerFault
from ostiary.proxy.approvals import webhook as module
from ostiary.proxy.approvals.webhook import MAX_QUEUED, Patience, Webhook
from ostiary.proxy.http.client import HttpUpstream
from ostiary.proxy.tls import upstream_context
from ostiary.settings import ProxyOptions
from ostiary.wiring.webhook import prepare_hook
from tests.e2e import world
from tests.proxy.certificates import Authority
from tests.proxy.http_world import LOOPS, Upstream, until, within

SECRET = b"0123456789abcdef0123456789abcdef"
NOW = 1_795_206_400_123_456
OK = b"HTTP/1.1 204 No Content\r\n\r\n"
BUSY = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 4\r\n\r\nbusy"
SOON = Patience(one_try=3, waits=(0.01, 0.01, 0.01))

REQUEST = Request(
    id="apr_01M7X62JTM000001JPS6XGRF5Q", grant="local", principal="grant:local", server="files",
    tool="delete_file", definition="d" * 64, revision="sha256:" + "ab" * 32, digest="hidden-digest",
    asked=NOW, expires=NOW + 1_800_000_000, rules=("/tools/delete_file/approve_if/0",),
    reasons=("deletes for good",), approvers=(("user:ana@example.org", "user:ben@example.org"),),
    message="look twice", args_keys=("path",), evaluation="ev_01M7X62JTM000001JPS6XGRF5Q",
)  # fmt: skip
ANA = Resolution(approver="user:ana@example.org", verdict="approve", note="fine", at=NOW, signature=b"s" * 64)

STANDINGS = {
    "requested": Standing(request=REQUEST),
    "approved": Standing(request=REQUEST, state="approved", note="fine", resolutions=(ANA,)),
    "denied": Standing(request=REQUEST, state="denied", ended=NOW, note="no"),
    "expired": Standing(request=REQUEST, state="expired", ended=NOW),
    "cancelled": Standing(request=REQUEST, state="cancelled", ended=NOW, note="the policy has changed"),
    "consumed": Standing(request=REQUEST, state="consumed", ended=NOW, resolutions=(ANA,)),
}

Answer = Callable[[Upstream, asyncio.StreamReader, asyncio.StreamWriter], Any]


class Told:
    """A webhook, its receiver, and what was given up."""

    def __init__(self, receiver: Upstream, client: HttpUpstream, patience: Patience) -> None:
        self.receiver = receiver
        self.name = client.name
        self.given_up: list[tuple[str, str]] = []
        self.minted = 0
        self.hook = Webhook(
            client, SECRET, clock=lambda: NOW, mint=self._mint, patience=patience,
            given_up=lambda approval, problem: self.given_up.append((approval, problem)),
        )  # fmt: skip

    def _mint(self) -> str:
        self.minted += 1
        return f"ev_{self.minted:026}"

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(request.split(b"\r\n\r\n", 1)[1]) for request in self.receiver.requests]


@contextlib.asynccontextmanager
async def told(answer: Answer, patience: Patience = SOON, **more: Any) -> AsyncGenerator[Told, None]:
    """A webhook whose receiver follows `answer` on each connection. `tls` is the receiver's, `trust` ours."""
    receiver: Upstream

    async def follow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer(receiver, reader, writer)

    receiver = Upstream(follow)
    server = await asyncio.start_server(receiver, "127.0.0.1", 0, ssl=more.get("tls"))
    scheme, port = "https" if "tls" in more else "http", server.sockets[0].getsockname()[1]
    client = HttpUpstream(f"{scheme}://127.0.0.1:{port}/hooks?of=us", ssl_context=more.get("trust"))
    made = Told(receiver, client, patience)
    try:
        yield made
    finally:
        await made.hook.close()
        server.close()


async def accept(receiver: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await receiver.request(reader)
    writer.write(OK)
    await writer.drain()


def answering(*answers: bytes) -> Answer:
    """Each request gets the next answer; the last one is for all that follow."""
    left = list(answers)

    async def script(receiver: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receiver.request(reader)
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        await writer.drain()

    return script


async def hang(receiver: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await receiver.request(reader)
    await reader.read()


def headers_of(request: bytes) -> dict[str, str]:
    lines = request.split(b"\r\n\r\n", 1)[0].decode().split("\r\n")[1:]
    return {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}


def check_signature(secret: bytes, header: str, body: bytes) -> int:
    """By other code than the gate's: the time of a good signature; raises InvalidSignature."""
    found = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", header)
    assert found is not None, header
    mac = HMAC(secret, hashes.SHA256())
    mac.update(found[1].encode() + b"." + body)
    mac.verify(bytes.fromhex(found[2]))  # in constant time
    return int(found[1])


@LOOPS
@pytest.mark.parametrize("event", STANDINGS)
def test_each_event_is_one_signed_document_without_argument_values(run, event: str) -> None:
    async def main() -> None:
        async with told(accept) as gate:
            gate.hook(event, STANDINGS[event])
            await until(lambda: gate.receiver.requests)

            [request] = gate.receiver.requests
            headers, (first, body) = headers_of(request), request.split(b"\r\n\r\n", 1)
            assert first.startswith(b"POST /hooks?of=us HTTP/1.1\r\n")
            assert headers["content-type"] == "application/json"
            assert headers["ostiary-event"] == f"approval.{event}"
            assert check_signature(SECRET, headers["ostiary-signature"], body) == NOW // 1_000_000
            with pytest.raises(InvalidSignature):
                check_signature(SECRET, headers["ostiary-signature"], body + b" ")
            with pytest.raises(InvalidSignature):
                check_signature(b"another secret", headers["ostiary-signature"], body)
            assert b"hidden-digest" not in body
            document = json.loads(body)
            assert document["v"] == 1
            assert document["event"] == f"approval.{event}"
            assert document["id"] == "dlv_" + "1".zfill(26)
            assert document["ts"] == "2026-11-20T20:26:40.123Z"
            approval = document["approval"]
            assert approval["state"] == ("pending" if event == "requested" else event)
            assert approval["args_keys"] == ["path"]
            assert approval["expires"] == "2026-11-20T20:56:40.123Z"
            assert approval["approvers"] == [["user:ana@example.org", "user:ben@example.org"]]
            assert approval["evaluation_id"] == REQUEST.evaluation
            assert {one["approver"] for one in approval["answers"]} <= {"user:ana@example.org"}
            assert gate.given_up == []

    within(run, main)


@LOOPS
def test_a_receiver_that_fails_first_is_told_again_with_the_same_document(run) -> None:
    async def main() -> None:
        async with told(answering(BUSY, BUSY, OK)) as gate:
            gate.hook("requested", STANDINGS["requested"])
            await until(lambda: len(gate.receiver.requests) == 3)

            first, second, third = gate.bodies()
            assert first == second == third
            gate.hook("approved", STANDINGS["approved"])
            await until(lambda: len(gate.receiver.requests) == 4)
            assert gate.bodies()[-1]["event"] == "approval.approved"
        assert gate.given_up == []

    within(run, main)


@LOOPS
def test_a_receiver_that_never_answers_is_given_up_after_the_tries(run, caplog) -> None:
    async def main() -> None:
        async with told(hang, Patience(0.2, (0.01, 0.01, 0.01))) as gate:
            gate.hook("denied", STANDINGS["denied"])
            await until(lambda: gate.given_up)

            assert gate.given_up == [(REQUEST.id, "approval.denied: no answer within 0.2 seconds")]
            assert 1 <= gate.receiver.connections <= 4

    within(run, main)
    assert f"the webhook was not told of approval.denied {REQUEST.id}: no answer" in caplog.text


@LOOPS
def test_a_redirect_is_a_failure_and_never_followed(run) -> None:
    async def main() -> None:
        async with told(accept) as elsewhere:
            there = elsewhere.name.encode()
            moved = b"HTTP/1.1 302 Found\r\nlocation: http://%b/\r\ncontent-length: 0\r\n\r\n" % there
            async with told(answering(moved)) as gate:
                gate.hook("approved", STANDINGS["approved"])
                await until(lambda: gate.given_up)

                assert gate.given_up == [(REQUEST.id, "approval.approved: HTTP status 302")]
                assert len(gate.receiver.requests) == 4
            assert elsewhere.receiver.connections == 0

    within(run, main)


@LOOPS
def test_a_receiver_that_is_down_is_given_up_in_words_that_name_it(run) -> None:
    async def main() -> None:
        async with told(accept) as gate:
            client = HttpUpstream("http://127.0.0.1:1/hooks/token-in-the-path")
            down = Told(gate.receiver, client, SOON)
            down.hook("expired", STANDINGS["expired"])
            await until(lambda: down.given_up)
            await down.hook.close()

            [(approval, problem)] = down.given_up
            assert approval == REQUEST.id
            assert problem.startswith("approval.expired: the receiver `127.0.0.1:1` ")
            assert "token-in-the-path" not in problem

    within(run, main)


@LOOPS
def test_of_three_hundred_events_at_once_none_is_lost_without_a_word(run) -> None:
    async def main() -> None:
        async with told(hang, Patience(60, ())) as gate:
            for _ in range(300):
                gate.hook("requested", STANDINGS["requested"])

            assert len(gate.given_up) == 300 - MAX_QUEUED - module.AT_ONCE
            assert {problem for _, problem in gate.given_up} == {
                "approval.requested: too many events wait to be sent"
            }
            await until(lambda: len(gate.receiver.requests) == module.AT_ONCE)
            assert gate.receiver.connections == module.AT_ONCE
        assert len(gate.given_up) == 300

    within(run, main)


@LOOPS
def test_what_waits_to_be_sent_again_counts_towards_the_bound(run) -> None:
    async def main() -> None:
        async with told(answering(BUSY), Patience(3, (60.0,))) as gate:
            for count in range(1, 301):
                gate.hook("requested", STANDINGS["requested"])
                await until(lambda count=count: len(gate.receiver.requests) == count)

            await until(lambda: len(gate.given_up) == 300 - MAX_QUEUED)
        assert len(gate.given_up) == 300
        assert gate.given_up[0] == (REQUEST.id, "approval.requested: too many events wait to be sent")
        assert gate.given_up[-1] == (REQUEST.id, "approval.requested: the gate stopped")

    within(run, main, 20)


@LOOPS
def test_a_gate_that_stops_gives_up_what_is_queued_flying_and_put_off(run) -> None:
    async def main() -> None:
        async with told(answering(BUSY), Patience(3, (60.0,))) as gate:
            gate.hook("requested", STANDINGS["requested"])
            await until(lambda: gate.hook._later)  # type: ignore[attr-defined]
            await gate.hook.close()

            assert gate.given_up == [(REQUEST.id, "approval.requested: the gate stopped")]
            gate.hook("denied", STANDINGS["denied"])
            assert len(gate.given_up) == 1
        async with told(hang) as gate:
            for _ in range(7):
                gate.hook("requested", STANDINGS["requested"])
            await until(lambda: len(gate.receiver.requests) == 4)
        assert gate.given_up == [(REQUEST.id, "approval.requested: the gate stopped")] * 7

    within(run, main)


@LOOPS
def test_a_receiver_behind_tls_is_told_if_its_certificate_is_good(run, tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    async def main() -> None:
        trust, _ = upstream_context(authority.file, None, {}, NOW)
        async with told(accept, tls=authority.leaf().server(), trust=trust) as gate:
            gate.hook("consumed", STANDINGS["consumed"])
            await until(lambda: gate.receiver.requests)
            assert gate.bodies()[0]["event"] == "approval.consumed"
        stranger = Authority(tmp_path, "stranger").leaf("other").server()
        async with told(accept, Patience(3, ()), tls=stranger, trust=trust) as gate:
            gate.hook("consumed", STANDINGS["consumed"])
            await until(lambda: gate.given_up)
            assert "certificate" in gate.given_up[0][1]
            assert gate.receiver.requests == []

    within(run, main)


# --- options --------------------------------------------------------------------------------------


def options(folder: Path, url: str, secret: bytes = SECRET, mode: int = 0o600) -> ProxyOptions:
    file = folder / "secret"
    file.write_bytes(secret)
    file.chmod(mode)
    return ProxyOptions(
        policy=None, upstream=None, command=("server",), listen=None, state_dir=None,
        webhook=url, webhook_secret_file=file,
    )  # fmt: skip


URL = "https://hooks.example.org/approvals"


@pytest.mark.parametrize(
    ("url", "secret", "mode", "problem"),
    [
        (URL, b"short secret\n", 0o600, "has fewer than 16 bytes"),
        (URL, b" " * 40, 0o600, "has fewer than 16 bytes"),
        (URL, SECRET, 0o640, "others can read or write"),
        ("http://169.254.169.254/latest", SECRET, 0o600, "the url must not name a link-local"),
        ("http://[fe80::1]/", SECRET, 0o600, "the url must not name a link-local"),
        ("ftp://hooks.example.org/", SECRET, 0o600, "--approval-webhook: the url must start with `http://`"),
        ("https://me:word@hooks.example.org/", SECRET, 0o600, "must not carry credentials"),
    ],
    ids=["short", "blank", "readable", "metadata", "link-local", "scheme", "credentials"],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_before_anything_starts(
    tmp_path: Path, url: str, secret: bytes, mode: int, problem: str
) -> None:
    with pytest.raises(CallerFault) as raised:
        prepare_hook(options(tmp_path, url, secret, mode), {}, lambda: NOW)

    assert problem in raised.value.message
    assert "word" not in raised.value.message
    assert secret.decode() not in raised.value.message
    assert "--state-dir" not in (raised.value.hint or "")


def test_a_missing_secret_is_named_without_the_hint_of_another_option(tmp_path: Path) -> None:
    asked = options(tmp_path, URL)
    (tmp_path / "secret").unlink()

    with pytest.raises(CallerFault, match=r"cannot read `.*/secret`: no such file or directory") as raised:
        prepare_hook(asked, {}, lambda: NOW)
    assert raised.value.hint is None


def test_a_usable_one_goes_through_the_egress_proxy_of_the_environment(tmp_path: Path) -> None:
    hook = prepare_hook(options(tmp_path, URL), {"HTTPS_PROXY": "http://proxy.example.org:3128"}, lambda: NOW)

    assert hook is not None
    assert hook.secret == SECRET
    assert hook.tls is not None
    assert hook.proxy is not None


@pytest.mark.parametrize(
    "given", [("--approval-webhook", URL), ("--approval-webhook-secret-file", "secret")], ids=["url", "file"]
)
def test_one_option_without_the_other_is_refused(tmp_path: Path, given: tuple[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ostiary", "proxy", *given, "--", "true"],
        capture_output=True, text=True, timeout=20, check=False, cwd=tmp_path, env=world.environment(),
    )  # fmt: skip

    assert done.returncode == 2
    assert "--approval-webhook and --approval-webhook-secret-file go together" in done.stderr
    assert "hint: make a secret" in done.stderr
