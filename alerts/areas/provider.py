"""The provider: does the model that the agent asks for answer?"""

from __future__ import annotations

from alerts import links
from alerts.model import Alert

MODEL_GONE = "not_found_error|model_not_found|http_404|http_410"
"""What providers, and proxies before them, answer for a model that is not there (any more)."""

ALERTS = (
    Alert(
        name="AgentModelGone",
        area="provider",
        summary="The provider does not know a model that the agent asks for.",
        fires_when="a model answers not_found",
        # Increases only: what an old process has counted says nothing about now when a new Prometheus meets it.
        expr=f"""
sum by (agent, model) (increase(<llm_errors>{{error_type=~"{MODEL_GONE}"}}[<window>])) >= <evidence>
""",
        description=(
            '{{ $labels.agent }}: {{ $value | printf "%.0f" }} calls of model {{ $labels.model }} in the last <window> '
            "were answered by not found: it was withdrawn, or its name is wrong."
        ),
        labels=("agent", "model"),
        panel=links.LLM_ERRORS,
        inhibits=("AgentTaskCompletionLow",),
    ),
)
