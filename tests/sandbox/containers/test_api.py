"""The engine's SDK as we use it."""

from __future__ import annotations

import gc
import socket
import tempfile
import warnings
from pathlib import Path

import pytest

from ostiary.sandbox.containers.address import Address
from ostiary.sandbox.containers.api import connect, is_trouble


def test_a_socket_that_nobody_listens_at_is_closed_again() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()  # what other tests have left is not told of below
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "engine.sock")
        with socket.socket(socket.AF_UNIX) as deaf:
            deaf.bind(path)
            with warnings.catch_warnings(record=True) as seen:
                warnings.simplefilter("always")
                with pytest.raises(Exception, match="refused") as failed:
                    connect(Address(f"unix://{path}", path), timeout=5)
                assert is_trouble(failed.value)
                del failed
                gc.collect()

    assert [str(one.message) for one in seen if one.category is ResourceWarning] == []
