"""The page of the docs that walks from a page to its end: from the runbooks as they are, and the drill as it went."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from agentgauge.incident.runbook import Mitigation, Runbook, read
from stack.drill import SCENES, Drill, Scene
from stack.drill_results import DrillResult

RUNBOOKS = Path(__file__).resolve().parent.parent / "runbooks"


@dataclass(frozen=True)
class Walk:
    """Something that goes wrong, the alert that pages for it, and the operations symptom that it is, if it is one."""

    title: str
    alert: str
    symptom: str = ""


WALKS = (
    Walk("The CRM is down", "AgentAllToolCallsFailing", "all tool calls failing"),
    Walk("Sessions run in circles", "AgentSessionLooping", "the agent loops"),
    Walk("People reject what the agent proposes", "AgentApprovalRateLow", "a low approval rate"),
    Walk("Cost runs away", "AgentSessionCostRunaway", "a cost spike"),
    Walk("Answers rest on stale data", "AgentWrongAnswersReported", "users report wrong answers"),
    Walk("Answers are slow", "AgentLatencySpike", "a latency spike"),
    Walk("The model's provider is overloaded", "AgentLLMErrorsHigh"),
    Walk("Tasks fail since the last change", "AgentTaskCompletionLow"),
    Walk("Nobody decides what waits for approval", "AgentApprovalQueueStalled"),
    Walk("One tool fails now and then", "AgentToolSuccessRateLow"),
    Walk("The model has been withdrawn", "AgentModelGone"),
    Walk("A new version fails its evaluation", "AgentEvalRegression"),
)


def page(results: Mapping[str, DrillResult]) -> str:
    """The page as Markdown; ``results`` are those of the drill, by alert."""
    parts = [*_HEAD, *_COLUMNS, *(_row(walk, results.get(walk.alert)) for walk in WALKS)]
    for walk in WALKS:
        parts += ["", f"## {walk.title}", "", *_walk(walk, results.get(walk.alert))]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts))


_HEAD = (
    "# From the page to mended",
    "",
    "What goes wrong most often with an agent, each walked from its page to its end by what the runbook says, and by",
    "nothing else. The first six are the operations symptoms that the bundle answers, the others are incidents beside",
    "them. To walk one yourself, start the demo (`make up`), put the fault in, and give the link on the page to",
    "`agentgauge incident`:",
    "",
    "```sh",
    "python -m sample_agent fault inject crm-outage",
    "agentgauge incident 'THE LINK ON THE PAGE'",
    "```",
    "",
    "It runs the queries of the runbook, says which branch applies and why, asks before it runs the command, and",
    "watches until the alert is over. The button on the pager's page of the incident does the same.",
    "",
    "The times are those of the last [drill](drill.md), which walks unaided; `make drill WRITE=1` renews them. It runs",
    "on shortened clocks. The minutes are its seconds times that factor, rounded up: what to expect at most of an",
    "agent as busy as the demo, without the time in which you read. An alert is over once its window has drained;",
    "users are served again much sooner, seconds after you agree to the command.",
    "",
    "The commands are those of the demo; the runbooks that you render for your agent name yours.",
    "",
)
_COLUMNS = (
    "| what goes wrong | symptom | page | paged within | alert over, after the page, within |",
    "|---|---|---|---|---|",
)


def _row(walk: Walk, result: DrillResult | None) -> str:
    paged, over = (None, None) if result is None else (result.seconds_to_page, result.seconds_to_mended)
    speed = _drill_of(walk)[0].speed
    cells = [f"[{walk.title}](#{_anchor(walk.title)})", walk.symptom or "–", f"`{walk.alert}`"]
    return f"| {' | '.join([*cells, _minutes(paged, speed), _minutes(over, speed)])} |"


def _minutes(seconds: float | None, speed: float) -> str:
    return "not measured" if seconds is None else f"{math.ceil(seconds * speed / 60)} min"


def _walk(walk: Walk, result: DrillResult | None) -> Iterator[str]:
    book, (_, drill) = runbook(walk.alert), _drill_of(walk)
    yield f"`{walk.alert}`: {book.summary} The drill causes it by: {drill.what}."
    yield ""
    yield "The runbook asks:"
    yield ""
    yield from (f"{step.number}. {step.question}" for step in book.steps)
    yield ""
    yield "and, by what the answers are, it mends:"
    yield ""
    yield from _mitigations(book)
    if result is not None and result.how:
        yield f"In the drill the answers led to {result.how[0].lower()}{result.how[1:]}."


def _mitigations(book: Runbook) -> Iterator[str]:
    for number, one in enumerate(book.mitigations, 1):
        yield f"{number}. {_first_sentence(one)}"
        lines = [f"    {line}" for block in one.blocks for line in block]
        if lines:
            yield from ("", "    ```sh", *lines, "    ```")
        yield ""


def _first_sentence(one: Mitigation) -> str:
    return one.text.split(". ")[0].rstrip(".:") + "."


def runbook(alert: str) -> Runbook:
    """The alert's page, as `agentgauge incident` reads it."""
    name = f"{alert}.md"
    return read((RUNBOOKS / name).read_text(encoding="utf-8"), name)


def _drill_of(walk: Walk) -> tuple[Scene, Drill]:
    return next((scene, drill) for scene in SCENES for drill in scene.drills if drill.alert == walk.alert)


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-").replace("'", "")
