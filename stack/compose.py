"""The stack in containers, where a Docker engine answers."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from stack.errors import StackError
from stack.layout import ROOT

Say = Callable[[str], None]


def engine_answers() -> bool:
    """Whether ``docker`` reaches an engine and knows ``compose``."""
    return all(_quiet(command) for command in (["docker", "info"], ["docker", "compose", "version"]))


def up(say: Say) -> None:
    """Build and start the containers and wait until all are healthy; StackError with what Docker said otherwise."""
    say("starting containers (the first time, images are fetched and built: some minutes)")
    if subprocess.run(["docker", "compose", "up", "--build", "--detach", "--wait"], cwd=ROOT, check=False).returncode:
        subprocess.run(["docker", "compose", "down"], cwd=ROOT, check=False)
        raise StackError(
            "docker compose could not start the stack (see above); `make up NATIVE=1` runs it without Docker"
        )


def follow_pages() -> None:
    """Show the pager's output until Ctrl-C."""
    subprocess.run(["docker", "compose", "logs", "--follow", "--no-log-prefix", "pager"], cwd=ROOT, check=False)


def down() -> None:
    """Stop and remove the containers."""
    subprocess.run(["docker", "compose", "down"], cwd=ROOT, check=False)


def _quiet(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
