"""The state directory, its token and its keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from ostiary.errors import CallerFault
from ostiary.store.keys import keyed_digest, load_keys
from ostiary.store.state import find_state, locate, open_state


@pytest.mark.parametrize(
    ("option", "environment", "expected"),
    [
        ("/o", {"OSTIARY_STATE_DIR": "/e", "XDG_STATE_HOME": "/x", "HOME": "/h"}, "/o"),
        (None, {"OSTIARY_STATE_DIR": "/e", "XDG_STATE_HOME": "/x", "HOME": "/h"}, "/e"),
        (None, {"XDG_STATE_HOME": "/x", "HOME": "/h"}, "/x/ostiary"),
        (None, {"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/ostiary"),
        (None, {"OSTIARY_STATE_DIR": "", "HOME": "/h"}, "/h/.local/state/ostiary"),
    ],
)
def test_the_option_beats_the_environment_beats_the_home(
    option: str | None, environment: dict[str, str], expected: str
) -> None:
    assert locate(option, environment) == Path(expected)


def test_without_a_home_the_fault_says_what_to_set() -> None:
    with pytest.raises(CallerFault) as caught:
        locate(None, {})

    assert caught.value.hint == "pass --state-dir or set OSTIARY_STATE_DIR"


def test_a_missing_directory_is_created_for_its_owner_only(tmp_path: Path) -> None:
    state = open_state(tmp_path / "a" / "b")

    assert [p.stat().st_mode & 0o777 for p in (state.path, state.keys, state.pins, state.instances)] == [
        0o700
    ] * 4


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o720])
def test_a_directory_that_others_can_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(mode)

    for use in (open_state, find_state):
        with pytest.raises(CallerFault, match="others can write to"):
            use(folder)


def test_a_keys_folder_that_others_can_write_to_is_refused(state_dir: Path) -> None:
    open_state(state_dir).keys.chmod(0o777)

    with pytest.raises(CallerFault, match="keys`"):
        open_state(state_dir)


def test_a_file_in_place_of_the_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")

    with pytest.raises(CallerFault, match="state` is not a directory"):
        open_state(tmp_path / "state")
    with pytest.raises(CallerFault, match="is not a directory"):
        open_state(tmp_path / "state" / "below")


def test_reading_what_was_never_made_says_so(tmp_path: Path) -> None:
    with pytest.raises(CallerFault, match="no state directory at"):
        find_state(tmp_path / "none")


def test_the_token_is_made_once_and_private(state_dir: Path) -> None:
    state = open_state(state_dir)

    token = state.token()

    assert token.startswith("ost_")
    assert len(token) == 4 + 43
    assert state.token() == token
    assert state.token_file.stat().st_mode & 0o777 == 0o600
    assert list(state_dir.glob(".*")) == []


@pytest.mark.parametrize(
    ("content", "mode", "message"), [("hello", 0o600, "does not hold"), (None, 0o644, "others")]
)
def test_a_token_file_that_is_foreign_or_open_is_refused(
    state_dir: Path, content: str | None, mode: int, message: str
) -> None:
    state = open_state(state_dir)
    state.token()
    if content:
        state.token_file.write_text(content)
    state.token_file.chmod(mode)

    with pytest.raises(CallerFault, match=message) as caught:
        state.token()

    assert "hello" not in caught.value.message


def test_keys_are_made_once_differ_and_are_private(state_dir: Path) -> None:
    state = open_state(state_dir)

    first, second = load_keys(state), load_keys(state)

    assert (first.audit, first.checkpoint, first.session) == (second.audit, second.checkpoint, second.session)
    assert len({first.audit, first.checkpoint, first.session}) == 3
    assert sorted(path.name for path in state.keys.iterdir()) == [
        "approvals.aes",
        "audit.hmac",
        "checkpoint.ed25519",
        "session.mac",
    ]
    assert {path.stat().st_mode & 0o777 for path in state.keys.iterdir()} == {0o600}


def test_a_damaged_key_is_named_and_never_replaced(state_dir: Path) -> None:
    state = open_state(state_dir)
    load_keys(state)
    (state.keys / "audit.hmac").write_bytes(b"short")

    with pytest.raises(CallerFault, match=r"audit\.hmac` is not a key of 32 bytes"):
        load_keys(state)
    assert (state.keys / "audit.hmac").read_bytes() == b"short"


def test_a_digest_depends_on_the_key_and_the_content() -> None:
    one = keyed_digest(b"k" * 32, b"a")

    assert one.startswith("hmac-sha256:")
    assert one == keyed_digest(b"k" * 32, b"a")
    assert len({one, keyed_digest(b"l" * 32, b"a"), keyed_digest(b"k" * 32, b"b")}) == 3
