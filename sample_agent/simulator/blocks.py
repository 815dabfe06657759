"""Samples into blocks of Prometheus's database, by promtool."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

BLOCK_HOURS = 54
"""How much time a block holds: the longest that Prometheus itself makes when it keeps 30 days."""


class Samples(NamedTuple):
    """A series and its samples: Unix seconds and value, None where there is none."""

    name: str
    labels: Mapping[str, str]
    samples: Iterable[tuple[float, float | str | None]]


class PromtoolError(Exception):
    """promtool refused the samples; the message is its own."""


def write_openmetrics(lines: Iterable[Samples], file: Path) -> None:
    """Write the lines as OpenMetrics text."""
    with file.open("w", encoding="utf-8") as out:
        for name, labels, samples in lines:
            series = f"{name}{{{','.join(f'{label}={json.dumps(value)}' for label, value in labels.items())}}} "
            out.writelines([f"{series}{value} {at}\n" for at, value in samples if value is not None])
        out.write("# EOF\n")


def make_blocks(promtool: Path, file: Path, folder: Path) -> None:
    """Turn OpenMetrics text into blocks in ``folder``, and delete the text, which is a hundred times as large.

    It is read once for each block, so it had better not hold many. Raises PromtoolError.
    """
    # Blocks of two hours, the default, would mean reading the text twelve times a day of it.
    command = [str(promtool), "tsdb", "create-blocks-from", f"--max-block-duration={BLOCK_HOURS}h", "openmetrics"]
    result = subprocess.run([*command, "--quiet", str(file), str(folder)], capture_output=True, text=True, check=False)
    file.unlink()
    if result.returncode:
        said = (result.stderr or result.stdout).strip().splitlines()
        raise PromtoolError(f"promtool made no blocks: {said[-1] if said else f'status {result.returncode}'}")
