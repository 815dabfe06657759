"""The page says what pytest said."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.containers.results import held, page

FILE = """<testsuites><testsuite>
<testcase name="test_a_restart_loses_nothing[agent]" time="12.3"/>
<testcase name="test_a_restart_loses_nothing[pager]" time="4.4"/>
<testcase name="test_a_fault_pages" time="250">
  <properties><property name="paged in" value="120 s"/><property name="resolved in" value="99 s"/></properties>{more}
</testcase>
</testsuite></testsuites>"""


def test_a_row_for_each_thing_that_holds(tmp_path: Path) -> None:
    """Of however many services, with the seconds of each."""
    junit = tmp_path / "junit.xml"
    junit.write_text(FILE.format(more=""), encoding="utf-8")
    text = page(list(held(junit)), 10, stand_ins=True)
    assert "| a restart loses nothing | 17 | agent 12 s; pager 4 s |" in text
    assert "| a fault pages | 250 | paged in 120 s, resolved in 99 s |" in text
    assert "Clocks 10 times as fast" in text
    assert "No registry could be reached" in text
    assert "No registry could be reached" not in page(list(held(junit)), 1, stand_ins=False)


@pytest.mark.parametrize("more", ["<failure/>", "<error/>", "<skipped/>"])
def test_what_did_not_pass_is_not_written(more: str, tmp_path: Path) -> None:
    """Neither as a row nor left out."""
    junit = tmp_path / "junit.xml"
    junit.write_text(FILE.format(more=more), encoding="utf-8")
    with pytest.raises(ValueError, match="a_fault_pages did not pass"):
        list(held(junit))
