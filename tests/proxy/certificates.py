"""Certificates made while a test runs: an authority, and leaves that are right or wrong in one way."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


class Pem:
    """A certificate chain and its key, as files."""

    def __init__(self, folder: Path, name: str, certificate: x509.Certificate, key) -> None:
        self.certificate = certificate
        self.private = key
        self.cert = folder / f"{name}.pem"
        self.key = folder / f"{name}.key"
        self.write(self.cert, self.key)

    def write(self, cert: Path, key: Path) -> None:
        """Put this pair into other files, each in one step."""
        for path, content in (
            (cert, self.certificate.public_bytes(serialization.Encoding.PEM)),
            (
                key,
                self.private.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                ),
            ),
        ):
            fresh = path.with_suffix(".new")
            fresh.write_bytes(content)
            fresh.chmod(0o600)
            fresh.rename(path)

    def server(self) -> ssl.SSLContext:
        """A plain TLS server with this certificate, made without the code under test."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        return context

    @property
    def serial(self) -> int:
        return self.certificate.serial_number


class Authority:
    """Issues certificates; `file` is what others have to trust."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = self._sign(self._name, self._key, (-DAY, DAY), authority=True, names=())
        pem = Pem(folder, name, self._certificate, self._key)
        self.file = pem.cert

    def leaf(
        self,
        name: str = "leaf",
        names: tuple[str, ...] = ("127.0.0.1", "localhost"),
        valid: tuple[timedelta, timedelta] = (-DAY, DAY),
    ) -> Pem:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return Pem(self._folder, name, self._sign(subject, key, valid, authority=False, names=names), key)

    def _sign(self, subject, key, valid, *, authority: bool, names: tuple[str, ...]) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + valid[0])
            .not_valid_after(now + valid[1])
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )
        if authority:
            builder = builder.add_extension(_signing(), critical=True)
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_name(n) for n in names]), critical=False
            )
        return builder.sign(self._key, hashes.SHA256())

    def client(self) -> ssl.SSLContext:
        """A client that trusts this authority alone, made without the code under test."""
        return ssl.create_default_context(cafile=str(self.file))


def _signing() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def self_signed(folder: Path) -> Pem:
    """A certificate that vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(x509.SubjectAlternativeName([_name("127.0.0.1"), _name("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Pem(folder, "self-signed", certificate, key)
