"""What people did to the running agent, and when: one JSON line each in the state folder, oldest first."""

from __future__ import annotations

import getpass
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

FILE_NAME = "operations.jsonl"


@dataclass(frozen=True)
class Operation:
    """``what`` names tools, models and pseudonyms, never users; ``at`` is ISO 8601 in UTC."""

    at: str
    by: str
    what: str


def record(directory: Path, what: str) -> None:
    """Add a line on what was just done by the user who runs this process."""
    directory.mkdir(parents=True, exist_ok=True)
    operation = Operation(datetime.now(UTC).isoformat(timespec="seconds"), getpass.getuser(), what)
    with (directory / FILE_NAME).open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(operation)) + "\n")


def recorded(directory: Path) -> list[Operation]:
    """Everything that was done, oldest first."""
    path = directory / FILE_NAME
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [Operation(**json.loads(line)) for line in lines]
