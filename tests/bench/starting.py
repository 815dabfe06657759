"""What AgentGauge costs before the first call: packages, import, construction, memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@dataclass(frozen=True)
class Start:
    """The fastest start of several: CPU seconds of the import and to a priced gauge, MiB of memory added."""

    import_seconds: float
    construct_seconds: float
    memory_mib: float


def start(rounds: int, *, beside_sdk: bool, after_round: Callable[[], object] = lambda: None) -> Start:
    """Start in fresh interpreters; with `beside_sdk` on top of an imported ``anthropic``, middleware included."""
    command = [sys.executable, "-m", "tests.bench.fresh_start", *(["anthropic"] if beside_sdk else [])]
    starts = []
    for _ in range(rounds):
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        starts.append(Start(*json.loads(output)))
        after_round()
    return min(starts, key=lambda one: one.import_seconds + one.construct_seconds)


def installed_packages(name: str = "agentgauge") -> set[str]:
    """The packages that ``pip install`` of this one, without extras, brings here, itself included."""
    found: set[str] = set()
    asked: set[tuple[str, str]] = set()
    to_ask = [(name, "")]
    while to_ask:
        package, extra = to_ask.pop()
        if (package, extra) in asked:
            continue
        asked.add((package, extra))
        found.add(canonicalize_name(package))
        for requirement in map(Requirement, metadata.requires(package) or ()):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                to_ask += [(requirement.name, wanted) for wanted in ("", *requirement.extras)]
    return found
