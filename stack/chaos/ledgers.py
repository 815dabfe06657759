"""A ledger in a file that is locked, read-only, or on a full disk."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import make_url

from stack import causes
from stack.chaos.stage import Stage

UNWRITTEN = "AgentTelemetryErrors"
"""What pages when the agent cannot write down what it measured."""
HOLD_SECONDS = 20.0
BALLAST = "ballast"
CHUNK = 1 << 16


def file_of(stage: Stage) -> Path:
    """The ledger's file."""
    return Path(make_url(stage.url).database or "")


@contextmanager
def locked(stage: Stage) -> Iterator[None]:
    """Another program holds the ledger's lock."""
    with causes.locked(file_of(stage)):
        yield


@contextmanager
def read_only(stage: Stage) -> Iterator[None]:
    """The ledger can be read and not written: mounted so over itself, or without the permission if not root."""
    file = file_of(stage)
    if os.geteuid() != 0:
        file.chmod(0o400)
        try:
            yield
        finally:
            file.chmod(0o600)
        return
    mount("--bind", str(file), str(file))
    try:
        mount("-o", "remount,bind,ro", str(file))
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(file)], check=True)


@contextmanager
def full_disk(stage: Stage) -> Iterator[None]:
    """Not a byte is left on the disk of the ledger."""
    with filled(file_of(stage).parent):
        yield


def agent_goes_on(stage: Stage) -> None:
    """The agent answers or refuses, and somebody is paged for what it cannot write down."""
    stage.wait_for_page(UNWRITTEN, stage.began)
    stage.pass_time(HOLD_SECONDS, "it goes on, so that people meet it")


def mount(*arguments: str) -> None:
    """mount(8); needs root."""
    subprocess.run(["mount", *arguments], check=True)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    """A disk of this size, in memory, at a folder; needs root."""
    folder.mkdir(parents=True, exist_ok=True)
    mount("-t", "tmpfs", "-o", f"size={megabytes}m", "agentgauge-chaos", str(folder))
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Fill the disk that a folder is on, to its last byte."""
    ballast = folder / BALLAST
    with ballast.open("wb", buffering=0) as file:
        for size in (CHUNK, 512, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:  # full, as far as writes of this size go
                continue
    try:
        yield
    finally:
        ballast.unlink()
