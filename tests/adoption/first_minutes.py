"""`make bench-adoption`: what it takes from `pip install` to the first number, for each adapter and for other tools.

Each agent runs in an empty environment of its own, with the wheel alone; its model answers on this machine. What other
tools export goes to a receiver on this machine, too.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sample_agent.serving import serving
from tests.adoption.quick_starts import OTHERS, OURS, QuickStart
from tests.adoption.stranger import INSTALLING, ROOT, say
from tests.frameworks.provider import Provider
from tests.ports import free_port
from tests.receiver import receiver

PAGE = ROOT / "docs" / "adoption.md"
PATIENCE_SECONDS = 75.0  # OpenTelemetry exports metrics once a minute
LOOK_AGAIN_SECONDS = 0.02
USAGE = {
    "prompt_tokens": 70,
    "completion_tokens": 9,
    "total_tokens": 79,
    "input_tokens": 70,
    "output_tokens": 9,
    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "output_tokens_details": {"reasoning_tokens": 0},
}


@dataclass(frozen=True)
class Measured:
    """One quick start. ``bare`` is the answer without it, ``first`` what came first and after how many seconds."""

    name: str
    versions: str
    lines: int
    packages: int = 0
    megabytes: float = 0
    bare: float = 0
    first: tuple[tuple[str, float], ...] = ()
    refused: str = ""


class NotInstallableError(Exception):
    """The installer's own words."""


class NotRunningError(Exception):
    """The agent ended before its answer; the message is the last line that it said."""


def main() -> int:
    """Measure and print the page, or write it; 1 if one of our own quick starts shows nothing."""
    parser = argparse.ArgumentParser(prog="python -m tests.adoption.first_minutes", description=__doc__)
    parser.add_argument("--only", default="", help="only the quick starts with this word in their name")
    parser.add_argument("--write", action="store_true", help="write docs/adoption.md")
    options = parser.parse_args()
    chosen = [one for one in (*OURS, *OTHERS) if options.only.lower() in one.name.lower()]
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = _wheel(folder)
        measured = [_measured(folder, one, wheel) for one in chosen]
    text = page(measured, (load, os.getloadavg()[0]))
    if options.write:
        PAGE.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
    ours = {one.name for one in OURS}
    return int(any(one.name in ours and not one.first for one in measured))


