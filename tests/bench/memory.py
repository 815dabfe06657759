"""Whether the memory of an agent stays flat as it works, whoever and whatever it meets.

Run in a process of its own with numbers of tool calls, each more than the one before; prints what is held after each.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

CALLS_OF_A_SESSION = 10
SESSIONS_A_REFRESH = 1000


@dataclass(frozen=True)
class Held:
    """After so many tool calls: objects that Python holds, and MiB of the process; NaN where there is no /proc."""

    tool_calls: int
    objects: int
    mib: float


def held(tool_calls: Sequence[int]) -> list[Held]:
    """Measure in a fresh process."""
    command = [sys.executable, "-m", "tests.bench.memory", *map(str, tool_calls)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [Held(**one) for one in json.loads(output)]


def main() -> None:
    """Work with a ledger, and every session's user, failure, model and one of its tools seen for the first time."""
    from prometheus_client import CollectorRegistry

    from agentgauge import AgentGauge, TokenUsage

    done = 0
    measured = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        ledger = f"sqlite:///{folder}/ledger.sqlite"
        gauge = AgentGauge("bench", tools=["search"], registry=CollectorRegistry(), ledger=ledger)
        stack.callback(gauge.close)
        for tool_calls in map(int, sys.argv[1:]):
            while done < tool_calls:
                with gauge.session(f"user-{done}") as session, session.task() as task, task.turn():
                    for _ in range(CALLS_OF_A_SESSION - 1):
                        with gauge.tool_call("search"):
                            pass
                    with gauge.tool_call(f"tool_{done}", cost_usd=0.01) as failing:
                        failing.fail(f"Error{done}")
                    gauge.llm_call(f"model-{done}").finish(TokenUsage(input=1000, output=100))
                done += CALLS_OF_A_SESSION
                if done % (SESSIONS_A_REFRESH * CALLS_OF_A_SESSION) == 0:
                    gauge.refresh_from_ledger()
            gauge.refresh_from_ledger()
            gc.collect()
            measured.append(Held(done, sys.getallocatedblocks(), _resident_mib()))
    print(json.dumps([asdict(one) for one in measured]))  # noqa: T201 - its only output


def _resident_mib() -> float:
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return float("nan")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main()
