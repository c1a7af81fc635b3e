"""A session as a notebook: nbformat 4.5. Pure."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import msgspec

from ostiary.sandbox.record import RunRecord


def notebook(cells: Sequence[tuple[str, RunRecord | None]], version: str) -> bytes:
    """The document, UTF-8 JSON. `cells` are code and record in order, None where it is gone.

    `version` is of Python.
    """
    return msgspec.json.encode(
        {
            "cells": [_cell(number, code, record) for number, (code, record) in enumerate(cells, 1)],
            "metadata": {
                "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
                "language_info": {"name": "python", "version": version},
            },
            "nbformat": 4,
            "nbformat_minor": 5,
        }
    )


def _cell(number: int, code: str, record: RunRecord | None) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "id": f"cell-{number}",
        "execution_count": number,
        "metadata": {},
        "source": code.splitlines(keepends=True),
        "outputs": [] if record is None else _outputs(number, record),
    }


def _outputs(number: int, record: RunRecord) -> list[dict[str, Any]]:
    return [*_streams(record), *_images(record), *_value(number, record), *_error(record)]


def _streams(record: RunRecord) -> list[dict[str, Any]]:
    return [
        {"output_type": "stream", "name": name, "text": stream.shown.splitlines(keepends=True)}
        for name, stream in (("stdout", record.stdout), ("stderr", record.stderr))
        if stream.shown
    ]


def _images(record: RunRecord) -> list[dict[str, Any]]:
    return [
        {
            "output_type": "display_data",
            "data": {artifact.mime: base64.b64encode(artifact.content).decode()},
            "metadata": {},
        }
        for artifact in record.artifacts
        if artifact.mime in {"image/png", "image/jpeg"}
    ]


def _value(number: int, record: RunRecord) -> list[dict[str, Any]]:
    if record.result is None:
        return []
    text = record.result.text.splitlines(keepends=True)
    return [
        {
            "output_type": "execute_result",
            "execution_count": number,
            "data": {"text/plain": text},
            "metadata": {},
        }
    ]


def _error(record: RunRecord) -> list[dict[str, Any]]:
    fault = record.error
    if fault is None:
        return []
    return [
        {
            "output_type": "error",
            "ename": fault.type,
            "evalue": fault.message,
            "traceback": fault.traceback.splitlines(),
        }
    ]
