"""`make up HISTORY=…`: a stack that is new gets weeks of history, one that is not keeps its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from stack import history
from stack.errors import StackError
from stack.layout import Layout, Ports


def test_a_stack_that_has_data_keeps_it_and_says_so(tmp_path: Path, programs: dict[str, Path]) -> None:
    """Made-up weeks beneath measured days would be neither."""
    (tmp_path / "prometheus" / "wal").mkdir(parents=True)
    said: list[str] = []
    history.write(Layout(Ports(), tmp_path), programs, "healthy", said.append)
    assert len(said) == 1
    assert said[0].startswith(f"keeping the history in {tmp_path / 'prometheus'};")
    assert [path.name for path in tmp_path.iterdir()] == ["prometheus"]


def test_an_unknown_story_is_refused_with_those_that_there_are(tmp_path: Path, programs: dict[str, Path]) -> None:
    """Before anything is written."""
    with pytest.raises(StackError, match="no story 'utopia'; the stories are healthy, adoption-declines"):
        history.write(Layout(Ports(), tmp_path), programs, "utopia", lambda _text: None)
    assert not list(tmp_path.iterdir())
