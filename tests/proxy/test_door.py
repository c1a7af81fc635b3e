"""The door behind a balancer: the public URL, and whose request it is."""

from __future__ import annotations

import logging

import pytest

from ostiary.errors import CallerFault
from ostiary.identity.grant import Grant, Tokens
from ostiary.proxy.door import Door, Turned, check_head
from ostiary.proxy.exchange import ClientRequest, Header
from ostiary.proxy.forwarded import MAX_HOPS, Forwarded
from ostiary.settings import parse_networks, parse_public_url

GRANT = Grant.named("local")


def status(public: str, host: bytes, origin: bytes | None = None, *, allowed: tuple[str, ...] = ()) -> int:
    """What a door with this public URL says to a request; 200 when it is let in."""
    door = Door(
        Tokens(anonymous=GRANT), allowed_hosts=allowed, bound_host="10.0.0.1", public=parse_public_url(public)
    )
    headers = [(b"host", host), *([(b"origin", origin)] if origin is not None else [])]
    found = door.check("POST", "/mcp", headers)
    return found.status if isinstance(found, Turned) else 200


@pytest.mark.parametrize(
    ("public", "host", "expected"),
    [
        ("https://tools.example", b"tools.example", 200),
        ("https://tools.example", b"TOOLS.example.:8787", 200),
        ("https://tools.example:8443", b"tools.example:8443", 200),
        ("https://tools.example:8443", b"tools.example", 421),
        ("https://tools.example:8443", b"tools.example:443", 421),
        ("https://tools.example:8443", b"tools.example:84430", 421),
        ("https://tools.example:443", b"tools.example", 200),
        ("https://tools.example:443", b"tools.example:80", 421),
        ("http://tools.example:80", b"tools.example", 200),
        ("https://[2001:db8::1]:8443", b"[2001:db8::1]:8443", 200),
        ("https://[2001:db8::1]:8443", b"[2001:db8::1]", 421),
        ("https://tools.example", b"other.example", 421),
        ("https://tools.example", b"10.0.0.1:8787", 200),
    ],
)
def test_host_of_the_public_url_is_allowed_with_its_own_port(public: str, host: bytes, expected: int) -> None:
    assert status(public, host) == expected


def test_public_port_binds_its_host_even_if_that_is_allowed_otherwise() -> None:
    """The stricter of two rules about one name holds."""
    public, allowed = "https://tools.example:8443", ("tools.example",)

    assert status(public, b"tools.example:1", allowed=allowed) == 421
    assert status(public, b"tools.example:8443", b"http://tools.example", allowed=allowed) == 403
    assert status(public, b"tools.example:8443", b"https://tools.example:8443", allowed=allowed) == 200


@pytest.mark.parametrize(
    ("public", "origin", "expected"),
    [
        ("https://tools.example", b"https://tools.example", 200),
        ("https://tools.example:443", b"https://tools.example", 200),
        ("https://tools.example:8443", b"https://tools.example:8443", 200),
        ("https://tools.example", b"http://tools.example", 403),
        ("https://tools.example", b"https://tools.example:8443", 403),
        ("https://tools.example:8443", b"https://tools.example", 403),
        ("https://tools.example", b"https://a.tools.example", 403),
        ("https://tools.example", b"null", 403),
    ],
)
def test_origin_of_the_public_url_is_allowed_exactly(public: str, origin: bytes, expected: int) -> None:
    host = public.partition("://")[2].encode()

    assert status(public, host, origin) == expected


@pytest.mark.parametrize(
    ("text", "mcp"),
    [
        ("https://tools.example", "https://tools.example/mcp"),
        ("https://tools.example/", "https://tools.example/mcp"),
        ("https://tools.example:443/mcp", "https://tools.example/mcp"),
        ("https://tools.example:8443/gate/", "https://tools.example:8443/gate/mcp"),
        ("http://[::1]:8080", "http://[::1]:8080/mcp"),
    ],
)
def test_public_url_says_what_clients_connect_to(text: str, mcp: str) -> None:
    assert parse_public_url(text).mcp == mcp


