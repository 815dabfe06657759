"""Files that hold what people wrote: for the eyes of their owner."""

from __future__ import annotations

from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Write a text as UTF-8 to a file that only its owner can read from now on; OSError if it cannot be written."""
    path.touch(mode=0o600)
    path.chmod(0o600)  # before anything is in it
    path.write_text(text, encoding="utf-8")
