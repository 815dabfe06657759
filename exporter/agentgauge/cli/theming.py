"""`--themes-by MODEL`: a model sorts what reviewers wrote into themes, in whatever language they did."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from agentgauge.agent_app import AgentApp, Candidate, TrialRunner
from agentgauge.cli.common import stop, warn
from agentgauge.cli.evaluating import on_trial
from agentgauge.feedback.themes import Theme, theme_of
from agentgauge.feedback.theming import ThemeOf, requests, theme_by, themes_in

if TYPE_CHECKING:
    from agentgauge.autonomy.action import Action

ThemesBy = Annotated[
    str | None,
    typer.Option(
        "--themes-by", metavar="MODEL", help="Sorts reasons into themes, in any language; default: their English words."
    ),
]


def themes_of(app: AgentApp, candidate: Candidate, model: str | None, decided: Iterable[Action]) -> ThemeOf:
    """What sorts the reasons of these rejections: the model or, for what it leaves out and without one, their words."""
    asked = requests([one.reason for one in decided if one.decision == "rejected" and one.reason])
    if model is None or not asked:
        return theme_of
    if app.trials is None:
        stop(f"{app.name} declares no trials, through which a model is asked; add trials= to its AgentApp")

    async def ask(runner: TrialRunner) -> dict[str, Theme]:
        if runner.version.is_played:
            warn(f"there is no key for {model} (ANTHROPIC_API_KEY, for example): reasons are sorted by their words")
            return {}
        themes: dict[str, Theme] = {}
        for reasons, request in asked:
            try:
                answer, _cost_usd = await runner.judge(model, request)
            except Exception as error:  # whatever the provider's SDK raises: there are the words
                warn(f"{model} did not answer: {type(error).__name__}")
                continue
            themes |= themes_in(answer, reasons)
        count = sum(len(reasons) for reasons, _ in asked)
        if len(themes) < count:
            warn(f"{model} gave {len(themes)} of {count} reasons a theme; the others are sorted by their words")
        return themes

    return theme_by(on_trial(app, candidate, ask))
