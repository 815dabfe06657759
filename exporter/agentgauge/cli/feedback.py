"""What people's decisions say, and what of it becomes examples and tests."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from agentgauge.autonomy.actions import Actions
from agentgauge.cli.common import open_ledger, out, stop
from agentgauge.feedback.export import export as write_files
from agentgauge.feedback.report import FeedbackReport
from agentgauge.feedback.report import report as make_report
from agentgauge.feedback.thumbs import thumbs_since
from agentgauge.files.watched_file import state_directory
from agentgauge.prompts.activations import PromptActivations
from sample_agent import assembly
from sample_agent.sales.tools import TOOLS_BY_NAME

app = typer.Typer(no_args_is_help=True, help="What people decided, what it points at, and what can be made of it.")

Days = Annotated[int, typer.Option(min=1, help="Look so far back.")]


@app.command()
def report(days: Days = 30) -> None:
    """Show what people rejected, edited and rated, and the improvements that it points at."""
    with open_ledger() as ledger:
        since = ledger.now() - timedelta(days=days)
        activations = PromptActivations(ledger, assembly.AGENT)
        active = activations.active()
        _print(
            make_report(
                Actions(ledger, assembly.AGENT).decided_since(since),
                thumbs_since(ledger, assembly.AGENT, since),
                activations.track_records(since),
                active.version if active else "none",
            )
        )


@app.command()
def export(
    days: Days = 30,
    folder: Annotated[Path | None, typer.Option("--out", help="Default: feedback, in the state folder.")] = None,
) -> None:
    """Write examples, preference pairs and shadow pairs as JSONL, and scenarios made from rejections as YAML.

    The files hold what users wrote.
    """
    folder = folder or state_directory() / "feedback"
    with open_ledger() as ledger:
        since = ledger.now() - timedelta(days=days)
        actions = Actions(ledger, assembly.AGENT)
        decided, compared = actions.decided_since(since), actions.compared_since(since)
    try:
        written = write_files(folder, decided, compared, TOOLS_BY_NAME)
    except OSError as error:
        stop(f"{error.filename or folder} cannot be written: {error.strerror or error}")
    for name, entries in written.items():
        out.print(f"{folder / name}: {entries}", markup=False, highlight=False, soft_wrap=True)


def _print(made: FeedbackReport) -> None:
    records = Table("prompts", "approved", "edited", "rejected", "approval rate", title="Decisions by prompt version")
    for version, record in made.records.items():
        name = f"{version} (in force)" if version == made.in_force else version
        rate = f"{100 * record.approved / record.decisions:.0f} % of {record.decisions}" if record.decisions else "–"
        records.add_row(name, str(record.approved), str(record.edited), str(record.rejected), rate)
    failures = Table("prompts", "tool", "why", "times", title="Rejections: where planning fails")
    for failure in made.failures:
        share = f"{failure.times} of {failure.rejections}"
        failures.add_row(failure.prompt_version, failure.tool, failure.theme, share)
    edits = Table("prompts", "what people change", title="Edits: which parameters are off")
    for change in made.changes:
        edits.add_row(change.prompt_version, escape(str(change)))
    thumbs = Table("thumb", "reason", "times", title="Thumbs")
    for (rating, reason), times in made.thumbs.items():
        thumbs.add_row(rating, reason, str(times))
    for table in (records, failures, edits, thumbs):
        if table.rows:
            out.print(table)
    out.print(f"What this points at, with prompts {made.in_force} in force:")
    for improvement in made.improvements or ("nothing yet.",):
        out.print(f"* {improvement}", markup=False, highlight=False, soft_wrap=True)
