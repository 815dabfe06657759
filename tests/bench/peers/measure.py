"""What an LLM call costs with AgentGauge and with other tools: agents in processes and environments of their own.

All ask the same server, in turns, so that a busy machine slows all alike. Times are of CPU, of the thread that calls
or of the agent's whole process.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from tests.bench.llm_calls import ASK
from tests.receiver import receiver

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parents[2] / ".stack" / "bench"
CASES = ("plain", "stream", "async_plain", "async_stream")
CALLS_A_ROUND = 5
OWN = "agentgauge"
"""The environment that this runs in; the others have a lock each, beside this file."""


@dataclass(frozen=True)
class Agent:
    """``setup`` and ``bare`` are functions of agent.py: with the instrumentation and without it."""

    name: str
    environment: str
    setup: str
    packages: tuple[str, ...]
    bare: str = "anthropic"
    exports: bool = False


AGENTS = (
    Agent("an empty middleware of the SDK", OWN, "empty_middleware", ("anthropic",)),
    Agent("AgentGauge", OWN, "agentgauge", ("agentgauge", "anthropic")),
    Agent("AgentGauge, with a ledger", OWN, "agentgauge_ledger", ("agentgauge", "anthropic")),
    Agent(
        "OpenLLMetry",
        "openllmetry",
        "openllmetry",
        ("opentelemetry-instrumentation-anthropic", "anthropic"),
        exports=True,
    ),
    Agent("Traceloop SDK", "traceloop", "traceloop", ("traceloop-sdk", "anthropic"), exports=True),
    Agent("OpenLIT", "openlit", "openlit", ("openlit", "anthropic"), exports=True),
    Agent("agento11y", "agento11y", "agento11y", ("agento11y-anthropic", "anthropic"), exports=True),
    Agent("LiteLLM, its Prometheus callback", "litellm", "litellm_prometheus", ("litellm",), bare="litellm"),
)


@dataclass(frozen=True)
class Cost:
    """What an agent costs more than the bare one of its environment.

    ``in_call`` and ``in_all`` are microseconds of CPU a call by case: of the thread that calls, at the median, and of
    the whole process, until all that it recorded is sent. ``start`` is CPU seconds of import and set-up, ``mib`` the
    memory then. ``versions`` are those of what is measured and of the SDK below it.
    """

    agent: Agent
    versions: str
    start: float
    mib: float
    in_call: dict[str, float] = field(default_factory=dict)
    in_all: dict[str, float] = field(default_factory=dict)


def costs(
    url: str, rounds: int, agents: Sequence[Agent] = AGENTS, after_round: Callable[[], object] = lambda: None
) -> list[Cost]:
    """Run `rounds` rounds of each case against the server at `url`; RuntimeError if an agent ends or sends nothing."""
    sent: Counter[str] = Counter()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        telemetry = stack.enter_context(receiver(lambda path: sent.update([path.split("/")[1]])))
        wanted = dict.fromkeys((one.environment, setup) for one in agents for setup in (one.bare, one.setup))
        pythons = {name: environment(name) for name, _ in wanted}
        running = {
            (name, setup): stack.enter_context(_running(pythons[name], setup, folder, url, telemetry))
            for name, setup in wanted
        }
        for one in running.values():
            one.start()
        turns = deque(running.values())
        for case in CASES:
            for one in turns:
                one.begin(case)
            for _ in range(rounds):
                turns.rotate()
                for one in turns:
                    one.play(case)
                after_round()
            for one in turns:
                one.end(case, rounds)
        for agent in agents:
            if agent.exports and not sent[agent.setup]:
                raise RuntimeError(f"{agent.name} sent nothing to its receiver, so that what it costs means nothing")
        return [
            _cost(agent, running[agent.environment, agent.setup], running[agent.environment, agent.bare])
            for agent in agents
        ]


def environment(name: str) -> Path:
    """The Python of an environment with exactly what its lock says; made unless it is there."""
    if name == OWN:
        return Path(sys.executable)
    folder, lock = ENVIRONMENTS / name, HERE / f"{name}.lock"
    python, made_from = folder / "bin" / "python", folder / "made-from.lock"
    if not made_from.exists() or made_from.read_bytes() != lock.read_bytes():
        uv = str(Path(sys.executable).with_name("uv"))
        subprocess.run([uv, "--quiet", "venv", "--clear", "--python", sys.executable, str(folder)], check=True)
        install = [uv, "--quiet", "pip", "install", "--require-hashes", "--compile-bytecode", "--python", str(python)]
        subprocess.run([*install, "-r", str(lock)], check=True)
        made_from.write_bytes(lock.read_bytes())
    return python


class _Running:
    """An agent that is running, and the CPU seconds that it said."""

    def __init__(self, setup: str, process: subprocess.Popen[str], log: Path) -> None:
        self._setup, self._process, self._log = setup, process, log
        self.started = 0.0
        self.mib = 0.0
        self.in_call: dict[str, list[float]] = {}
        self.in_all: dict[str, float] = {}
        self._since = 0.0

    def start(self) -> None:
        """Wait until it is ready, and let it make its first connections."""
        self.started, self.mib = json.loads(self._line())
        for case in CASES:
            self.asked(f"{case} 1")

    def begin(self, case: str) -> None:
        """A case begins."""
        self.in_call[case] = []
        self._since = self.asked("settle") or 0.0

    def play(self, case: str) -> None:
        """One round of it."""
        seconds = self.asked(f"{case} {CALLS_A_ROUND}")
        if seconds is not None:
            self.in_call[case].append(seconds / CALLS_A_ROUND * 1e6)

    def end(self, case: str, rounds: int) -> None:
        """The case is over."""
        if self.in_call[case]:
            self.in_all[case] = ((self.asked("settle") or 0.0) - self._since) / (rounds * CALLS_A_ROUND) * 1e6

    def asked(self, line: str) -> float | None:
        """Its answer: CPU seconds, or None for what it cannot."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # what it said at its end tells more
        answer: float | None = json.loads(self._line())
        return answer

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            last = self._log.read_text(encoding="utf-8").strip().rpartition("\n")[2]
            raise RuntimeError(f"the agent {self._setup} ended with code {self._process.wait()}: {last}")
        return line


