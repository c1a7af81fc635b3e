"""Readers of paths, URLs, hosts and addresses: one reading or an error."""

from __future__ import annotations

import posixpath
import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.arguments import address, path, url
from ostiary.arguments.fault import ArgumentError
from ostiary.arguments.text import refuse_dot_segments


@given(st.lists(st.sampled_from(["a", "b", ".", "..", ""]), max_size=8))
def test_path_normalisation_is_that_of_posix(parts: list[str]) -> None:
    """P3.7: `..`, `.` and doubled separators, against the standard library."""
    text = "/" + "/".join(parts)
    expected = posixpath.normpath("/" + text.lstrip("/"))
    assert "/" + "/".join(path.segments(text)) == expected


@given(st.text(max_size=20))
def test_a_path_reader_never_answers_with_a_dot_or_a_separator(text: str) -> None:
    """P3.7: whatever comes in, what comes out cannot climb."""
    try:
        parts = path.segments("/" + text)
    except ArgumentError:
        return
    assert not {"", ".", ".."} & set(parts)
    assert not any(mark in part for part in parts for mark in "/\\\x00")


@pytest.mark.parametrize(
    "text",
    ["", "a", "./a", "~", "~root/x", "C:\\x", "/a\x00", "/a\n", "/%2E%2e/", "/a/...", "/" + "a" * 5000],
)
def test_paths_with_no_certain_reading_are_refused(text: str) -> None:
    """P3.7: relative ones too: where they start is unknown."""
    with pytest.raises(ArgumentError):
        path.segments(text)


def test_within_compares_whole_parts() -> None:
    """P3.7: /app does not contain /application, and the root contains everything."""
    assert path.is_within(path.segments("/app/x"), path.segments("/app"))
    assert not path.is_within(path.segments("/application"), path.segments("/app"))
    assert path.is_within(path.segments("/x"), path.segments("/"))
    assert not path.is_within(path.segments("/"), path.segments("/x"))


numbers = st.integers(0, 2**32 - 1)


@given(numbers)
def test_every_spelling_of_an_ipv4_address_is_the_same_host(value: int) -> None:
    """P3.7: decimal, octal, hexadecimal and shortened, against the C library."""
    dotted = socket.inet_ntoa(value.to_bytes(4, "big"))
    first, rest = value >> 24, value & 0xFFFFFF
    for spelling in (
        dotted,
        str(value),
        hex(value),
        f"0{value:o}",
        f"{first}.{rest}",
        f"0x{first:X}.0{rest:o}",
    ):
        assert url.read_host(spelling) == dotted == socket.inet_ntoa(socket.inet_aton(spelling))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://",
        "http:///x",
        "http://a b/",
        "http://a\tb/",
        "http://u@h/",
        "http://u:p@h/",
        "http:\\\\h\\",
        "http://h\\@g/",
        "http://h:x/",
        "http://h:99999/",
        "http://h:/",
        "http://[::1",
        "http://[fe80::1%25eth0]/",
        "http://a..b/",
        "http://.a/",
        "http://-a/",
        "http://a-/",
        "http://a_-/",
        "http://%61/",
        "http://1.2.3.4.5/",
        "http://256.1.1.1/",
        "http://1.2.3.08/",
        "http://0x/x@",
        "http://a\u200bb/",
        "http://a\uff0fb/",
        "http://fa\u00df.de/",
        "//h/x",
        "h/x",
        "h?x",
        "http://" + "a" * 64 + "/",
        "1http://h/",
        "http://h\u3002\u3002g/",
    ],
)
def test_hosts_with_no_certain_reading_are_refused(text: str) -> None:
    """P3.7: an error, never a guess."""
    with pytest.raises(ArgumentError):
        url.read_host_or_url(text)


@given(st.text(alphabet="ah.:/@#?[]\\ %0x1\t\u3002\u00e9-", max_size=24))
def test_reading_a_host_twice_gives_the_same(text: str) -> None:
    """P3.7: what was normalised stays as it is, and nothing but `ArgumentError` is raised."""
    try:
        host = url.read_host_or_url(text)
    except ArgumentError:
        return
    assert url.read_host(host) == host
    assert host.isascii()
    assert not set(host) & set("@/\\?#[]% \t")


def test_url_parts() -> None:
    """P3.7: scheme, host and port, each in one spelling."""
    assert url.read_url("HTTPS://Ex\u00e4mple.ORG.:8443/x?y@z#w") == url.Url(
        "https", "xn--exmple-cua.org", 8443
    )
    assert url.read_url("http://[::FFFF:7f00:1]") == url.Url("http", "127.0.0.1", 0)


def test_addresses_and_networks() -> None:
    """P3.7: a name is an error, host bits are an error, mapped networks are IPv4."""
    inside = address.read_address("http://0x0a000001:80/")
    assert address.is_member(inside, (address.read_network("10.0.0.0/8"),))
    assert address.is_member(inside, (address.read_network("::ffff:10.0.0.0/104"),))
    assert not address.is_member(address.read_address("::1"), (address.read_network("0.0.0.0/0"),))
    for text in ("localhost", "example.org", "http://example.org/"):
        with pytest.raises(ArgumentError):
            address.read_address(text)
    for text in ("10.0.0.1/8", "10.0.0.0/33", "x", ""):
        with pytest.raises(ArgumentError):
            address.read_network(text)


def test_a_long_name_in_another_script_is_refused_at_once() -> None:
    """P3.7: the codec for such names takes quadratic time."""
    started = time.perf_counter()
    for _ in range(500):
        with pytest.raises(ArgumentError):
            url.read_host_or_url("é" * 8_000)
    assert time.perf_counter() - started < 5


def test_texts_for_patterns_are_the_only_spelling() -> None:
    """P3.7: what a glob would misjudge is refused before."""
    for text in ("a", "a/b", "a.b", "https://x/y", "file:///x", "https://x?a=b//c", "100%", "..a", "a b"):
        refuse_dot_segments(text)
    for text in (".", "..", "a/..", "a/./b", "../a", "a\\b", "a/%2e", "a\u200b", "a/\u2025/b"):
        with pytest.raises(ArgumentError):
            refuse_dot_segments(text)
    for text in ("//a", "a//b", "file:////a", "https://x//y", "a?b//c", "1://a"):
        with pytest.raises(ArgumentError):
            refuse_dot_segments(text)


def test_errors_never_quote_the_text() -> None:
    """P2.17: an argument value stays out of messages."""
    for read in (path.segments, url.read_host_or_url, url.read_scheme, address.read_address):
        with pytest.raises(ArgumentError) as caught:
            read("hunter2 secret")
        assert "hunter2" not in str(caught.value)
