"""Which hosts may be reached, and which addresses a name may not lead to."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.arguments.fault import ArgumentError
from ostiary.errors import CallerFault
from ostiary.sandbox.egress.places import Allowed, Place, find_entry, read_allowed, read_place, why_refused


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("Files.Example.:443", Place("files.example", 443)),
        ("b\u00fccher.example:80", Place("xn--bcher-kva.example", 80)),
        ("10.0.0.5:8080", Place("10.0.0.5", 8080)),
        ("[2001:DB8::1]:443", Place("2001:db8::1", 443)),
    ],
)
def test_a_place_has_one_spelling(text: str, place: Place) -> None:
    assert read_place(text) == place


@pytest.mark.parametrize(
    "text",
    [
        "", ":443", "a.example", "a.example:", "a.example:0", "a.example:00443", "a.example:65536",
        "a.example:+443", "a.example:4 43", "a.example:443:443", "a.example:\u0664\u0664\u0663",
        "0x7f.1:443", "2130706433:443", "127.1:443", "0177.0.0.1:443", "127.0.0.1.:443", "127.0.0.01:443",
        "[::ffff:127.0.0.1]:443", "[::ffff:7f00:1]:443", "[0:0:0:0:0:0:0:1]:443", "[::1%eth0]:443",
        "[::1:443", "::1:443", "[::1]443", "[a.example]:443", "user@a.example:443", "a.example/x:443",
        "a..example:443", "-a.example:443", "a.example\\b:443", "a.example#b:443", "a%2eexample:443",
        "a.example\n:443", "a.example\x00:443", "a\u3002example:443\\",
    ],
)  # fmt: skip
def test_what_two_readers_could_read_differently_is_no_place(text: str) -> None:
    with pytest.raises(ArgumentError):
        read_place(text)


@given(st.text(alphabet="0123456789abcdefxX.:[]%@/-*", max_size=40))
def test_a_place_that_is_read_reads_the_same_again(text: str) -> None:
    try:
        place = read_place(text)
    except ArgumentError:
        return

    assert read_place(str(place)) == place


@pytest.mark.parametrize(
    ("entry", "reached"),
    [
        ("a.example", ["a.example:443"]),
        ("A.example.:8443", ["a.example:8443"]),
        ("*.a.example", ["b.a.example:443", "c.b.a.example:443"]),
    ],
)
def test_an_entry_lets_exactly_its_places_be_reached(entry: str, reached: list[str]) -> None:
    every = [
        "a.example:443", "a.example:80", "a.example:8443", "b.a.example:443", "b.a.example:80",
        "c.b.a.example:443", "ba.example:443", "a.example.org:443", "example:443", "xa.example:443",
    ]  # fmt: skip

    allowed = read_allowed(entry)

    assert [text for text in every if allowed.covers(read_place(text))] == reached


@pytest.mark.parametrize(
    ("text", "private", "says"),
    [
        ("*", False, "not a name"),
        ("*.", False, "not a name"),
        ("*.org", False, "two labels"),
        ("*.*.example", False, "not a name"),
        ("a*.example", False, "not a name"),
        ("*.0.0.1", False, "usual form"),
        ("*.127.0.0.1", False, "two labels"),
        ("http://a.example", False, "port|host:port"),
        ("a.example:0", False, "port"),
        ("*.a.example", True, "one exact host"),
    ],
)
def test_an_entry_that_would_open_more_than_it_says_is_refused(text: str, private: bool, says: str) -> None:
    with pytest.raises(CallerFault, match=says):
        read_allowed(text, private=private)


def test_of_two_entries_the_one_that_may_be_private_counts() -> None:
    private = Allowed("a.example", private=True)

    assert find_entry([Allowed("a.example"), private], Place("a.example", 443)) == private
    assert find_entry([private], Place("b.example", 443)) is None


PUBLIC = ["1.1.1.1", "9.9.9.9", "192.0.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2400:cb00::1"]
PRIVATE = [
    "10.0.0.1", "127.0.0.1", "127.255.255.254", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1",
    "198.18.0.1", "192.0.2.1", "203.0.113.1", "::1", "fc00::1", "fd12:3456::1", "2001:db8::1",
]  # fmt: skip
NEVER = [
    "0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16",
    "192.0.0.192", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "::", "fe80::1",
    "fe80::1%1", "fec0::1", "ff02::1", "fd00:ec2::254", "fd20:ce::254", "::ffff:127.0.0.1",
    "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::808:808", "64:ff9b:1::a00:1",
    "2002:7f00:1::", "2002:808:808::1", "2001:0:808:808::1", "2001:20::1", "100::1", "4000::1",
]  # fmt: skip


@pytest.mark.parametrize("text", PUBLIC)
def test_a_public_address_may_be_reached(text: str) -> None:
    assert why_refused(ip_address(text)) == ""


@pytest.mark.parametrize("text", PRIVATE)
def test_a_private_address_may_be_reached_only_by_a_host_that_is_listed_so(text: str) -> None:
    assert why_refused(ip_address(text)) == "a private address"
    assert why_refused(ip_address(text), private=True) == ""


@pytest.mark.parametrize("text", NEVER)
def test_no_list_opens_the_addresses_where_a_machine_is_told_its_secrets(text: str) -> None:
    assert why_refused(ip_address(text), private=True) != ""
    assert why_refused(ip_address(text)) != ""


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_nothing_is_let_through_that_the_standard_library_does_not_call_global(address) -> None:
    if why_refused(address) == "":
        assert address.is_global
