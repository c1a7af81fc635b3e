"""A project's page at an index."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.sandbox.packages.pages import File, PageError, read_page, write_page

AT = "https://one.example/simple/plain/"
DIGEST = "0" * 63 + "a"


def page(*files: object) -> bytes:
    return json.dumps({"meta": {"api-version": "1.1"}, "name": "plain", "files": files}).encode()


def test_a_page_is_read_alike_as_json_and_as_html() -> None:
    as_json = page(
        {
            "filename": "plain-1.0-py3-none-any.whl",
            "url": "../../files/plain-1.0-py3-none-any.whl",
            "hashes": {"sha256": DIGEST},
            "requires-python": ">=3.8",
            "yanked": "broken",
            "core-metadata": {"sha256": DIGEST},
        }
    )
    as_html = (
        f'<html><body><a href="../../files/plain-1.0-py3-none-any.whl#sha256={DIGEST}" data-yanked="broken" '
        f'data-requires-python="&gt;=3.8" data-core-metadata="sha256={DIGEST}">x</a></body></html>'
    ).encode()
    expected = File(
        name="plain-1.0-py3-none-any.whl",
        url="https://one.example/files/plain-1.0-py3-none-any.whl",
        sha256=DIGEST,
        requires_python=">=3.8",
        yanked="broken",
        metadata={"sha256": DIGEST},
    )

    assert read_page(as_json, "application/vnd.pypi.simple.v1+json", AT) == [expected]
    assert read_page(as_html, "text/html; charset=utf-8", AT) == [expected]


def test_links_start_from_the_base_that_a_page_names() -> None:
    body = b'<base href="/elsewhere/"><a href="plain-1.0.tar.gz">x</a><a name="none">y</a>'

    assert [file.url for file in read_page(body, "text/html", AT)] == [
        "https://one.example/elsewhere/plain-1.0.tar.gz"
    ]


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("../up.whl", "x.whl"),
        ("a/b.whl", "x.whl"),
        ("", "x.whl"),
        ("a b.whl", "x.whl"),
        ("a.whl", "file:///etc/passwd"),
        ("a.whl", "ftp://one.example/a.whl"),
        ("a.whl", "https://one.example/a\r\nx: y"),
    ],
)
def test_a_file_that_cannot_be_right_is_left_out(name: str, url: str) -> None:
    files = read_page(page({"filename": name, "url": url, "hashes": {}}), "application/json", AT)

    assert [file for file in files if "\n" in file.url or (file.name == name and name != "a.whl")] == []
    if not url.startswith("https") and name == "a.whl":
        assert files == []


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"files": 1}', b'{"files": [1]}', b'{"files": [{}]}', b"\xff"]
)
def test_what_is_no_page_is_refused(body: bytes) -> None:
    with pytest.raises(PageError):
        read_page(body, "application/json", AT)


@given(st.binary(max_size=300), st.sampled_from(["application/json", "text/html"]))
def test_no_page_makes_the_reader_fail_otherwise(body: bytes, content_type: str) -> None:
    try:
        files = read_page(body, content_type, AT)
    except PageError:
        return

    assert all(file.url.startswith("http") for file in files)


def test_a_page_is_written_with_the_addresses_it_is_given() -> None:
    file = File(name="plain-1.0-py3-none-any.whl", url=AT, sha256=DIGEST, size=3, metadata=True)

    written = write_page("plain", [(file, "/files/0/plain-1.0-py3-none-any.whl")])

    assert json.loads(written)["files"] == [
        {
            "filename": "plain-1.0-py3-none-any.whl", "url": "/files/0/plain-1.0-py3-none-any.whl",
            "hashes": {"sha256": DIGEST}, "yanked": False, "core-metadata": True, "size": 3,
        }
    ]  # fmt: skip
    assert b"one.example" not in written
