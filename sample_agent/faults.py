"""Faults on demand: one small JSON file that says what is broken, read by the processes that shall break."""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from agentgauge.files.watched_file import WatchedFile, json_reader, write_json
from sample_agent.errors import CrmUnavailable, SchemaMismatch

FILE_NAME = "faults.json"

SLOW_TOOL_SECONDS = 7.0
SLOW_MODEL_SECONDS = 12.0
FLAKY_PROBABILITY = 0.2
HTTP_STATUS = {"overloaded": 529, "rate-limited": 429, "provider-error": 500, "model-gone": 404}

STALE_YEARS = 1
SURCHARGE_USD = 1.0
RUINOUS_USD = 6.0
"""One such call makes its session a runaway, however soon the session's budget ends it."""
BLOATED_CHARACTERS = 760_000
"""What a tool adds to its answer; about four characters are a token."""

Behaviour = Literal["looping", "declining", "choosy", "hallucinating"]


@dataclass(frozen=True)
class FaultKind:
    """What a fault does. `default_tool` is the tool it hits when none is named; None means every tool."""

    description: str
    acts_on: Literal["tools", "model", "reps"]
    default_tool: str | None = None


FAULTS: dict[str, FaultKind] = {
    "crm-outage": FaultKind("The CRM is down: every tool, or the one named, fails at once.", "tools"),
    "slow-tool": FaultKind(f"A tool takes {SLOW_TOOL_SECONDS:g} s longer than usual.", "tools", "get_deal_history"),
    "flaky-tool": FaultKind(f"A tool fails in {FLAKY_PROBABILITY:.0%} of its calls.", "tools", "search_crm_contacts"),
    "new-error": FaultKind(
        "A tool fails with SchemaMismatch, an error type it never raised before.", "tools", "get_deal_history"
    ),
    "stale-data": FaultKind("A tool answers with the dates of a year ago.", "tools", "get_deal_history"),
    "pricey-tool": FaultKind(
        f"The API behind a tool charges ${SURCHARGE_USD:g} more for each call.", "tools", "get_deal_history"
    ),
    "ruinous-tool": FaultKind(
        f"The API behind a tool charges ${RUINOUS_USD:g} more for each call.", "tools", "get_deal_history"
    ),
    "bloated-tool": FaultKind("A tool adds some 190 000 tokens to its answers.", "tools", "search_crm_contacts"),
    "looping": FaultKind("The model keeps calling tools and never answers.", "model"),
    "declining": FaultKind('The model answers "I can\'t help with that" to every request.', "model"),
    "choosy": FaultKind('The model answers "I can\'t help with that" to every fifth request.', "model"),
    "hallucinating": FaultKind("The model calls a tool that does not exist before it answers.", "model"),
    "slow-model": FaultKind(f"Each model answer takes {SLOW_MODEL_SECONDS:g} s.", "model"),
    "overloaded": FaultKind("The model provider answers 529 or breaks off its streams.", "model"),
    "rate-limited": FaultKind("The model provider answers 429 with a retry-after header.", "model"),
    "provider-error": FaultKind("The model provider answers 500.", "model"),
    "model-gone": FaultKind("The model provider answers 404: it does not know the model.", "model"),
    "cold-cache": FaultKind(
        "Nothing of a prompt is read from the provider's cache, as when a time stamp stands first in it.", "model"
    ),
    "usage-lost": FaultKind(
        "The model's answers report no tokens, as through a proxy that does not pass the usage on.", "model"
    ),
    "impatient-reps": FaultKind("Reps open conversations and leave without a word.", "reps"),
    "unhappy-reps": FaultKind("Reps rate every answer, most of them down.", "reps"),
    "picky-reviewers": FaultKind("Reps reject most of what the agent asks them to approve.", "reps"),
    "rubber-stamping": FaultKind("Reps approve whatever the agent asks them to.", "reps"),
    "absent-reviewers": FaultKind("Reps decide on nothing that the agent asks them to approve.", "reps"),
}


@dataclass(frozen=True)
class Fault:
    """A fault in force. `tool` narrows it to one tool; None leaves it to the kind of fault."""

    name: str
    tool: str | None = None

    def __post_init__(self) -> None:
        if self.name not in FAULTS:
            raise ValueError(_unknown(self.name))
        if self.tool is not None and FAULTS[self.name].acts_on != "tools":
            what = FAULTS[self.name].acts_on
            raise ValueError(f"fault {self.name!r} acts on the {what}; it takes no tool (got {self.tool!r})")

    def hits(self, tool: str) -> bool:
        """Say whether this fault applies to `tool`."""
        kind = FAULTS[self.name]
        target = self.tool or kind.default_tool
        return kind.acts_on == "tools" and target in (None, tool)


