"""What of a mitigation is run, what is left to people, and what stands for the words in capitals."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
import typer

from agentgauge.incident import mending, watching, words
from agentgauge.incident.conditions import Row
from agentgauge.incident.diagnosis import Diagnosis, Walked, quoted, with_labels
from agentgauge.incident.mending import MendingError, Plan
from agentgauge.incident.runbook import Mitigation, Step
from agentgauge.incident.terminal import cut, number, printable
from tests.commands import APPS

STEP = Step(1, "Which?", ("up",), (), 1)


def _mitigation(*blocks: tuple[str, ...]) -> Mitigation:
    return Mitigation(1, "Mend it.", blocks, 1)


def _found(*rows: Row) -> Diagnosis:
    return Diagnosis((Walked("AgentHung", STEP, "up", rows, None),), "no branch", "AgentHung")


@pytest.mark.parametrize("command", sorted(mending.LOOKING | mending.CHANGING))
def test_every_command_that_may_be_run_exists(command: str) -> None:
    """Of `agentgauge`, of the demo, or of its stack."""
    assert any(_has(program, command.split()) for program in ("agentgauge", "sample_agent")) or _has(
        "stack", command.split()[1:]
    )


def _has(program: str, names: list[str]) -> bool:
    command: Any = typer.main.get_command(import_module(APPS[program]).app)
    context = typer.Context(command, info_name=program)
    for name in names:
        if not hasattr(command, "resolve_command") or name not in command.list_commands(context):
            return False
        command = command.resolve_command(context, [name])[1]
    return True


@pytest.mark.parametrize(
    ("command", "effect"),
    [
        ("agentgauge --app my_agent:app ops tools", "looks"),
        ("agentgauge ops cache show", "looks"),
        ("agentgauge ops disable-tool TOOL", "changes"),
        ("python -m sample_agent fault clear", "changes"),
        ("python -m stack resume agent", "changes"),
        ("python -m stack down", "by hand"),
        ("agentgauge approvals approve APPROVAL_ID", "by hand"),
        ("curl -sS http://127.0.0.1:9464/metrics", "by hand"),
        ("python -m pip install anything", "by hand"),
    ],
)
def test_only_commands_that_are_named_are_run(command: str, effect: str) -> None:
    """What judges, what downloads and what stops everything is left to people."""
    assert mending.effect(command) == effect


def test_the_first_block_that_changes_something_is_run() -> None:
    """A list before it is not the mending; what undoes it comes later."""
    look, change, undo = (
        ("agentgauge ops spend",),
        ("agentgauge ops use-model tiny",),
        ("agentgauge ops use-model --default",),
    )
    assert mending.plan(_mitigation(look, change, undo), {}) == Plan(change, by_hand=False)


def test_a_block_with_something_for_people_in_it_is_left_to_them() -> None:
    """Half of it would be worse than nothing."""
    block = ("agentgauge ops disable-tool TOOL", "curl http://127.0.0.1/")
    assert mending.plan(_mitigation(block), {"TOOL": "search"}) == Plan(block, by_hand=True)
    assert mending.plan(_mitigation(), {}) == Plan((), by_hand=True)


def test_a_tool_is_the_alerts_or_that_of_the_largest_row() -> None:
    """A model or a session is not taken from the rows: the one that is named there is the one to get away from."""
    asks = _mitigation(("agentgauge ops disable-tool TOOL", "agentgauge ops use-model BETTER_MODEL"))
    rows = (Row({"tool": "fetch", "model": "large"}, 1), Row({"tool": "search", "model": "large"}, 2))
    assert mending.known_words(asks, _found(*rows), {"tool": "post"}) == {"TOOL": "post"}
    assert mending.known_words(asks, _found(*rows), {}) == {"TOOL": "search"}
    assert mending.known_words(asks, _found(Row({"tool": "--help"}, 1)), {"better_model": "tiny"}) == {
        "BETTER_MODEL": "tiny"
    }
    assert mending.plan(asks, {"TOOL": "a; b"}) == Plan(
        ("agentgauge ops disable-tool 'a; b'", "agentgauge ops use-model BETTER_MODEL"), False, ("BETTER_MODEL",)
    )


def test_a_session_is_the_first_of_the_list_of_that_agent() -> None:
    """The list is asked for with the beginning of the very command."""
    asked: list[list[str]] = []

    def run(arguments: Any) -> str:
        asked.append(list(arguments)[1:])
        return '[{"id": "s-1"}, {"id": "s-2"}]'

    command = "agentgauge --app my_agent:app ops end-session SESSION_ID"
    assert mending.first_of_list("SESSION_ID", run, command) == "s-1"
    assert asked == [["-m", "agentgauge", "--app", "my_agent:app", "ops", "sessions", "--json"]]
    assert mending.first_of_list("SESSION_ID", lambda _arguments: "[]", command) is None
    assert mending.first_of_list("MODEL", run, command) is None


def test_a_command_that_fails_stops_those_after_it() -> None:
    """And says which it was."""
    ran: list[str] = []
    with pytest.raises(MendingError, match=r"exit\(3\).* ended with 3; nothing after it was run"):
        mending.run(["python -c 'exit(3)'", "python -c 1"], ran.append)
    assert ran == ["python -c 'exit(3)'"]


def test_it_is_said_every_ten_seconds_that_it_still_fires() -> None:
    """Until it is over, or the patience is."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    said: list[float] = []
    assert watching.watch(lambda: now[0] < 25, 60, said.append, lambda: now[0], sleep) == 25
    assert said == [10, 20]
    now[0] = 0
    assert watching.watch(lambda: True, 5, said.append, lambda: now[0], sleep) is None


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (59, "59 s"), (200, "3 min 20 s"), (3600, "1 h"), (7500, "2 h 5 min"), (273600, "3 d 4 h")],
)
def test_a_duration_is_said_in_two_units_at_most(seconds: float, said: str) -> None:
    """3 min 20 s, not 200.0 s."""
    assert words.age(seconds) == said


def test_texts_of_others_are_on_one_line_and_move_no_cursor() -> None:
    """A label value can hold anything."""
    assert printable("a\x1b[2J\r\n\x07b") == "a\N{REPLACEMENT CHARACTER}[2J \N{REPLACEMENT CHARACTER}b"
    assert cut("abcdef", 4) == "abc…"
    assert cut("abcd", 4) == "abcd"


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.12345, "0.123"), (12, "12"), (12345.6, "12 346"), (float("nan"), "NaN"), (float("inf"), "+Inf")],
)
def test_a_figure_has_three_digits(value: float, said: str) -> None:
    """Enough to decide on."""
    assert number(value) == said


def test_rows_are_told_apart_by_the_labels_that_differ() -> None:
    """The three largest; what all have in common says nothing."""
    rows = [
        Row({"agent": "a", "tool": name, "outcome": "error"}, value) for name, value in (("x", 1), ("y", 3), ("z", 2))
    ]
    assert words.figures(rows) == "y 3, z 2, x 1"
    assert words.figures([*rows, Row({"agent": "a", "tool": "w", "outcome": "error"}, 0)]) == "y 3, z 2, x 1 … 1 more"
    assert words.figures([]) == "no rows"


def test_a_word_in_capitals_in_a_query_is_the_label_of_the_alert() -> None:
    """Quoted, so that a value cannot end the string."""
    assert with_labels('x{user="USER"}', {"user": 'a"b\\'}) == r'x{user="a\"b\\"}'
    assert with_labels('x{user="USER"}', {}) == 'x{user="USER"}'
    assert quoted("a\nb") == r'"a\nb"'