def _wheel(folder: Path) -> Path:
    say("building the wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def _measured(folder: Path, one: QuickStart, wheel: Path) -> Measured:
    say(one.name)
    added = [requirement.format(wheel=wheel.as_uri()) for requirement in one.added]
    try:
        after = _environment(folder / "after", [*one.packages, *added])
        # Before: the same versions of what the agent needs, without what is added.
        kept = _installed(after)
        named = [name.partition("[")[0] for name in one.packages]
        pinned = [f"{wanted}=={kept[name]}" for wanted, name in zip(one.packages, named, strict=True)]
        before = _environment(folder / "before", pinned)
    except NotInstallableError as error:
        return Measured(one.name, "", one.lines, refused=f"not installable: {error}")
    ours = set(kept) - set(_installed(before))
    tools = [requirement.partition("[")[0].partition(" ")[0] for requirement in one.added]
    with serving(Provider(usage=USAGE).app()) as model:
        bare = _seconds_to_answer(before, one.before, model)
        try:
            first = _first_numbers(after, one.after, model)
        except NotRunningError as error:
            return Measured(one.name, "", one.lines, refused=f"does not run: {error}")
    return Measured(
        one.name,
        ", ".join(f"{name} {kept[name]}" for name in (*named, *tools)),
        one.lines,
        len(ours),
        _megabytes(after) - _megabytes(before),
        bare,
        tuple(first),
    )


def _environment(folder: Path, requirements: Sequence[str]) -> Path:
    """A fresh environment with these packages, compiled as pip does it."""
    uv = [str(Path(sys.executable).with_name("uv")), "--quiet"]
    subprocess.run([*uv, "venv", "--clear", "--python", sys.executable, str(folder)], check=True)
    install = [*uv, "pip", "install", "--compile-bytecode", "--python", str(folder / "bin" / "python"), *requirements]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotInstallableError(" ".join(done.stderr.split()))
    return folder


def _site(environment: Path) -> Path:
    return next((environment / "lib").glob("python3*/site-packages"))


def _installed(environment: Path) -> dict[str, str]:
    """Name → version of every package."""
    found = importlib.metadata.distributions(path=[str(_site(environment))])
    return {one.name.lower().replace("_", "-"): one.version for one in found}


def _megabytes(environment: Path) -> float:
    files = (path for path in _site(environment).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return sum(path.stat().st_size for path in files) / 1e6


@contextmanager
def _running(environment: Path, program: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """The agent, in a folder of its own, with nothing of this repository on any path."""
    kept = {
        name: value for name, value in os.environ.items() if name in ("PATH", "LANG") or name.startswith(INSTALLING)
    }
    kept = {name: value for name, value in kept.items() if "proxy" not in name.lower()}
    with tempfile.TemporaryDirectory() as home:
        process = subprocess.Popen(
            [str(environment / "bin" / "python"), "-c", program],
            cwd=home,
            env={**kept, **variables, "HOME": home, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


def _answered(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == "answered":
            return
    assert process.stderr is not None
    raise NotRunningError(process.stderr.read().strip().rpartition("\n")[2])


def _seconds_to_answer(environment: Path, program: str, model: str) -> float:
    started = time.monotonic()
    with _running(environment, program, MODEL_URL=model) as process:
        _answered(process)
    return time.monotonic() - started


def _first_numbers(environment: Path, program: str, model: str) -> list[tuple[str, float]]:
    """What came first, from the start of the process: a series at /metrics, or what reached the receiver."""
    if "agentgauge" not in program:
        return _exported(environment, program, model)
    port = free_port()
    started = time.monotonic()
    with _running(environment, program.replace("serve()", f"serve({port})"), MODEL_URL=model) as process:
        while time.monotonic() - started < PATIENCE_SECONDS and process.poll() is None:
            if _counts_a_call(port):
                return [("series", time.monotonic() - started)]
            time.sleep(LOOK_AGAIN_SECONDS)
        if process.poll() is not None and process.stderr is not None:
            say(process.stderr.read())
    return []


def _counts_a_call(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
    except (urllib.error.URLError, OSError):
        return False
    return any(line.startswith("agent_llm_calls_total{") and not line.endswith(" 0.0") for line in lines)


def _exported(environment: Path, program: str, model: str) -> list[tuple[str, float]]:
    """What each path of the receiver was first told, and when, until it was told of metrics or patience ends."""
    came: dict[str, float] = {}
    metrics = threading.Event()

    def on_post(path: str) -> None:
        kind = {"/v1/metrics": "series", "/v1/traces": "span", "/v1/logs": "log"}.get(path, "record")
        came.setdefault(kind, time.monotonic())
        if kind == "series":
            metrics.set()

    with receiver(on_post) as url:
        started = time.monotonic()
        with _running(
            environment, program, MODEL_URL=model, OTLP_URL=url, AGENTO11Y_ENDPOINT=url, AGENTO11Y_PROTOCOL="http"
        ) as process:
            _answered(process)
            metrics.wait(PATIENCE_SECONDS)
    return [(what, at - started) for what, at in came.items()]


HEAD = """<!-- Written by `make bench-adoption WRITE=1`; do not edit. -->

# The first minutes

How much it takes to see a first number of an agent that asks a model one question: lines that are new or different in
the agent, packages and megabytes that are installed besides what it has already, and seconds from its start to the
first series (in brackets, what the same agent without it takes to its answer). Each agent ran once, right after the
installation, in an empty environment of its own, from the wheel alone, with a model on the same machine that answers
at once.

Measured with `make bench-adoption WRITE=1` on {day}: {machine},
load {load_before:.0f} at the beginning and {load_after:.0f} at the end. With more load than cores, seconds say little
beyond their order.

| | versions | lines | packages | MB | first number after |
|---|---|---|---|---|---|
"""
TAIL = """
Two quick starts are not in the table: the Claude Agent SDK asks its model in a process of its own, and MCP asks none.

Other tools send what they have to a receiver, here one on the same machine, at the intervals that they come with. A
span is a trace of the call; a record is a tool's own format. AgentGauge's series are there when Prometheus scrapes.
What each of them counts besides is not compared here.
"""


def page(measured: Sequence[Measured], load: tuple[float, float]) -> str:
    """The page of the documentation; ``load`` is the machine's, before and after."""
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    head = HEAD.format(day=datetime.now(UTC).date(), machine=machine, load_before=load[0], load_after=load[1])
    return head + "".join(map(_row, measured)) + TAIL


def _row(one: Measured) -> str:
    if one.refused:
        return f"| {one.name} | {one.refused.replace('|', '/')} | {one.lines} | | | |\n"
    first = ", ".join(f"{what} {seconds:.1f} s" for what, seconds in one.first) or "nothing came"
    cells = [
        one.name,
        one.versions,
        one.lines,
        f"+{one.packages}",
        f"+{one.megabytes:.0f}",
        f"{first} ({one.bare:.1f} s)",
    ]
    return f"| {' | '.join(map(str, cells))} |\n"


if __name__ == "__main__":
    raise SystemExit(main())
