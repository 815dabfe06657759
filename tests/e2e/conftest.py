"""One stack for all end-to-end tests: the real programs on free ports, with clocks ten times as fast."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stack import native, story
from stack.layout import Layout, Ports

SPEED = 10.0


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory, programs: dict[str, Path]) -> Iterator[Layout]:
    """A running stack; stopped, and nothing of it left, at the end."""
    made = Layout(Ports.free(), tmp_path_factory.mktemp("stack"), SPEED)
    with native.temporary(made, lambda _line: None, pace=10.0):
        story.wait_until_working(made)
        yield made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs the running stack."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
