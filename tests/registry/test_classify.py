"""What a classification says: each error of other catalogues once, the labels, and hostile input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ostiary.policy.definition import ToolDefinition
from ostiary.registry.classification import Category, Classification, Described, Sensitivity, Severity
from ostiary.registry.classify import classify, described, grade
from ostiary.registry.classify.rules import load
from ostiary.registry.classify.words import MAX_TEXT
from scripts.eval import agreement, held_out, labelled, measured, set_aside

ROOT = Path(__file__).resolve().parents[2]
LADDER = [Severity.LOW, Severity.MEDIUM, Severity.HIGH, Severity.CRITICAL]


def one(name: str, description: str = "", **fields: Any) -> Classification:
    return classify([Described(name=name, description=description, **fields)])[0]


def takes(**properties: dict[str, object]) -> dict[str, object]:
    return {"type": "object", "properties": properties}


def codes(result: Classification) -> set[str]:
    return {signal.code for signal in result.signals}


# --- errors seen elsewhere ------------------------------------------------------------------------


def test_a_secret_that_is_read_is_a_read_of_high_severity() -> None:
    result = one("get_secret", "Retrieve a decrypted vault entry")

    assert (result.category, result.sensitivity) == (Category.READ, Sensitivity.CREDENTIALS)
    assert result.severity is Severity.HIGH


def test_the_same_tool_has_the_same_category_on_every_server() -> None:
    servers = ("", "mail", "send", "gmail", "crm")
    results = classify([Described(name="send_email", server=each) for each in servers])

    assert {result.category for result in results} == {Category.WRITE}


def test_values_of_an_argument_are_not_tools_of_their_own() -> None:
    schema = takes(status={"type": "string", "enum": ["deleted", "delete", "aggressive", "backlog"]})
    result = classify([Described(name="list_tasks", description="List tasks", input_schema=schema)])

    assert [(each.name, each.category) for each in result] == [("list_tasks", Category.READ)]


def test_an_argument_that_lists_actions_is_as_bad_as_its_worst() -> None:
    schema = takes(action={"type": "string", "enum": ["get", "list", "delete"]})
    result = one("manage_volume", "Manage volumes", input_schema=schema)

    assert result.category is Category.DESTRUCTIVE
    assert result.evidence[0].where == "inputSchema.properties.action.enum"


@pytest.mark.parametrize("name", ["list_charges", "refund_eligibility", "get_invoice"])
def test_reading_about_money_moves_none(name: str) -> None:
    assert one(name).category is Category.READ
    assert one("create_refund").category is Category.FINANCIAL


def test_content_alone_is_no_html() -> None:
    assert "raw-html" not in codes(one("write_note", input_schema=takes(content={"type": "string"})))
    assert "raw-html" in codes(one("write_note", input_schema=takes(html_body={"type": "string"})))


def test_a_word_that_only_contains_another_is_no_signal() -> None:
    assert "admin" not in codes(one("generate_llms_txt", "Write the file to the site-root"))
    assert "admin" in codes(one("set_admin_role", "Make somebody an administrator"))


def test_a_bulk_write_is_severe_in_the_badge_too() -> None:
    assert one("bulk_update_users", "Update users").severity is Severity.HIGH
    assert one("update_note", "Update a note").severity is Severity.MEDIUM


def test_an_empty_description_leaves_the_name_and_the_schema() -> None:
    result = one("execute", input_schema=takes(code={"type": "string"}))

    assert result.category is Category.EXECUTE
    assert {"free-code", "no-description"} <= codes(result)


def test_a_server_that_warns_of_itself_is_believed() -> None:
    result = one("tidy_drawer", annotations={"destructiveHint": True})

    assert (result.category, result.severity) == (Category.DESTRUCTIVE, Severity.CRITICAL)


def test_a_server_that_soothes_is_not_believed() -> None:
    result = one("delete_row", "Delete a row", annotations={"readOnlyHint": True})

    assert result.category is Category.DESTRUCTIVE
    assert "contradiction" in codes(result)
    assert one("frobnicate", annotations={"readOnlyHint": True}).category is Category.UNKNOWN


def test_a_signal_says_which_argument_it_is_about() -> None:
    result = one(
        "exec", input_schema=takes(opts={"type": "object", "properties": {"command": {"type": "string"}}})
    )
    (shell,) = (signal for signal in result.signals if signal.code == "shell-command")

    assert shell.where == "inputSchema.properties.opts.properties.command"
    assert "`command`" in shell.text


def test_the_name_of_another_tool_in_a_text_is_none_of_its_verbs() -> None:
    text = "List what there is.\nUseful before running\nwith the execute_command tool. Use delete_row then."

    assert one("list_things", text).category is Category.READ


@pytest.mark.parametrize(
    ("name", "text", "category"),
    [
        ("get_limits", "Get the limits of a page. An empty list means that there are none.", Category.READ),
        ("get_text", "Get a text:\nempty paragraphs are kept as they are.", Category.READ),
        ("empty_bin", "Empty the bin", Category.DESTRUCTIVE),
        ("list_parental_leave", "List all leave of a person on the payroll", Category.READ),
        ("leave_channel", "Leave a channel", Category.WRITE),
        ("power_off_machine", "Power off a machine", Category.EXECUTE),
        ("get_power_usage", "Get the power usage of a rack", Category.READ),
        ("exercise_warrant", "Exercises a held warrant", Category.FINANCIAL),
        ("list_exercise_templates", "List exercise templates of a workout", Category.READ),
        ("format_cells", "Format the cells of a sheet", Category.WRITE),
        ("format_disk", "Format a disk", Category.DESTRUCTIVE),
        ("format_json", "Format JSON for reading", Category.READ),
        ("confirm_member", "Confirm a member who was invited", Category.WRITE),
        ("deny_device", "Deny a device", Category.WRITE),
    ],
)
def test_what_scans_of_published_servers_taught(name: str, text: str, category: Category) -> None:
    """Each in words of its own: the records of the servers are what they were learned from."""
    assert one(name, text).category is category


def test_a_query_bounded_to_reading_reads_until_a_worse_word_stands_beside() -> None:
    assert one("query_sql", "Execute read-only SQL queries").category is Category.READ
    assert (
        one("query_sql", "Execute read-only SQL queries, or write with write=true").category
        is Category.EXECUTE
    )


@pytest.mark.parametrize(
    ("name", "category"),
    [
        ("createOrUpdateFile", Category.WRITE),
        ("pull_request_read", Category.READ),
        ("issue-write", Category.WRITE),
        ("pods.delete", Category.DESTRUCTIVE),
        ("find_and_replace", Category.WRITE),
        ("findOneAndDelete", Category.DESTRUCTIVE),
        ("get_merge_request", Category.READ),
        ("HTTPServerRestart", Category.EXECUTE),
        ("list_runs", Category.READ),
        ("payInvoice", Category.FINANCIAL),
        ("create_webhook_subscription", Category.WRITE),
    ],
)
def test_names_are_read_in_every_spelling(name: str, category: Category) -> None:
    assert one(name).category is category


def test_evidence_quotes_the_definition() -> None:
    result = one("wipeLogs", "Clear all logs")

    assert {(each.words, each.where) for each in result.evidence} == {
        ("wipe", "name"),
        ("clear", "description"),
    }
    assert all(each.reason for each in result.evidence)


# --- labels ---------------------------------------------------------------------------------------


def test_the_classifier_agrees_with_the_labels() -> None:
    rows = measured(labelled("intercept.json"))
    rest = [row for row in rows if (row.tool.server, row.tool.name) not in set_aside()]

    assert agreement(rows) >= 0.95
    assert agreement(rest) >= 0.98
    assert agreement(held_out(labelled("intercept.json"), only_seen_elsewhere=False)) >= 0.94
    assert agreement(held_out(labelled("intercept.json"), only_seen_elsewhere=True)) >= 0.92
    assert agreement(measured(labelled("handmade.json"))) >= 0.99


def test_labels_are_set_aside_by_words_of_their_definitions_only() -> None:
    tools = {(each.tool.server, each.tool.name): each for each in labelled("intercept.json")}
    aside = set_aside()

    assert len(aside) <= 0.03 * len(tools)
    for key, words in aside.items():
        assert words in tools[key].tool.description


@pytest.mark.parametrize("file", ["intercept.json", "handmade.json", "grave.json"])
def test_nothing_that_executes_destroys_or_moves_money_is_called_a_read(file: str) -> None:
    aside = set_aside()
    rows = [row for row in measured(labelled(file)) if row.label in {"Execute", "Destructive", "Financial"}]
    mild = [row.tool for row in rows if row.category in {"Read", "Unknown"}]

    assert rows
    assert [tool.name for tool in mild if (tool.server, tool.name) not in aside] == []


def near() -> list[Any]:
    return json.loads((ROOT / "tests/registry/labels/near.json").read_text(encoding="utf-8"))["tools"]


@pytest.mark.parametrize("tool", near(), ids=lambda tool: tool["tool"])
def test_what_is_near_to_a_misjudged_tool_is_called_what_its_label_says(tool: Any) -> None:
    result = one(
        tool["tool"], tool["description"], server=tool["server"], input_schema=tool.get("inputSchema")
    )

    assert result.category.value == tool["category"]


def test_no_rule_names_a_tool() -> None:
    names = {each.tool.name.lower() for each in labelled("intercept.json") if "_" in each.tool.name}
    rules = ROOT / "src/ostiary/registry/rules"  # not those that look for imitations of well-known names
    text = "".join(
        (rules / name).read_text("utf-8") for name in ("effects.toml", "signals.toml", "severity.toml")
    )

    assert [name for name in names if f'"{name}"' in text] == []


def test_no_verb_is_listed_twice() -> None:
    rules = load().effects
    words = [word for group in (*rules.verbs, *rules.learned) for word in group.words]

    assert sorted(words) == sorted(set(words))


# --- properties -----------------------------------------------------------------------------------

NAMES = st.text(min_size=1, max_size=40)
VERBS = st.sampled_from(
    ["get", "list", "create", "run", "delete", "pay", "manage", "thing", "query", "status", "x"]
)
TEXTS = st.lists(VERBS | st.text(max_size=12), max_size=12).map(" ".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["properties", "items", "enum", "type", "action", "anyOf", "const", "sql"]), inner
        )
    ),
    max_leaves=20,
)
TOOLS = st.builds(
    Described,
    name=NAMES | st.lists(VERBS, min_size=1, max_size=4).map("_".join),
    server=VERBS,
    description=TEXTS,
    input_schema=JSON,
    annotations=st.dictionaries(
        st.sampled_from(["readOnlyHint", "destructiveHint"]), st.booleans() | st.none()
    ),
)


@given(st.lists(TOOLS, max_size=4))
def test_a_result_depends_on_the_tool_alone(tools: list[Described]) -> None:
    alone = tuple(classify([tool])[0] for tool in tools)

    assert classify(tools) == alone
    assert classify(tools[::-1]) == alone[::-1]


@given(
    TOOLS,
    st.sampled_from(["Permanently deletes everything.", "Deletes the row.", "and deletes it", "delete"]),
)
def test_words_about_deletion_never_lower_the_severity(tool: Described, words: str) -> None:
    more = Described(
        name=tool.name,
        server=tool.server,
        description=f"{tool.description} {words}",
        input_schema=tool.input_schema,
        annotations=tool.annotations,
    )
    before, after = classify([tool, more])

    assert LADDER.index(after.severity) >= LADDER.index(before.severity)


@given(JSON)
def test_any_json_is_classified(value: object) -> None:
    annotations = {"readOnlyHint": value, "destructiveHint": value}
    (result,) = classify(
        [Described(name="a", input_schema=value, output_schema=value, annotations=annotations)]
    )

    assert 1 <= result.score <= 5
    assert 0 <= result.confidence <= 1


def test_huge_definitions_have_small_results() -> None:
    inner = {str(each): {"type": "string", "enum": ["delete"] * 500} for each in range(2_000)}
    result = one("get_" * 300_000, "delete, and " * 90_000, input_schema=takes(action={"properties": inner}))

    assert result.category is Category.DESTRUCTIVE
    assert "long-description" in codes(result)
    assert len(json.dumps([each.text for each in result.signals])) < 4_000
    assert len(result.evidence) <= 8
    assert all(len(each.words) <= 64 for each in result.evidence)
    assert MAX_TEXT < 90_000


# --- reading and grading --------------------------------------------------------------------------


def test_a_definition_is_read_from_its_bytes() -> None:
    raw = b'{"name":"t","title":"T","description":"d","inputSchema":{},"annotations":{"readOnlyHint":true}}'
    tool = described(ToolDefinition(name="t", digest="", raw=raw), "s")

    assert tool == Described(
        name="t", server="s", title="T", description="d", input_schema={}, annotations={"readOnlyHint": True}
    )
    assert described(ToolDefinition(name="t", digest="", input_schema=1, raw=b"{"), "s").input_schema == 1


def test_a_grade_shows_its_sum() -> None:
    good = grade(classify([Described(name="list_regions", description="List regions")]))
    bad = grade(classify([Described(name=f"delete_{each}") for each in range(30)]))

    assert (good.letter, good.points, good.parts) == ("A", 0, ())
    assert (bad.letter, bad.points, bad.parts) == ("F", 240, (("30 x Critical", 240),))


def test_one_tool_that_can_do_anything_is_no_good_grade() -> None:
    alone = grade(classify([Described(name="delete_database")]))

    assert (alone.letter, alone.points) == ("D", 8)
    assert alone.bound == "at best D: something is Critical"
    many = grade(classify([Described(name=f"delete_{each}") for each in range(30)]))
    assert (many.letter, many.bound) == ("F", "")
