"""How far a judge can be believed: what it says of examples that people labelled, beside what they said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agentgauge.evals import intervals
from agentgauge.evals.intervals import Interval, Share
from agentgauge.evals.judge import Judge
from agentgauge.evals.scenario import ScenarioError
from agentgauge.evals.transcript import TrialTranscript
from agentgauge.files.data_file import parse_json


@dataclass(frozen=True)
class Labelled:
    """An example: a criterion, a transcript, and whether a person says that it meets the criterion."""

    criterion: str
    transcript: TrialTranscript
    passed: bool


@dataclass(frozen=True)
class Agreement:
    """A judge beside people; each count is (of people, of the judge): ``passed_failed`` they passed and it failed."""

    both_passed: int
    both_failed: int
    passed_failed: int
    failed_passed: int
    cost_usd: float

    @property
    def examples(self) -> int:
        """How many there were."""
        return self.both_passed + self.both_failed + self.passed_failed + self.failed_passed

    @property
    def agreement(self) -> Interval:
        """The share on which they agree."""
        return intervals.share(Share(self.both_passed + self.both_failed, self.examples))

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa: 1 if they always agree, 0 if no more than by chance; None if one of them never differs."""
        people, judge = self.both_passed + self.passed_failed, self.both_passed + self.failed_passed
        count = self.examples
        chance = (people * judge + (count - people) * (count - judge)) / count**2
        return None if chance == 1 else (self.agreement.estimate - chance) / (1 - chance)


def read_labels(path: Path) -> list[Labelled]:
    """Read examples, a JSON object a line: criterion, passed, transcript; raises ScenarioError with file and line."""
    examples = []
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise ScenarioError(f"{path} cannot be read: {error.strerror or error}") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            one = parse_json(line, path.name, number)
            transcript = TrialTranscript.from_json(one["transcript"])
            examples.append(Labelled(str(one["criterion"]), transcript, bool(one["passed"])))
        except (ValueError, KeyError, TypeError) as error:
            problem = "expected criterion, passed and transcript, as `eval show --json` prints it"
            raise ScenarioError(f"{path}:{number}: {problem} ({type(error).__name__}: {error})") from None
    if not examples:
        raise ScenarioError(f"{path} holds no examples; write some, a JSON object a line")
    return examples


async def calibrate(judge: Judge, examples: Sequence[Labelled]) -> Agreement:
    """Have a judge judge examples; raises what the judge raises."""
    counts: dict[tuple[bool, bool], int] = {}
    cost_usd = 0.0
    for example in examples:
        judgement = await judge(example.criterion, example.transcript)
        said = (example.passed, judgement.passed)
        counts[said] = counts.get(said, 0) + 1
        cost_usd += judgement.cost_usd
    return Agreement(
        both_passed=counts.get((True, True), 0),
        both_failed=counts.get((False, False), 0),
        passed_failed=counts.get((True, False), 0),
        failed_passed=counts.get((False, True), 0),
        cost_usd=cost_usd,
    )
