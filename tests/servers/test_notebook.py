"""A session exported as a notebook."""

from __future__ import annotations

import base64
import json

from ostiary.sandbox.record import Artifact, Fault, Stream, Value
from ostiary.servers.notebook import notebook
from tests.servers.python.records import record


def test_each_run_is_a_cell_with_its_outputs_in_the_form_of_notebooks() -> None:
    made = json.loads(
        notebook(
            [
                ("x = 1\nprint(x)", record(stdout=Stream("1\n", "1\n", 2))),
                ("x", record(result=Value("1", "1"), artifacts=(Artifact("p", "image/png", b"png"),))),
                (
                    "1/0",
                    record(status="error", error=Fault("exception", "ZeroDivisionError", "by zero", "T\nZ")),
                ),
            ],
            "3.11.7",
        )
    )

    assert (made["nbformat"], made["nbformat_minor"]) == (4, 5)
    assert made["metadata"]["language_info"] == {"name": "python", "version": "3.11.7"}
    first, second, third = made["cells"]
    assert first["source"] == ["x = 1\n", "print(x)"]
    assert first["outputs"] == [{"output_type": "stream", "name": "stdout", "text": ["1\n"]}]
    assert second["outputs"][0]["data"] == {"image/png": base64.b64encode(b"png").decode()}
    assert second["outputs"][1]["data"] == {"text/plain": ["1"]}
    assert second["outputs"][1]["execution_count"] == second["execution_count"] == 2
    assert third["outputs"][0]["ename"] == "ZeroDivisionError"
    assert third["outputs"][0]["traceback"] == ["T", "Z"]
    assert len({cell["id"] for cell in made["cells"]}) == 3
