from __future__ import annotations

import hmac

import pytest

from ostiary.audit.keyed import KeyedDigest


@pytest.mark.parametrize("key", [b"k", b"k" * 32, b"k" * 64, b"k" * 65, b"k" * 300], ids=len)
@pytest.mark.parametrize("content", [b"", b"some content", b"x" * 5000], ids=len)
def test_a_keyed_digest_is_hmac_sha256(key: bytes, content: bytes):
    digest = KeyedDigest(key)

    found = [digest(content), digest(content)]

    assert found == ["hmac-sha256:" + hmac.digest(key, content, "sha256").hex()] * 2


def test_another_key_gives_another_digest():
    assert KeyedDigest(b"a" * 32)(b"content") != KeyedDigest(b"b" * 32)(b"content")