@pytest.mark.parametrize(
    "text",
    ["tools.example", "ftp://a", "https://", "https://u:p@a", "https://a/?x", "https://a:b", "https://a b"],
)
def test_public_url_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(CallerFault, match="--public-url"):
        parse_public_url(text)


def for_header(*values: bytes) -> list[Header]:
    return [(b"x-forwarded-for", value) for value in values]


TRUSTED = Forwarded(parse_networks(["10.0.0.0/8", "2001:db8::/32"]))


@pytest.mark.parametrize(
    ("peer", "values", "expected"),
    [
        ("10.0.0.1", [b"203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", [b"198.51.100.1, 203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", [b"198.51.100.1, 203.0.113.7, 10.0.0.2"], "203.0.113.7"),
        ("10.0.0.1", [b"198.51.100.1", b"203.0.113.7 ,10.0.0.2"], "203.0.113.7"),
        ("10.0.0.1", [b"203.0.113.7:5123"], "203.0.113.7"),
        ("10.0.0.1", [b"[2001:db9::5]:5123"], "2001:db9::5"),
        ("10.0.0.1", [b"2001:DB9:0::5"], "2001:db9::5"),
        ("10.0.0.1", [b"::ffff:203.0.113.7"], "203.0.113.7"),
        ("::ffff:10.0.0.1", [b"203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", [b"10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", [b"203.0.113.7, unknown, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [b"stdio"], "10.0.0.1"),
        ("10.0.0.1", [b""], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("203.0.113.9", [b"198.51.100.1"], "203.0.113.9"),
        ("", [b"198.51.100.1"], ""),
        ("stdio", [b"198.51.100.1"], "stdio"),
    ],
)
def test_only_what_trusted_proxies_wrote_is_believed(peer: str, values: list[bytes], expected: str) -> None:
    """From the right: the first address that no trusted proxy has. Never a word such as `stdio`."""
    assert TRUSTED.peer(peer, for_header(*values)) == expected


def test_long_chain_is_read_from_the_right_and_bounded() -> None:
    chain = b",".join([b"203.0.113.7"] + [b"10.0.0.2"] * MAX_HOPS)

    assert TRUSTED.peer("10.0.0.1", for_header(chain)) == "10.0.0.2"


def test_without_trusted_proxies_the_header_is_ignored() -> None:
    assert Forwarded(()).peer("10.0.0.1", for_header(b"203.0.113.7")) == "10.0.0.1"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("10.0.0.7/24", "did you mean `10.0.0.0/24`"),
        ("proxy.example", "for example 10.0.0.7 or 10.0.0.0/24"),
        ("10.0.0.0/33", "for example 10.0.0.7 or 10.0.0.0/24"),
        ("0.0.0.0/0", None),
        ("::/0", None),
    ],
)
def test_trusted_proxy_that_cannot_be_meant_is_refused(text: str, hint: str | None) -> None:
    with pytest.raises(CallerFault, match="--trusted-proxy") as caught:
        parse_networks([text])

    assert caught.value.hint == hint


def test_request_turned_away_is_logged_with_the_peer_behind_the_balancer(caplog) -> None:
    """What is logged is an address and our own words, never what the client sent."""
    door = Door(Tokens(), allowed_hosts=(), bound_host="127.0.0.1")
    check = check_head(door, lambda: True, TRUSTED)
    headers = [(b"host", b"localhost"), (b"authorization", b"Bearer guess"), *for_header(b"203.0.113.7")]
    request = ClientRequest("POST", "/mcp", b"", headers, b"", "10.0.0.1")

    with caplog.at_level(logging.INFO, "ostiary.door"):
        refused = check(request)

    assert refused is not None
    assert refused[0].status == 401
    assert request.peer == "203.0.113.7"
    assert "turned away 203.0.113.7: 401" in caplog.text
    assert "guess" not in caplog.text
