"""A history as a script."""

from __future__ import annotations

import ast

import pytest

from ostiary.servers.django.history import (
    MAX_HISTORIES,
    MAX_OWNED,
    MAX_SIZE,
    MAX_STEPS,
    Histories,
    History,
    Step,
)
from ostiary.servers.django.script import MAX_STEP, MAX_TAKEN_APART, NOTHING, script
from tests.servers.python.records import record


def steps(*codes: str) -> list[Step]:
    return [Step(number, f"run_{number}", code, "success", 1_000_000) for number, code in enumerate(codes, 1)]


def test_a_script_says_when_its_last_step_began_and_numbers_what_is_left_of_its_steps() -> None:
    assert script(steps("x = 1", "import os", "print(x)")) == (
        "# Django Shell Session Export\n"
        "# Generated: 1970-01-01 00:00:01 UTC\n"
        "\n"
        "import os\n"
        "\n"
        "# Step 1\n"
        "x = 1\n"
        "\n"
        "# Step 2\n"
        "print(x)\n"
    )


def test_nothing_makes_a_script_that_says_so() -> None:
    assert script([]) == NOTHING == "# No history to export\n"


def test_every_import_stands_in_it_once_and_in_no_step() -> None:
    made = script(
        steps("import os\nos.name", "import os\nfrom a import b", "from a import b", "import os, sys")
    )

    assert made.count("import os\n") == 1
    assert made.count("from a import b") == 1
    assert made.index("from a import b") < made.index("import os\n") < made.index("import os, sys")
    assert made.index("import os, sys") < made.index("# Step 1\nos.name")


@pytest.mark.parametrize(
    ("code", "left"),
    [
        ("import os; x = 1", "x = 1"),
        ("x = 1; import os", "x = 1"),
        ("import os ;  import sys;y = 2", "y = 2"),
        ("x = 1; import os; import sys\ny = 2", "x = 1\ny = 2"),
        ("from a import (\n    b,\n    c,\n)\nz = b", "z = b"),
        ("x = 'ä'; import os; y = 'ö'", "x = 'ä'; y = 'ö'"),
        ("x = 'a\x0cb'\nimport os\ny = 1", "x = 'a\x0cb'\ny = 1"),
        ("import os  # why\r\ny = 1", "y = 1"),
    ],
)
def test_what_stands_beside_an_import_stays(code: str, left: str) -> None:
    body = script(steps(code)).partition("# Step 1\n")[2]

    assert body == left + "\n"
    ast.parse(body)


def test_an_import_inside_a_function_or_a_block_stays_where_it_is() -> None:
    code = "def f():\n    import os\n\nif True:\n    import sys"

    assert code in script(steps(code))


def test_future_imports_come_first() -> None:
    made = script(steps("import abc\nx = 1", "from __future__ import annotations"))

    assert made.index("__future__") < made.index("import abc")
    compile(made, "exported", "exec")


def test_a_script_whose_steps_await_says_where_it_can_run() -> None:
    assert "python -m asyncio" in script(steps("await f()"))
    assert "python -m asyncio" not in script(steps("async def f():\n    await g()"))


def test_a_step_as_deep_as_a_long_sum_is_exported() -> None:
    total = " + ".join(["1"] * 900)
    assert f"# Step 1\nx = {total}\n" in script(steps(f"import os\nx = {total}"))


def test_a_long_step_and_what_follows_too_many_stand_as_they_were_run() -> None:
    long = "import os\n" + "x = 1\n" * (MAX_STEP // 6)
    short = "import re\n" + "#" * (MAX_STEP - 10)
    made = script(steps(long, *[short] * (MAX_TAKEN_APART // MAX_STEP), "import json\n1"))
    head, _, rest = made.partition("# Step 1\n")
    assert "import re" in head
    assert "import os" not in head
    assert "import json" not in head
    assert rest.startswith("import os\nx = 1\n")
    assert rest.endswith("import json\n1\n")


def test_a_history_forgets_its_oldest_steps_and_keeps_their_numbers() -> None:
    history = History()
    for number in range(MAX_STEPS + 2):
        history.add(f"x = {number}", record())

    assert len(history.steps) == MAX_STEPS
    assert history.steps[0].number == 3


def test_a_history_is_its_owners_alone() -> None:
    histories = Histories()
    histories.add("ann", "main", "1", record())

    assert histories.find("bob", "main") is None
    assert histories.of("ann") == ["main"]
    histories.drop("bob", "main")
    assert histories.find("ann", "main") is not None


def test_histories_of_one_owner_hold_so_much_and_cost_nobody_else_theirs() -> None:
    histories = Histories()
    histories.add("bob", "main", "1", record())
    code = "#" * MAX_SIZE
    most = MAX_OWNED // MAX_SIZE
    for number in range(most + 2):
        histories.add("ann", f"s{number}", code, record())
    assert histories.of("ann") == [f"s{number}" for number in range(2, most + 2)]

    for number in range(MAX_HISTORIES + 2):
        histories.add("ann", f"t{number}", "1", record())
    assert len(histories) == MAX_HISTORIES
    assert histories.find("ann", f"t{MAX_HISTORIES + 1}") is not None
    assert histories.find("bob", "main") is not None
