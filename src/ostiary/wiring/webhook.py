"""Where a gate tells of approvals, and that nobody could give any."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable, Mapping

import msgspec

from ostiary.errors import CallerFault, GatewayFault
from ostiary.policy.compile import Compiled
from ostiary.policy.reach import needs_approvers
from ostiary.proxy.approvals.webhook import MIN_SECRET, Webhook
from ostiary.proxy.desk import Desk
from ostiary.proxy.http.client import Address, HttpUpstream, read_address
from ostiary.proxy.http.egress import EgressProxy, egress_for
from ostiary.settings import ProxyOptions
from ostiary.store.state import read_private


class Hook(msgspec.Struct):
    """Where to tell, the secret to sign with, and the way there."""

    url: str
    secret: bytes
    tls: ssl.SSLContext | None
    proxy: EgressProxy | None


def prepare_hook(options: ProxyOptions, environ: Mapping[str, str], now: Callable[[], int]) -> Hook | None:
    """Read and check what the webhook needs, if there is one. Raises CallerFault."""
    if options.webhook is None or options.webhook_secret_file is None:
        return None
    secret = read_private(options.webhook_secret_file).strip()
    if len(secret) < MIN_SECRET:
        raise CallerFault(
            f"the secret in `{options.webhook_secret_file}` has fewer than {MIN_SECRET} bytes",
            hint="make one: head -c 32 /dev/urandom | base64",
        )
    address = _address(options.webhook)
    tls: ssl.SSLContext | None = None
    if address.secure:
        from ostiary.proxy.tls import upstream_context

        tls, _ = upstream_context(options.upstream_ca, None, environ, now())
    scheme = "https" if address.secure else "http"
    return Hook(options.webhook, secret, tls, egress_for(scheme, address.host, address.port, environ))


def _address(url: str) -> Address:
    """The parts of the URL. Raises CallerFault, in the words of the option."""
    try:
        return read_address(url)
    except GatewayFault as fault:
        said = fault.message.replace("the upstream url", "--approval-webhook: the url", 1)
        raise CallerFault(said, hint="for example https://hooks.example.org/approvals") from None


def hook_up(hook: Hook | None, desk: Desk) -> Webhook | None:
    """Have the gate tell its webhook. To be called inside the running loop."""
    if hook is None:
        return None
    webhook = Webhook(
        HttpUpstream(hook.url, ssl_context=hook.tls, proxy=hook.proxy),
        hook.secret,
        clock=desk.clock,
        mint=desk.mint,
        given_up=lambda approval, problem: desk.note("webhook-failed", approval=approval, reasons=(problem,)),
    )
    desk.room.told = webhook
    return webhook


def warn_about_approvers(policy: Compiled | None, *, nobody: bool) -> None:
    """Say it at the start if calls would wait for somebody who does not exist."""
    if nobody and policy is not None and needs_approvers(policy):
        text = "the policy holds calls for approval, and no approver is registered"
        hint = "run `ostiary approvals init`, then start this gate anew"
        print(f"ostiary: warning: {text}; {hint}", file=sys.stderr)
