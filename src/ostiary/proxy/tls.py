"""TLS on both sides: the listener's certificate and its reload, and what an upstream must show.

TLS 1.2 and 1.3 only (RFC 9325), without compression and renegotiation. With 1.2 only suites with
forward secrecy and authenticated encryption; those of 1.3 all have both.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from cryptography import x509

from ostiary.errors import CallerFault
from ostiary.proxy.reload import Watch, read_bounded
from ostiary.settings import KeyPair

log = logging.getLogger("ostiary.tls")

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
MAX_PEM = 1024 * 1024
OTHERS_READ = 0o077

_KEY = re.compile(rb"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----")
_LOCKED = re.compile(rb"-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: *4,ENCRYPTED", re.MULTILINE)
_ENVIRONMENT = (("SSL_CERT_FILE", Path.is_file, "file"), ("SSL_CERT_DIR", Path.is_dir, "folder"))


def _tightened(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_ciphers(CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _listening() -> ssl.SSLContext:
    """For connections of clients, which offers none of them a session to resume.

    A resumed session would go on with a certificate that was exchanged meanwhile. OpenSSL asks the
    context that a connection was made with, not the one that is chosen during the handshake.
    """
    context = _tightened(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    return context


def upstream_context(
    bundle: Path | None, pair: KeyPair | None, environ: Mapping[str, str], now: int
) -> tuple[ssl.SSLContext, list[str]]:
    """What connections to an https upstream use, and warnings about our client certificate.

    `bundle` replaces the authorities of the system, which OpenSSL finds by itself, or by
    `SSL_CERT_FILE` and `SSL_CERT_DIR`. Chain and name are always checked. `now` is in
    microseconds. Raises CallerFault for a file that cannot be used: without its authorities every
    connection would fail later, with a less helpful reason.
    """
    if bundle is None:
        for name, exists, kind in _ENVIRONMENT:
            value = environ.get(name)
            if value and not any(exists(Path(part)) for part in value.split(os.pathsep)):
                raise CallerFault(f"`{name}` names `{value}`, which is not a {kind}")
        context = ssl.create_default_context()
    else:
        content = _read("--upstream-ca", bundle)
        _certificates("--upstream-ca", bundle, content)
        context = ssl.create_default_context(cadata=content.decode("ascii", "ignore"))
    _tightened(context)
    return context, _load(context, pair, now) if pair is not None else []


class Noting(Protocol):
    """Writes an event row."""

    def __call__(self, kind: str, note: str, *, reasons: Sequence[str] = ()) -> None: ...


class Certificate:
    """The listener's certificate, exchanged while connections go on.

    `context` is what the listener is made with; each handshake uses the pair in force at its
    time. `warnings` are about that pair. Raises CallerFault when the files cannot be used.
    """

    def __init__(self, pair: KeyPair, now: Callable[[], int]) -> None:
        self.pair = pair
        self._now = now
        self.warnings: list[str] = []
        self._known = self._read(pair.certificate) or b""
        self._current = self._made()
        self.context = _listening()
        # Called for every handshake, whether or not the client names a server.
        self.context.sni_callback = self._choose

    def _made(self) -> ssl.SSLContext:
        context = _listening()
        self.warnings = _load(context, self.pair, self._now())
        return context

    def _choose(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._current

    def watch(self, note: Noting) -> Watch:
        """Exchange the pair whenever its files have changed; `note` records what came of it.

        To be called inside a running event loop.
        """
        loop = asyncio.get_running_loop()
        return Watch(loop, self.pair.certificate, self._known, lambda _: self._changed(note), read=self._read)

    def _changed(self, note: Noting) -> None:
        file = str(self.pair.certificate)
        try:
            self._current = self._made()
        except CallerFault as fault:
            log.warning("%s; the certificate in force stays", fault.message)
            note("certificate-rejected", file, reasons=(fault.message,))
            return
        log.warning("the certificate `%s` is in force", file)
        for warning in self.warnings:
            log.warning("%s", warning)
        note("certificate-activated", file, reasons=self.warnings)

    def _read(self, _path: Path) -> bytes | None:
        """What the two files hold, as a digest; None while one cannot be read."""
        certificate, key = read_bounded(self.pair.certificate), read_bounded(self.pair.key)
        if certificate is None or key is None:
            return None
        return hashlib.sha256(certificate).digest() + hashlib.sha256(key).digest()


def _load(context: ssl.SSLContext, pair: KeyPair, now: int) -> list[str]:
    """Put a certificate chain and its key into `context`; returns what is odd about the certificate.

    (1) the chain, (2) the key, (3) both together, (4) the time.
    """
    # (1)
    option = f"--{pair.option}-cert"
    leaf = _certificates(option, pair.certificate, _read(option, pair.certificate))[0]
    # (2)
    _check_key(f"--{pair.option}-key", pair.key)
    # (3)
    try:
        context.load_cert_chain(pair.certificate, pair.key, password=_no_password)
    except ssl.SSLError as error:
        name = (error.reason or "").replace("_", " ").lower()
        if "mismatch" in name:
            raise CallerFault(
                f"--{pair.option}-key: the key in `{pair.key}` is not that of the certificate",
                hint=f"the certificate for the server itself stands first in `{pair.certificate}`",
            ) from error
        raise CallerFault(f"{option}: `{pair.certificate}` and its key cannot be used: {name}") from error
    except OSError as error:
        raise CallerFault(f"{option}: cannot read `{pair.certificate}`: {_why(error)}") from error
    # (4)
    time = datetime.fromtimestamp(now / 1_000_000, UTC)
    begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if time > end:
        return [f"the certificate `{pair.certificate}` has expired on {end:%Y-%m-%d}"]
    if time < begin:
        return [f"the certificate `{pair.certificate}` is not valid before {begin:%Y-%m-%d}"]
    return []


def _certificates(option: str, path: Path, content: bytes) -> list[x509.Certificate]:
    """All certificates of a PEM file; there is at least one."""
    try:
        found = x509.load_pem_x509_certificates(content)
    except ValueError:
        found = []
    if not found:
        raise CallerFault(
            f"{option}: `{path}` holds no certificate in PEM form",
            hint="it begins with -----BEGIN CERTIFICATE-----",
        )
    return found


def _check_key(option: str, path: Path) -> None:
    content = _read(option, path, private=True)
    if _LOCKED.search(content):
        raise CallerFault(
            f"{option}: the key in `{path}` is locked with a pass phrase",
            hint="the gate starts by itself: give it a key without one, in a file that only it can read",
        )
    if not _KEY.search(content):
        raise CallerFault(
            f"{option}: `{path}` holds no key in PEM form", hint="it has a line -----BEGIN PRIVATE KEY-----"
        )


def _read(option: str, path: Path, *, private: bool = False) -> bytes:
    try:
        with path.open("rb") as file:
            if private and os.fstat(file.fileno()).st_mode & OTHERS_READ:
                raise CallerFault(f"{option}: others can read or write `{path}`", hint=f"chmod 600 {path}")
            content = file.read(MAX_PEM + 1)
    except OSError as error:
        raise CallerFault(f"{option}: cannot read `{path}`: {_why(error)}") from error
    if len(content) > MAX_PEM:
        raise CallerFault(f"{option}: `{path}` is over {MAX_PEM} bytes")
    return content


def _why(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


def _no_password() -> str:
    """OpenSSL would ask at the terminal."""
    return ""