@contextmanager
def _running(python: Path, setup: str, folder: Path, url: str, telemetry: str) -> Iterator[_Running]:
    home = folder / f"{python.parents[1].name}-{setup}"
    home.mkdir()
    own = {
        "HOME": str(home),
        "ASK": json.dumps(ASK),
        "MODEL_URL": url,
        "OTLP_URL": f"{telemetry}/{setup}",
        "LEDGER": str(home / "ledger.sqlite"),
        "AGENTO11Y_ENDPOINT": f"{telemetry}/{setup}",
        "AGENTO11Y_PROTOCOL": "http",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "TRACELOOP_TELEMETRY": "false",
    }
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG")}
    log = home / "log"
    with (
        log.open("w", encoding="utf-8") as errors,
        subprocess.Popen(
            [str(python), "-P", str(HERE / "agent.py"), setup],
            cwd=home,
            env={**kept, **own},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            yield _Running(setup, process, log)
        finally:
            process.kill()


def _cost(agent: Agent, instrumented: _Running, bare: _Running) -> Cost:
    in_call = {
        case: statistics.median(taken) - statistics.median(bare.in_call[case])
        for case, taken in instrumented.in_call.items()
        if taken
    }
    in_all = {case: taken - bare.in_all[case] for case, taken in instrumented.in_all.items()}
    start, mib = instrumented.started - bare.started, instrumented.mib - bare.mib
    return Cost(agent, _versions(agent), start, mib, in_call, in_all)


def _versions(agent: Agent) -> str:
    if agent.environment == OWN:
        return ", ".join(f"{name} {metadata.version(name)}" for name in agent.packages)
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", (HERE / f"{agent.environment}.lock").read_text(), re.MULTILINE))
    return ", ".join(f"{name} {pinned[name]}" for name in agent.packages)
