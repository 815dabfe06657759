"""Evaluations: does the agent still do what it did, scenario by scenario and version by version."""

from __future__ import annotations

from agentgauge.evals.history import PLAYED, RECORDED
from alerts import links
from dashboards import queries, shared
from dashboards.annotations import EVERYWHERE
from dashboards.model import Dashboard, Limit, Query, Row
from dashboards.shapes import WINDOWS_OF_THE_RARE, headline, lines, stack, stat, table
from dashboards.style import AMBER, COUNT, RATIO, SECONDS

# Every replica shows the same ledger: its gauges are queried with max, never sum.

AGE = f"time() - {queries.ledger_gauge('eval_last_run', 'agent, suite')}"

# The pass ratio is there for the live version only: it tells which scores are those.
SCORE = """
max by (agent, suite, scenario, version) (
  <eval_score>{<where>} and on (job, instance, agent, suite, version) <eval_pass_ratio>{<where>}
)
"""


def with_answers(query: str) -> str:
    """A query whose series have a version, with the label ``answers``: were they real, recorded, or played?"""
    kinds = {"real": ".*", "recorded": f".*[+]{RECORDED}.*", "played": f".*[+]({RECORDED})?{PLAYED}.*"}
    for answers, version in kinds.items():
        query = f'label_replace({query.strip()}, "answers", "{answers}", "version", "{version}")'
    return query


AT_A_GLANCE = Row(
    "At a glance",
    (
        shared.scenarios_passed(100),
        stat(
            101,
            "Passed before",
            RATIO,
            "Share of the scenarios that the version before passed in its last run: the baseline; of the worst suite.",
            queries.lowest(queries.ledger_gauge("eval_baseline_pass_ratio", "agent, suite")),
        ),
        stat(
            102,
            "Against the baseline",
            RATIO,
            "Share passed, less that of the version before; below 0 something broke. Of the worst suite.",
            queries.lowest(
                f"{queries.ledger_gauge('eval_pass_ratio', 'agent, suite')}\n-\n"
                f"{queries.ledger_gauge('eval_baseline_pass_ratio', 'agent, suite')}"
            ),
            limit=Limit(0, "below"),
        ),
        stat(
            103,
            "Scenarios below 1",
            COUNT,
            "Scenarios that did not reach the full score in their last run.",
            f"sum({SCORE} < bool 1)",
            limit=Limit(1, "above", AMBER),
        ),
        stat(
            104,
            "Last run",
            SECONDS,
            "Age of the last run; of the suite that was run longest ago.",
            queries.highest(AGE),
            limit=Limit("AgentEvalStale", "above"),
        ),
        headline(
            105,
            "Runs failed",
            COUNT,
            "Evaluation runs that failed or could not be finished.",
            lambda over: queries.counted("eval_runs", over, having='result!="passed"'),
            limit=Limit(1, "above", AMBER),
            windows=WINDOWS_OF_THE_RARE,
        ),
    ),
)

VERDICT = Row(
    "Verdict",
    (
        lines(
            links.EVAL_PASS_RATIO.panel_id,
            "Scenarios passed",
            RATIO,
            "Share passed by the live version in its last run, by what answered: played answers are a script's and say "
            "nothing about prompts. Dashed line: the version before, the baseline of AgentEvalRegression.",
            Query(
                with_answers(queries.ledger_gauge("eval_pass_ratio", "agent, suite, version")),
                "{{suite}} {{version}}, {{answers}}",
            ),
            Query(
                queries.ledger_gauge("eval_baseline_pass_ratio", "agent, suite"),
                "{{suite}}, version before",
                is_limit=True,
            ),
            span=12,
        ),
        lines(
            links.EVAL_AGE.panel_id,
            "Age of the last run",
            SECONDS,
            "Time since each suite was last run; a deploy should run them all.",
            Query(AGE, "{{suite}}"),
            limits=(Limit("AgentEvalStale", "above"),),
            span=12,
        ),
    ),
)

SCENARIOS = Row(
    "Scenarios",
    (
        lines(
            106,
            "Score per scenario",
            RATIO,
            "Score of each scenario in the last run of the live version; 1 is everything right.",
            Query(f"min by (suite, scenario) ({SCORE})", "{{scenario}}"),
            span=12,
            height=10,
        ),
        table(
            107,
            "Score against the best",
            "Each scenario's score in its last run, and how far that is from its best in the range; red where it fell.",
            ("agent", "suite", "scenario", "version", "answers"),
            Query(with_answers(SCORE), "score", RATIO),
            Query(
                f"""
{with_answers(SCORE)}
- on (agent, suite, scenario) group_left ()
max by (agent, suite, scenario) (max_over_time(<eval_score>{{<where>}}[$__range]))
""",
                "change",
                RATIO,
                limit=Limit(0, "below"),
            ),
            span=12,
            height=10,
        ),
    ),
)

VERSIONS = Row(
    "Versions and runs",
    (
        lines(
            108,
            "Mean score per version",
            RATIO,
            "Mean over all scenarios of a suite, by the version that was run.",
            Query(
                with_answers(
                    f"avg by (suite, version) ({queries.ledger_gauge('eval_score', 'agent, suite, scenario, version')})"
                ),
                "{{suite}} {{version}}, {{answers}}",
            ),
            span=12,
        ),
        stack(
            109,
            "Runs",
            COUNT,
            "Evaluation runs of the 24 hours up to each moment, by result.",
            Query(queries.counted("eval_runs", "24h", "result"), "{{result}}"),
            span=12,
            drawn="bars",
        ),
    ),
)

EVALUATIONS = Dashboard(
    uid=links.EVALUATIONS,
    title="AgentGauge Evaluations",
    description="Does the agent still do what it did, scenario by scenario and version by version.",
    source="dashboards/evaluations.py",
    variables=("job", "instance", "agent"),
    annotations=EVERYWHERE,
    rows=(AT_A_GLANCE, VERDICT, SCENARIOS, VERSIONS),
    since="now-7d",
)
