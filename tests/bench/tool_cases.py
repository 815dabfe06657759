"""What one tool call costs in each case: without a session, failing, with a cost, from threads, into files of workers.

Run in a process of its own, because what stands in PROMETHEUS_MULTIPROC_DIR is read once; prints nanoseconds by case.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from time import thread_time

from prometheus_client import CollectorRegistry

from agentgauge import AgentGauge, SessionLimits
from tests.bench.tool_calls import AGENT, CACHED, TOOL, sync_variants

CALLS_A_ROUND = 1000
THREADS = 8

Overheads = dict[str, float]
"""Nanoseconds of CPU by case, beyond the same case of the bare function."""


@dataclass(frozen=True)
class Case:
    """`bare` and `instrumented` are called in turns, inside of what `around` gives, once in each thread."""

    name: str
    bare: Callable[[str], object]
    instrumented: Callable[[str], object]
    around: Callable[[], AbstractContextManager[object]] = nullcontext
    threads: int = 1


def overheads(rounds: int, *, multiprocess: bool, threads: int = 0) -> Overheads:
    """Measure in a fresh process, the fastest of `rounds` rounds; `multiprocess` as one of several workers.

    With `threads`, only calls from so many threads at once.
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, **({"PROMETHEUS_MULTIPROC_DIR": folder} if multiprocess else {})}
        command = [sys.executable, "-m", "tests.bench.tool_cases", str(rounds), str(threads)]
        output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    measured: Overheads = json.loads(output)
    return measured


@contextmanager
def _cases() -> Iterator[list[Case]]:
    limits = SessionLimits(tool_calls=10**9, cost_usd=1e9)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        gauge = AgentGauge(AGENT, limits=limits, registry=CollectorRegistry())
        kept = AgentGauge(
            f"{AGENT}_kept", limits=limits, registry=CollectorRegistry(), ledger=f"sqlite:///{folder / 'ledger.sqlite'}"
        )
        stack.callback(kept.close)
        variants = sync_variants(gauge)
        cached = variants[CACHED]

        def bare(account: str) -> str:
            return account

        def failing(account: str) -> str:
            raise ConnectionError

        def failed(tool: Callable[[str], str]) -> Callable[[str], None]:
            def call(account: str) -> None:
                with contextlib.suppress(ConnectionError):
                    tool(account)

            return call

        session, counted = gauge.session, gauge.tool(TOOL)(bare)
        paid, paid_kept = (one.tool(TOOL, cost_usd=0.002)(bare) for one in (gauge, kept))
        yield [
            Case(CACHED, bare, cached),
            Case(f"{CACHED}, {THREADS} threads", bare, cached, threads=THREADS),
            Case("AgentGauge, a session in force", bare, counted, session),
            Case("AgentGauge, no session", bare, counted),
            Case("AgentGauge, the tool fails", failed(failing), failed(gauge.tool(TOOL)(failing)), session),
            Case("AgentGauge, with a cost", bare, paid, session),
            Case("AgentGauge, with a cost, a user and a ledger", bare, paid_kept, lambda: kept.session("rep-1")),
            Case(f"AgentGauge, {THREADS} threads", bare, counted, session, threads=THREADS),
        ]


def _nanoseconds(case: Case, tool: Callable[[str], object]) -> float:
    """Of one call, on average of the threads."""
    together = threading.Barrier(case.threads)
    taken = []

    def work() -> None:
        with case.around():
            together.wait()
            started = thread_time()
            for _ in range(CALLS_A_ROUND):
                tool("Globex")
            taken.append(thread_time() - started)

    threads = [threading.Thread(target=work) for _ in range(case.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(taken) / case.threads / CALLS_A_ROUND * 1e9


def main() -> None:
    """Measure, and print it as JSON."""
    with _cases() as cases:
        if threads := int(sys.argv[2]):
            several = [case for case in cases if case.threads > 1]
            cases = [
                replace(one, name=one.name.replace(str(THREADS), str(threads)), threads=threads) for one in several
            ]
        fastest = {case.name: [float("inf"), float("inf")] for case in cases}
        for _ in range(int(sys.argv[1])):
            for case in cases:
                for which, tool in enumerate((case.bare, case.instrumented)):
                    fastest[case.name][which] = min(fastest[case.name][which], _nanoseconds(case, tool))
    print(json.dumps({name: instrumented - bare for name, (bare, instrumented) in fastest.items()}))  # noqa: T201 - its only output


if __name__ == "__main__":
    main()
