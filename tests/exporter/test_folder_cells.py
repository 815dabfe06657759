"""What several processes counted is shown as prometheus_client would show it, and read faster."""

from __future__ import annotations

import random
from pathlib import Path

from prometheus_client.multiprocess import MultiProcessCollector

from agentgauge import metrics
from agentgauge.cells import SharedCells
from agentgauge.folder_cells import FolderFamilies
from agentgauge.series import Counter, Family, Histogram

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Worker:
    """What one process counts; each SharedCells has files of its own, as those of a process are."""

    def __init__(self, folder: Path) -> None:
        cells = SharedCells(folder)
        self.calls = Family(metrics.TOOL_CALLS, "counter", cells)
        self.errors = Family(metrics.TOOL_ERRORS, "counter", cells)
        self.seconds = Family(metrics.TOOL_DURATION, "histogram", cells)

    def work(self, chance: random.Random) -> None:
        """Some calls of tools, in any order."""
        for _ in range(20):
            tool = chance.choice(["search", "book", 'say "hello"\n', "écrire"])
            call, took = self.calls.labels("a", tool, "success"), self.seconds.labels("a", tool)
            assert isinstance(call, Counter)
            assert isinstance(took, Histogram)
            call.inc()
            took.observe(chance.choice([0.0, 0.0625, 0.25, 1e6]))
        error = self.errors.labels("a", "book", chance.choice(["Timeout", "KeyError"]))
        assert isinstance(error, Counter)
        error.inc(0.5)


def shown(families: FolderFamilies) -> Samples:
    """Every sample that is read here."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families.collect()
        for sample in family.samples
    }


def expected(folder: Path) -> Samples:
    """Every sample that prometheus_client reads."""
    collector = MultiProcessCollector(None, str(folder))  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in collector.collect()  # type: ignore[no-untyped-call]  # as above
        for sample in family.samples
    }


def test_it_shows_what_prometheus_client_shows(tmp_path: Path) -> None:
    """While workers come, count, and meet series that others have not."""
    chance = random.Random(16)  # noqa: S311 - a sample, no secret
    families = FolderFamilies(tmp_path)
    workers: list[Worker] = []
    for _ in range(6):
        workers.append(Worker(tmp_path))
        for worker in workers:
            worker.work(chance)
        assert shown(families) == expected(tmp_path)
    assert shown(FolderFamilies(tmp_path)) == expected(tmp_path)


def test_a_line_that_is_shown_is_that_of_one_process(tmp_path: Path) -> None:
    """With label values written as the format wants them."""
    Worker(tmp_path).calls.labels("a", 'say "hello"\n', "success")
    (calls,) = FolderFamilies(tmp_path).collect()
    assert calls.text(openmetrics=False).splitlines()[1:] == [  # type: ignore[attr-defined]  # Shown has it
        "# TYPE agent_tool_calls_total counter",
        'agent_tool_calls_total{agent="a",outcome="success",tool="say \\"hello\\"\\n"} 0.0',
    ]


def test_an_empty_folder_shows_nothing(tmp_path: Path) -> None:
    """Neither does a file with no entries yet."""
    SharedCells(tmp_path).read("counter", [])
    assert list(FolderFamilies(tmp_path).collect()) == []


def test_files_of_another_version_do_not_stop_the_scrape(tmp_path: Path) -> None:
    """A metric that had other labels there is left out of theirs; the rest is shown."""
    Worker(tmp_path).calls.labels("a", "search", "success")
    other = metrics.MetricSpec(metrics.TOOL_CALLS.name, "counter", "Older.", (metrics.TOOL,))
    Family(other, "counter", SharedCells(tmp_path)).labels("a", "search")
    assert len(shown(FolderFamilies(tmp_path))) == 1
