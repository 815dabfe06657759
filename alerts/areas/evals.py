"""Evaluations: does the agent still do what it did, and do we still look?"""

from __future__ import annotations

from alerts import links
from alerts.counting import while_scraped
from alerts.model import Alert, Record

LAST_RUN = "agent_suite:agent_eval_last_run:max"

RECORDS = (Record(LAST_RUN, "max by (agent, suite) (<eval_last_run>)", area="evals"),)

ALERTS = (
    Alert(
        name="AgentEvalRegression",
        area="evals",
        summary="An evaluation suite passes less than it did before.",
        fires_when="a suite's pass ratio is below its baseline",
        # Compared within a replica: while a deploy rolls, old and new ones show two versions and two baselines.
        expr="""
max by (agent, suite) (
  <eval_pass_ratio> < on (job, instance, agent, suite) group_left () <eval_baseline_pass_ratio>
)
""",
        description=(
            "{{ $labels.agent }}: suite {{ $labels.suite }} passes {{ $value | humanizePercentage }} of its scenarios, "
            "less than with the version before."
        ),
        labels=("agent", "suite"),
        panel=links.EVAL_PASS_RATIO,
    ),
    Alert(
        name="AgentEvalStale",
        area="evals",
        summary="The evaluations have not run for too long.",
        fires_when="no eval run for <threshold>",
        # A suite that the agent no longer shows is forgotten, not fresh: its last run counts on.
        expr=while_scraped(f"""
(
  time()
  -
  (
    max by (agent, suite) (<eval_last_run>)
    or
    last_over_time({LAST_RUN}[30d:1h])
  )
) / 86400 > <threshold>
"""),
        description=(
            '{{ $labels.agent }}: suite {{ $labels.suite }} last ran {{ $value | printf "%.1f" }} days ago; more than '
            "<threshold> is too long."
        ),
        labels=("agent", "suite"),
        panel=links.EVAL_AGE,
    ),
)
