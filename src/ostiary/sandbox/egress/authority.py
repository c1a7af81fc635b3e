"""A certificate authority that lives as long as this process, for connections that are looked into.

Its key is in this process only. Runs are told its certificate, and trust nothing else.
"""

from __future__ import annotations

import os
import ssl
from collections import OrderedDict
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_KEPT: Final = 256
_LASTS: Final = timedelta(days=3_650)
"""Longer than a process: the key is gone with it."""
_EARLIER: Final = timedelta(days=1)


class Authority:
    """Shows a certificate for any host, to those who trust `certificate` (PEM)."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Ostiary, for one start")])
        self._own = self._signed(self._name, self._key, (x509.BasicConstraints(ca=True, path_length=0), True))
        self._leaf = ec.generate_private_key(ec.SECP256R1())
        self._contexts: OrderedDict[str, ssl.SSLContext] = OrderedDict()
        self.certificate = self._own.public_bytes(Encoding.PEM).decode("ascii")

    def context(self, host: str) -> ssl.SSLContext:
        """For the server's end of a connection that was meant for `host`. Speaks HTTP/1.1 only."""
        found = self._contexts.get(host)
        if found is None:
            found = self._contexts[host] = self._made(host)
            if len(self._contexts) > _KEPT:
                self._contexts.popitem(last=False)
        return found

    def _made(self, host: str) -> ssl.SSLContext:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])])
        shown = self._signed(
            subject,
            self._leaf,
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (x509.SubjectAlternativeName([_named(host)]), False),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        key = self._leaf.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _load(context, key + shown.public_bytes(Encoding.PEM))
        return context

    def _signed(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        *extensions: tuple[x509.ExtensionType, bool],
    ) -> x509.Certificate:
        public, issuer = key.public_key(), self._key.public_key()
        own = subject == self._name
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now - _EARLIER)
            .not_valid_after(self._now + _LASTS)
            .add_extension(_usage(signs=own), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(self._key, SHA256())


def _load(context: ssl.SSLContext, chain: bytes) -> None:
    """Load a key with its certificate, which OpenSSL reads from files only: one without a name."""
    descriptor = os.memfd_create("chain")
    try:
        os.write(descriptor, chain)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _named(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
