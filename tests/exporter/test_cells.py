"""What is counted in cells is exact, whatever threads and forks do; a scrape shows it as prometheus_client would."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import prometheus_client
import pytest
import requests
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.openmetrics import exposition as openmetrics

from agentgauge import AgentGauge, carry_session
from agentgauge.cells import Cells, SharedCells, ThreadCells
from agentgauge.endpoint import serve_metrics
from agentgauge.metrics import Label, MetricSpec
from agentgauge.series import Counter, Family, Histogram

COUNTER = MetricSpec("calls_total", "counter", 'Calls: all "of them".\nYes, all \\.', (Label("tool", "closed"),))
HISTOGRAM = MetricSpec("seconds", "histogram", "How long.", (Label("tool", "closed"),), (0.1, 1.0, 1e6))
NAMES = ("search", 'a"b\\c\nd', "")
TRACE = {"trace_id": "ab" * 16, "span_id": "cd" * 8}


@pytest.fixture
def brief_turns() -> Iterator[None]:
    """Threads are switched as often as Python can: whatever is not exact shows."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(params=["threads", "files"])
def cells(request: pytest.FixtureRequest, tmp_path: Path) -> Cells:
    """Of either kind."""
    return ThreadCells() if request.param == "threads" else SharedCells(tmp_path)


def in_threads(count: int, work: Callable[[], None]) -> None:
    """Run it in so many threads at once, to their ends."""
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def counter(cells: Cells, name: str = "search") -> Counter:
    """A counter in these cells."""
    made = Family(COUNTER, "counter", cells).labels("a", name)
    assert isinstance(made, Counter)
    return made


@pytest.mark.usefixtures("brief_turns")
def test_no_count_is_lost_between_threads(cells: Cells) -> None:
    """Neither in memory nor in files."""
    family = Family(HISTOGRAM, "histogram", cells)
    calls, seconds = counter(cells), family.labels("a", "search")
    assert isinstance(seconds, Histogram)

    def work() -> None:
        for _ in range(5_000):
            calls.inc()
            seconds.observe(0.5)

    in_threads(8, work)
    assert cells.read("counter", [calls.cell]) == [40_000]
    assert [sample.value for sample in family.samples()] == [0, 40_000, 40_000, 40_000, 40_000, 20_000]


@pytest.mark.usefixtures("brief_turns")
def test_a_session_counts_the_calls_of_all_its_threads_and_crosses_its_limit_once(registry: CollectorRegistry) -> None:
    """And the histogram of a tool's durations holds as many calls as its counters."""
    gauge = AgentGauge("a", tools=["t"], registry=registry)

    @gauge.tool("t")
    def work() -> None: ...

    def works() -> None:
        for _ in range(1_000):
            work()

    with gauge.session() as session:
        in_threads(8, carry_session(works))
    labels = {"agent": "a", "tool": "t"}
    assert session.tool_calls == 8_000
    assert registry.get_sample_value("agent_tool_calls_total", labels | {"outcome": "success"}) == 8_000
    assert registry.get_sample_value("agent_tool_duration_seconds_count", labels) == 8_000
    over = registry.get_sample_value("agent_sessions_over_limit_total", {"agent": "a", "limit": "tool_calls"})
    assert over == 1


def test_threads_that_ended_leave_what_they_counted_and_their_cells(registry: CollectorRegistry) -> None:
    """A server with a thread for each request does not grow."""
    cells = ThreadCells()
    calls = counter(cells)
    for _ in range(300):
        in_threads(2, calls.inc)
    assert cells.read("counter", [calls.cell]) == [600]
    assert len(cells._leases.every) <= 4


def test_a_forked_child_begins_at_zero(cells: Cells) -> None:
    """Else what the parent counted would be counted twice, once both are scraped."""
    calls = counter(cells)
    calls.inc(5)
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        calls.inc(2)
        os.write(writes, str(cells.read("counter", [calls.cell])).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reads, 100) == b"[2.0]"
    assert cells.read("counter", [calls.cell]) == [5]


