"""What people's decisions say, and what of it becomes examples and tests."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from agentgauge.cli import improving, watching
from agentgauge.cli.common import AsJson, agent, group, opened_ledger, say, stop, warn
from agentgauge.cli.evaluating import candidate_of
from agentgauge.cli.tables import Column, Row, print_json, print_rows
from agentgauge.cli.theming import ThemesBy, themes_of
from agentgauge.cli.watching import Days
from agentgauge.feedback.report import FeedbackReport
from agentgauge.feedback.report import report as make_report
from agentgauge.feedback.themes import theme_of

app = group("feedback")
app.command()(improving.improve)
app.command()(watching.watch)

SECTIONS = {
    "records": (
        "Decisions by prompt version",
        [
            Column("prompts", "prompts"),
            *(Column(key, key, right=True) for key in ("approved", "edited", "rejected")),
            Column("approval_rate", "approval rate", lambda rate: "–" if rate is None else f"{rate:.0%}", right=True),
        ],
    ),
    "rejections": (
        "Rejections: where planning fails",
        [
            Column("prompts", "prompts"),
            Column("tool", "tool"),
            Column("why", "why", wraps=True),
            Column("times", "times", right=True),
            Column("of", "of", right=True),
        ],
    ),
    "edits": (
        "Edits: which parameters are off",
        [Column("prompts", "prompts"), Column("change", "what people change", wraps=True)],
    ),
    "thumbs": (
        "Thumbs",
        [Column("rating", "thumb"), Column("reason", "reason"), Column("times", "times", right=True)],
    ),
}


@app.command()
def report(days: Days = 30, themes_by: ThemesBy = None, as_json: AsJson = False) -> None:
    """Show what people rejected, edited and rated, and the improvements that it points at."""
    from agentgauge.autonomy.actions import Actions
    from agentgauge.feedback.thumbs import thumbs_since
    from agentgauge.prompts.activations import PromptActivations

    app = agent()
    with opened_ledger(app) as ledger:
        since = ledger.now() - timedelta(days=days)
        activations = PromptActivations(ledger, app.name)
        active = activations.active()
        decided = Actions(ledger, app.name).decided_since(since)
        made = make_report(
            decided,
            thumbs_since(ledger, app.name, since),
            activations.track_records(since),
            active.version if active else "none",
            theme_of if themes_by is None else themes_of(app, candidate_of(app, ledger), themes_by, decided),
        )
    rows = _rows(made)
    if as_json:
        print_json({"in_force": made.in_force, **rows, "improvements": [str(one) for one in made.improvements]})
        return
    for name, (title, columns) in SECTIONS.items():
        if rows[name]:
            print_rows(columns, rows[name], as_json=False, nothing="", title=title)
            say("")
    say(f"What this points at, with prompts {made.in_force} in force:")
    say(*(f"* {improvement}" for improvement in made.improvements or ("nothing yet.",)))


@app.command()
def export(
    days: Days = 30,
    folder: Annotated[Path | None, typer.Option("--out", help="Default: feedback, in the state folder.")] = None,
    proven: Annotated[
        bool,
        typer.Option("--proven/--unproven", help="Run each scenario on the rejected prompts; keep those that fail."),
    ] = True,
    judge: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Who judges whether the reviewer would say it again."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write examples, preference pairs and shadow pairs as JSONL, and scenarios made from rejections as YAML.

    A scenario that passes on what was rejected tests nothing: it is left out, and named. The files hold what users
    wrote.
    """
    from agentgauge.autonomy.actions import Actions
    from agentgauge.feedback.export import SCENARIOS, scenario_name
    from agentgauge.feedback.export import export as write_files

    app = agent()
    folder = folder or app.state / "feedback"
    if proven and app.trials is None:
        stop(f"{app.name} declares no trials to prove the scenarios with; add trials= to its AgentApp, or --unproven")
    with opened_ledger(app) as ledger:
        since = ledger.now() - timedelta(days=days)
        actions = Actions(ledger, app.name)
        decided, compared = actions.decided_since(since), actions.compared_since(since)
    try:
        written = write_files(folder, decided, compared, app.tool_names)
    except OSError as error:
        stop(f"{error.filename or folder} cannot be written: {error.strerror or error}")
    if proven:
        from agentgauge.cli.proving import keep_proven

        guilty = {scenario_name(one): one.proposal.prompt_version for one in decided if one.decision == "rejected"}
        left_out = keep_proven(app, folder / SCENARIOS, guilty, judge)
        for line in left_out:
            warn(line)
        written[SCENARIOS] -= len(left_out)
    rows = [{"file": str(folder / name), "entries": entries} for name, entries in written.items()]
    print_rows([Column("file", "file"), Column("entries", "entries", right=True)], rows, as_json=as_json, nothing="")


def _rows(made: FeedbackReport) -> dict[str, list[Row]]:
    """The tables of the report, by the names of SECTIONS."""
    return {
        "records": [
            {
                "prompts": f"{version} (in force)" if version == made.in_force else version,
                "approved": record.approved,
                "edited": record.edited,
                "rejected": record.rejected,
                "decisions": record.decisions,
                "approval_rate": record.approved / record.decisions if record.decisions else None,
            }
            for version, record in made.records.items()
        ],
        "rejections": [
            {
                "prompts": one.prompt_version,
                "tool": one.tool,
                "why": one.theme,
                "times": one.times,
                "of": one.rejections,
            }
            for one in made.failures
        ],
        "edits": [{"prompts": one.prompt_version, "change": str(one)} for one in made.changes],
        "thumbs": [
            {"rating": rating, "reason": reason, "times": times} for (rating, reason), times in made.thumbs.items()
        ],
    }
