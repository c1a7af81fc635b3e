"""Why a connection to the upstream did not come about, in words a person can act on.

The words reach clients, so they name no address and no path: those are the operator's.
"""

from __future__ import annotations

import os
import socket
import ssl

_ISSUER = "its certificate was issued by an authority that is not trusted here"
_SELF_SIGNED = "its certificate is self-signed and not trusted here"
_OTHER_NAME = "its certificate is for another name"

_VERIFY = {
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    18: _SELF_SIGNED,
    19: _ISSUER,
    20: _ISSUER,
    21: _ISSUER,
    23: "its certificate was revoked",
    62: _OTHER_NAME,
    64: _OTHER_NAME,
}
"""By OpenSSL's X509_V_ERR number."""

_ALERTS = {
    "CERTIFICATE_REQUIRED": "it asks for a client certificate, and none is configured",
    "CERTIFICATE_UNKNOWN": "it did not accept our client certificate",
    "BAD_CERTIFICATE": "it did not accept our client certificate",
    "UNKNOWN_CA": "it did not accept our client certificate",
    "CERTIFICATE_EXPIRED": "it says that our client certificate has expired",
    "PROTOCOL_VERSION": "it speaks no version of TLS from 1.2 on",
    "UNSUPPORTED_PROTOCOL": "it speaks no version of TLS from 1.2 on",
    "WRONG_VERSION_NUMBER": "it does not speak TLS",
    "HTTP_REQUEST": "it does not speak TLS",
    "RECORD_LAYER_FAILURE": "it does not speak TLS",
    "PACKET_LENGTH_TOO_LONG": "it does not speak TLS",
    "UNEXPECTED_EOF": "it closed the connection during the TLS handshake",
    "HANDSHAKE_FAILURE": "no TLS cipher is spoken by both sides, or it needs a client certificate",
}
"""By the end of OpenSSL's name for a reason, since alerts carry prefixes such as `TLSV13_ALERT_`."""


def reason(error: OSError) -> str:
    """What `error` means, without addresses."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _VERIFY.get(error.verify_code) or f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return tls_reason(error)
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    if error.errno:
        # asyncio's own text for a refused connection has the address in it.
        return os.strerror(error.errno).lower()
    return "it closed the connection" if isinstance(error, ConnectionError) else "the connection failed"


def tls_reason(error: ssl.SSLError) -> str:
    """What a TLS fault other than a failed verification means."""
    name = (error.reason or "").upper()
    if isinstance(error, ssl.SSLEOFError):
        name = "UNEXPECTED_EOF"
    for end, words in _ALERTS.items():
        if name.endswith(end):
            return words
    return f"TLS failed: {name.lower().replace('_', ' ')}" if name else "TLS failed"