def test_files_are_read_by_prometheus_client_and_add_up(tmp_path: Path) -> None:
    """As those of its own counters do, also when they have grown, and those of a process that has ended."""
    agent = (
        "import os\nfrom agentgauge import AgentGauge\n"
        "gauge = AgentGauge('a', tools=[f'tool_{number}' for number in range(100)])\n"
        "for number in (1, 99):\n    with gauge.tool_call(f'tool_{number}', cost_usd=0.25): pass\n"
        "if os.fork() == 0:\n    with gauge.tool_call('tool_99'): pass\n    os._exit(0)\n"
        "os.wait()\nos._exit(0)"
    )
    for _ in range(2):
        environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
        subprocess.run([sys.executable, "-c", agent], env=environment, check=True)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(tmp_path))  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped
    labels = {"agent": "a", "tool": "tool_99"}
    assert registry.get_sample_value("agent_tool_calls_total", labels | {"outcome": "success"}) == 4
    assert registry.get_sample_value("agent_tool_duration_seconds_count", labels) == 4
    assert registry.get_sample_value("agent_tool_cost_usd_total", labels) == 0.5
    assert registry.get_sample_value("agent_tool_calls_total", labels | {"outcome": "error"}) == 0


def test_a_process_with_the_number_of_one_that_ended_leaves_its_files_alone(tmp_path: Path) -> None:
    """In a container the numbers come again; what the dead counted still adds up."""
    for _ in range(2):
        counter(SharedCells(tmp_path)).inc()
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(tmp_path))  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped
    assert registry.get_sample_value("calls_total", {"agent": "a", "tool": "search"}) == 2


def observed(cells: Cells) -> tuple[CollectorRegistry, CollectorRegistry]:
    """The same counts in our series and in those of prometheus_client."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    families = Family(COUNTER, "counter", cells), Family(HISTOGRAM, "histogram", cells)
    for family in families:
        ours.register(family)
    counts = prometheus_client.Counter(COUNTER.name, COUNTER.help, COUNTER.label_names, registry=theirs)
    times = prometheus_client.Histogram(
        HISTOGRAM.name, HISTOGRAM.help, HISTOGRAM.label_names, registry=theirs, buckets=HISTOGRAM.buckets
    )
    for name in NAMES:
        for count in (families[0].labels("a", name), counts.labels("a", name)):
            count.inc(0.25)  # type: ignore[union-attr]  # of this kind
        for time in (families[1].labels("a", name), times.labels("a", name)):
            for value in (0.0, 0.1, 0.3, 2e7):
                time.observe(value)  # type: ignore[union-attr]  # of this kind
            time.observe(0.7, TRACE)  # type: ignore[union-attr]  # of this kind
    return ours, theirs


def lines(text: bytes) -> list[str]:
    """Of a scrape, without when counters were created, and when exemplars were taken."""
    return [line.rpartition(" 0.7 ")[0] or line for line in text.decode().splitlines() if "_created" not in line]


@pytest.mark.parametrize("generate", [prometheus_client.generate_latest, openmetrics.generate_latest])
def test_prometheus_client_shows_the_same(cells: Cells, generate: Callable[[CollectorRegistry], bytes]) -> None:
    """Whoever generates the text from the registry gets it letter by letter, exemplars included."""
    ours, theirs = observed(cells)
    assert lines(generate(ours)) == lines(generate(theirs))


@pytest.mark.parametrize(
    "accept", ["", "text/plain;version=1.0.0;escaping=allow-utf-8", "application/openmetrics-text"]
)
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_a_scrape_shows_the_same(accept: str, encoding: str) -> None:
    """What is served is what prometheus_client's own server would serve, in every format; also the next time."""
    ours, theirs = observed(ThreadCells())
    server = serve_metrics(0, "127.0.0.1", registry=ours)
    reference, thread = prometheus_client.start_http_server(0, "127.0.0.1", registry=theirs)
    headers = {"Accept": accept, "Accept-Encoding": encoding}
    for _ in range(2):
        shown = requests.get(server.url, headers=headers, timeout=5)
        expected = requests.get(f"http://127.0.0.1:{reference.server_port}/metrics", headers=headers, timeout=5)
        assert lines(shown.content) == lines(expected.content)
        assert shown.headers["content-type"] == expected.headers["content-type"]
        assert shown.headers.get("content-encoding") == expected.headers.get("content-encoding")
    reference.shutdown()
    reference.server_close()
    thread.join()
    server.close()


def test_a_scrape_shows_what_has_changed_since_the_last_one(registry: CollectorRegistry) -> None:
    """Lines are kept from scrape to scrape: those of new series and of new values are not the old ones."""
    family = Family(COUNTER, "counter", ThreadCells())
    first = family.labels("a", "first")
    assert family.text(openmetrics=False).endswith('calls_total{agent="a",tool="first"} 0.0\n')
    first.inc(1.5)  # type: ignore[union-attr]  # of this kind
    family.labels("a", "second").inc()  # type: ignore[union-attr]  # of this kind
    assert family.text(openmetrics=False).endswith(
        'calls_total{agent="a",tool="first"} 1.5\ncalls_total{agent="a",tool="second"} 1.0\n'
    )