@dataclass(frozen=True)
class ToolFault:
    """What happens to one tool call: a delay, then `error` is raised unless it is None.

    The answer's dates are `stale_years` old, it is `padding` characters longer than need be, and costs `surcharge_usd`.
    """

    delay_seconds: float = 0.0
    error: Exception | None = None
    stale_years: int = 0
    padding: int = 0
    surcharge_usd: float = 0.0


@dataclass(frozen=True)
class ModelFault:
    """What the model provider does now; the defaults mean that all is well.

    `slow_seconds` replaces the usual latency of an answer; None leaves it as it is. With a `cold_cache` no prompt
    begins as another did; with `usage_lost` all counts of tokens are 0.
    """

    behaviour: Behaviour | None = None
    http_status: int | None = None
    slow_seconds: float | None = None
    cold_cache: bool = False
    usage_lost: bool = False


def inject(directory: Path, fault: Fault) -> None:
    """Put `fault` in force, beside those that already are; a second time changes nothing."""
    in_force = [known for known in FaultFile(directory).active() if known != fault]
    _write(directory, [*in_force, fault])


def clear(directory: Path, name: str | None = None) -> None:
    """End the faults called `name`, or all; ending what is not in force is fine.

    Raises ValueError if no such fault exists.
    """
    if name is not None and name not in FAULTS:
        raise ValueError(_unknown(name))
    remaining = [fault for fault in FaultFile(directory).active() if name not in (None, fault.name)]
    if remaining:
        _write(directory, remaining)
    else:
        (directory / FILE_NAME).unlink(missing_ok=True)


class FaultFile:
    """The faults in force in `directory`, read again whenever the file changes."""

    def __init__(self, directory: Path, rng: random.Random | None = None) -> None:
        self._file: WatchedFile[tuple[Fault, ...]] = WatchedFile(directory / FILE_NAME, json_reader(_parse), ())
        self._rng = rng or random.Random()  # noqa: S311 - decides which calls of a flaky tool fail

    def active(self) -> tuple[Fault, ...]:
        """Return the faults in force; costs one `stat` while the file is unchanged."""
        return self._file.value()

    def tool_fault(self, tool: str) -> ToolFault | None:
        """Return what shall happen to a call of `tool` that starts now; None if nothing."""
        delay_seconds = 0.0
        error: Exception | None = None
        stale_years = padding = 0
        surcharge_usd = 0.0
        for fault in self.active():
            if not fault.hits(tool):
                continue
            match fault.name:
                case "slow-tool":
                    delay_seconds += SLOW_TOOL_SECONDS
                case "crm-outage":
                    error = _unavailable(tool)
                case "flaky-tool" if self._rng.random() < FLAKY_PROBABILITY:
                    error = _unavailable(tool)
                case "new-error":
                    error = SchemaMismatch(f"{tool}: the CRM answered without the field 'records'")
                case "stale-data":
                    stale_years = STALE_YEARS
                case "bloated-tool":
                    padding = BLOATED_CHARACTERS
                case "pricey-tool":
                    surcharge_usd += SURCHARGE_USD
                case "ruinous-tool":
                    surcharge_usd += RUINOUS_USD
        found = ToolFault(delay_seconds, error, stale_years, padding, surcharge_usd)
        return None if found == ToolFault() else found

    def in_force(self, name: str) -> bool:
        """Say whether a fault of this name is in force."""
        return any(fault.name == name for fault in self.active())

    def model_fault(self) -> ModelFault:
        """Return how the model provider shall behave now."""
        names = {fault.name for fault in self.active()}
        return ModelFault(
            behaviour=next((name for name in get_args(Behaviour) if name in names), None),
            http_status=next((status for name, status in HTTP_STATUS.items() if name in names), None),
            slow_seconds=SLOW_MODEL_SECONDS if "slow-model" in names else None,
            cold_cache="cold-cache" in names,
            usage_lost="usage-lost" in names,
        )


def _parse(document: Any) -> tuple[Fault, ...]:
    """Return the faults of a decoded fault file; raises ValueError if it has another shape."""
    if not isinstance(document, dict) or not isinstance(document.get("faults"), list):
        raise ValueError("expected an object with a list 'faults'")
    faults = []
    for entry in document["faults"]:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise ValueError("every fault needs a 'name'")
        if not isinstance(entry.get("tool"), str | None):
            raise ValueError(f"the 'tool' of fault {entry['name']!r} is not a string")
        faults.append(Fault(entry["name"], entry.get("tool")))
    return tuple(faults)


def _write(directory: Path, faults: list[Fault]) -> None:
    write_json(directory / FILE_NAME, {"faults": [asdict(fault) for fault in faults]})


def _unavailable(tool: str) -> CrmUnavailable:
    return CrmUnavailable(f"{tool}: the CRM did not answer (503)")


def _unknown(name: str) -> str:
    return f"unknown fault {name!r}; known faults: {', '.join(FAULTS)}"
