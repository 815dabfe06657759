"""What kind a scenario is: noise, a reset or absent series, told by its series and not by what it is called."""

from __future__ import annotations

import re
from itertools import groupby, pairwise, permutations

from alerts.promql import Duration
from tests.alerts.notation import Series, Values, seconds, series
from tests.alerts.promtool import Scenario, rules_of

KINDS = ("fire", "silent", "noise", "reset", "absent")
SAID = ("noise", "reset", "absent")
"""Those that a scenario says of itself in ``kinds``; the first two follow from its verdicts."""

IRREGULAR = 8
"""So many different stretches of even steps make a series irregular: one that is made up has three or four."""
LOOKBACK = 300.0
"""Seconds for which Prometheus takes the last sample of a series that has ended for its value."""


def kinds_of(scenario: Scenario) -> set[str]:
    """The kinds that the scenario covers: what its verdicts show and what it says of itself."""
    shown = {"fire": "firing", "silent": "silent"}
    return {kind for kind, key in shown.items() if any(key in one for one in scenario.verdicts)} | set(scenario.kinds)


def proves(scenario: Scenario, kind: str) -> bool:
    """Whether the series of the scenario are what a scenario of this kind needs."""
    every = [series(name, values) for name, values in scenario.series.items()]
    step = Duration.parse(scenario.interval).seconds
    if kind == "noise":
        return any(irregular(one.values) and _silent_for(one, scenario) for one in every)
    if kind == "reset":
        return any(map(restarted, every)) or any(replaced(old, new) for old, new in permutations(every, 2))
    read = set(re.findall(r"\b[a-z]\w+", "\n".join(rule["expr"] for rule in rules_of(scenario.alert)["rules"])))
    its = [one for one in every if one.name in read and one.name != "ALERTS"]
    moments = [seconds(verdict["at"]) for verdict in scenario.verdicts]
    if any(not _there(one, moment, step) for one in its for moment in moments):
        return True
    idle = {one.labels.get("agent") for one in every} - {one.labels.get("agent") for one in its}
    return bool(idle) or not its


def _silent_for(one: Series, scenario: Scenario) -> bool:
    """Whether there is a verdict at which the alert does not fire for what the series is about."""
    return any(
        not any(all(one.labels.get(name, value) == value for name, value in firing.items()) for firing in fired)
        for fired in (verdict.get("firing", []) for verdict in scenario.verdicts)
    )


def irregular(values: Values) -> bool:
    """Whether the series moves as chance moves it: in steps and pauses of many lengths."""
    steps = [
        None if before is None or after is None else round(after - before, 6) for before, after in pairwise(values)
    ]
    return len({(step, len(list(run))) for step, run in groupby(steps)}) >= IRREGULAR


def restarted(one: Series) -> bool:
    """Whether a counter falls, the start of the process moves, or the series is interrupted."""
    there = [value for value in one.values if value is not None]
    if one.name.endswith("_process_start_timestamp_seconds"):
        return len(set(there)) > 1
    counts = one.name.endswith(("_total", "_count", "_sum", "_bucket"))
    fell = counts and any(after < before for before, after in pairwise(there))
    at = [place for place, value in enumerate(one.values) if value is not None]
    return fell or any(after - before > 1 for before, after in pairwise(at))


def replaced(old: Series, new: Series) -> bool:
    """Whether a series ends on one process, and begins on another within the scenario."""
    one, other = ({name: value for name, value in it.labels.items() if name != "instance"} for it in (old, new))
    if old.name != new.name or one != other or not old.values or not new.values:
        return False
    return new.values[0] is None and (old.values[-1] is None or len(old.values) < len(new.values))


def _there(one: Series, moment: float, step: float) -> bool:
    """Whether the series has a value at the moment, and had one from the beginning."""
    until = one.values[: int(moment // step) + 1]
    late = one.values[0] is None
    last = max((at for at, value in enumerate(until) if value is not None), default=-1)
    return not late and last >= 0 and moment - last * step < max(LOOKBACK, 2 * step)
