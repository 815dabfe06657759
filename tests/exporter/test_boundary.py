"""Cannot raise, cannot blind: whatever is handed over, the agent goes on and every scrape can be read."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from decimal import Decimal
from functools import cache
from itertools import cycle
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from agentgauge import AgentGauge, carry_session
from agentgauge.boundary import LONGEST_LABEL
from agentgauge.exposition import metrics_wsgi
from agentgauge.own_metrics import OwnCounter
from agentgauge.pricing import TokenUsage
from agentgauge.session import llm_step

Draw = Callable[[st.SearchStrategy[Any]], Any]

EXAMPLES = 100
LARGEST_SCRAPE = 3_000_000
WHOLE_EVERY = 50
"""So many scrapes are read only as far as they changed."""

TEXT = st.one_of(
    st.text(st.characters(), max_size=20),
    st.text(st.characters(categories=["Cs", "Cc", "Co", "Cn"]), min_size=1, max_size=3),
    st.sampled_from(["x" * 1_000_000, "\ud800", 'a"b\\c\n', "search", "claude-opus-5", "openai/gpt-6-sol", ""]),
)
NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.decimals(),
    st.sampled_from([-1, 10**400, math.nan, math.inf, -math.inf, Decimal("sNaN"), True, 1e300]),
)
ANYTHING: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    TEXT,
    NUMBERS,
    st.binary(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(TEXT, NUMBERS, max_size=1),
    st.builds(object),
)
USAGE: st.SearchStrategy[Any] = st.one_of(
    ANYTHING,
    st.builds(TokenUsage, input=ANYTHING, cache_read=ANYTHING, output=ANYTHING, web_searches=ANYTHING, terms=ANYTHING),
    st.builds(TokenUsage, input=st.integers(0, 10**6), output=st.integers(0, 10**5)),
)


def tool(gauge: AgentGauge, draw: Draw) -> None:
    """A call of some tool."""
    with gauge.tool_call(draw(ANYTHING), cost_usd=draw(ANYTHING)) as call:
        call.add_cost(draw(ANYTHING))
        call.batch(draw(ANYTHING))
        if draw(st.booleans()):
            call.fail(draw(ANYTHING))


def model(gauge: AgentGauge, draw: Draw) -> None:
    """A call of some model, by some step."""
    with llm_step(draw(ANYTHING)):
        call = gauge.llm_call(draw(ANYTHING), provider=draw(ANYTHING))
        call.first_token()
        call.served_by(draw(ANYTHING))
        call.took(draw(ANYTHING), draw(ANYTHING))
        call.also_used(draw(st.one_of(ANYTHING, st.lists(st.tuples(ANYTHING, USAGE), max_size=2))))
        if draw(st.booleans()):
            call.finish(draw(USAGE), draw(ANYTHING))
        else:
            call.fail(draw(ANYTHING), draw(USAGE))


def conversation(gauge: AgentGauge, draw: Draw) -> None:
    """A session with a task, and all that can be said in it."""
    with gauge.session(draw(ANYTHING), session_id=draw(ANYTHING)) as session:
        with session.task(model_turns=draw(ANYTHING)) as task, task.turn(), gauge.subagent(draw(ANYTHING)):
            tool(gauge, draw)
            model(gauge, draw)
        session.add_cost(draw(ANYTHING))
        session.feedback(draw(ANYTHING), draw(ANYTHING))


@cache
def sent(gauge: AgentGauge) -> OwnCounter:
    """A counter of the agent's own, declared at its start."""
    return gauge.counter("sent", labels={"kind": ("mail",)})


def around(gauge: AgentGauge, draw: Draw) -> None:
    """What is said outside of conversations."""
    gauge.cache_lookup(draw(ANYTHING), draw(ANYTHING), draw(ANYTHING))
    gauge.set_build_info(draw(ANYTHING), draw(ANYTHING))
    sent(gauge).inc(draw(ANYTHING), kind=draw(ANYTHING))
    with gauge.mcp_operation(draw(ANYTHING), draw(ANYTHING)) as operation:
        operation.fail(draw(ANYTHING))


def open_session(gauge: AgentGauge, draw: Draw) -> None:
    """A session that is kept between requests, and used further after it was closed."""
    session = gauge.session(draw(ANYTHING))
    with session.attach():
        carry_session(tool)(gauge, draw)
    for say in draw(st.lists(st.sampled_from(["add_tool_call", "add_turn", "close", "end_by_operator"]), max_size=20)):
        getattr(session, say)()


def decorated(gauge: AgentGauge, draw: Draw) -> None:
    """A tool that returns, and one that fails with an error of its own class."""

    @gauge.tool("search", cost_usd=draw(ANYTHING))
    def search() -> None:
        if kind is not None:
            raise kind

    name = draw(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=300))
    kind = draw(st.sampled_from([None, type(name, (Exception,), {})]))
    with suppress(Exception if kind is None else kind):
        search()


def provider(gauge: AgentGauge, draw: Draw) -> None:
    """What a provider's batch says of one result."""
    usage = SimpleNamespace(
        **{name: draw(ANYTHING) for name in ("input_tokens", "output_tokens", "cache_creation", "server_tool_use")}
    )
    message = SimpleNamespace(model=draw(ANYTHING), usage=draw(st.sampled_from([usage, None])))
    error = SimpleNamespace(error=SimpleNamespace(type=draw(ANYTHING)))
    kind = draw(st.sampled_from(["succeeded", "errored", "expired", None]))
    gauge.count_batch_result(draw(st.sampled_from([Result(kind, message, error), Result(message, kind, kind)])))


def Result(kind: Any, message: Any, error: Any) -> Any:  # noqa: N802 - it stands for a class of the SDK
    """As `client.messages.batches.results()` yields them."""
    return SimpleNamespace(result=SimpleNamespace(type=kind, message=message, error=error))


@contextmanager
def no_fault(_gauge: AgentGauge, _draw: Draw) -> Iterator[None]:
    """All is well but for what is handed over."""
    yield


@contextmanager
def broken_registry(gauge: AgentGauge, draw: Draw) -> Iterator[None]:
    """Nothing, or only some things, can be counted."""
    broken = draw(st.lists(st.sampled_from(["counter", "gauge", "histogram"]), min_size=1, unique=True))
    with ExitStack() as patches:
        for name in broken:
            patches.enter_context(patch.object(gauge.instruments, name, side_effect=RuntimeError("broken")))
        yield


@contextmanager
def broken_ledger(gauge: AgentGauge, draw: Draw) -> Iterator[None]:
    """The database has gone, or its clock."""
    with patch.object(gauge.ledger, draw(st.sampled_from(["now", "add_feedback"])), side_effect=OSError("gone")):
        yield


@contextmanager
def broken_clock(_gauge: AgentGauge, draw: Draw) -> Iterator[None]:
    """It jumps, also backwards, as the clock of a frozen test or of a machine that slept does."""
    with ExitStack() as patches:
        for module in ("calls", "session", "tool_decorator", "mcp_operation"):
            now = draw(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=9))
            patches.enter_context(patch(f"agentgauge.{module}.perf_counter", cycle(now).__next__))
        yield


@pytest.fixture(scope="module")
def registry() -> CollectorRegistry:
    """One for all examples: what one of them breaks stays broken."""
    return CollectorRegistry()


@pytest.fixture(scope="module")
def scrapes(registry: CollectorRegistry) -> Scrapes:
    """Those of all examples."""
    return Scrapes(registry)


@contextmanager
def an_agent(registry: CollectorRegistry, folder: Path) -> Iterator[AgentGauge]:
    """An agent that knows a tool, and keeps usage by user."""
    with closing(
        AgentGauge("a", tools=["search"], registry=registry, ledger=f"sqlite:///{folder}/ledger.sqlite")
    ) as it:
        sent(it)
        yield it


@pytest.fixture(scope="module")
def gauge(registry: CollectorRegistry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentGauge]:
    """Likewise, one for all."""
    with an_agent(registry, tmp_path_factory.mktemp("fuzz")) as gauge:
        yield gauge


class Scrapes:
    """Reads what an agent serves, family by family: one whose text is as it was has been read already."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._app = metrics_wsgi(registry)
        self._read: dict[str, str] = {}
        self._scrapes = 0

    def read(self) -> None:
        """Scrape; fails if Prometheus could not read all of it, or if a value cannot be."""
        text = self._served("text/plain")
        assert len(text) < LARGEST_SCRAPE
        families = {
            family.split(" ", 3)[2]: family for family in re.split("^(?=# HELP )", text, flags=re.MULTILINE)[1:]
        }
        assert "".join(families.values()) == text, "a family comes twice"
        for name, family in families.items():
            if self._read.get(name) != family:
                check(text_string_to_metric_families(family))
        self._read = families
        self._scrapes += 1
        if self._scrapes % WHOLE_EVERY == 0:
            self.read_whole()

    def read_whole(self) -> None:
        """Scrape as a client of OpenMetrics does, and as prometheus_client writes it; read both from end to end."""
        served = self._served("application/openmetrics-text; version=1.0.0")
        check(openmetrics_families(served))  # type: ignore[no-untyped-call]  # prometheus_client leaves it untyped
        check(text_string_to_metric_families(generate_latest(self._registry).decode()))

    def _served(self, accept: str) -> str:
        asked = {"REQUEST_METHOD": "GET", "PATH_INFO": "/metrics", "QUERY_STRING": "", "HTTP_ACCEPT": accept}
        return b"".join(self._app(asked, lambda *_: None)).decode()


def check(families: Iterable[Metric]) -> None:
    """Each series is there once, with a value that there can be, and no label is too long."""
    seen = set()
    for family in families:
        for sample in family.samples:
            assert math.isfinite(sample.value), sample
            assert sample.value >= 0, sample
            assert all(len(value) <= LONGEST_LABEL for value in sample.labels.values())
            series = (sample.name, *sorted(sample.labels.items()))
            assert series not in seen, f"{series} comes twice"
            seen.add(series)


def use_and_scrape(gauge: AgentGauge, scrapes: Scrapes, data: st.DataObject) -> None:
    """The property: whatever is handed over, and whatever fails at that moment, nothing raises, and all can be read."""
    fault = data.draw(st.sampled_from([no_fault, broken_registry, broken_ledger, broken_clock]))
    use = data.draw(st.sampled_from([tool, model, conversation, around, open_session, decorated, provider]))
    with fault(gauge, data.draw):
        use(gauge, data.draw)
    scrapes.read()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_nothing_raises_and_every_scrape_can_be_read(gauge: AgentGauge, scrapes: Scrapes, data: st.DataObject) -> None:
    """In a sample; `make test-fuzz` asks much longer."""
    use_and_scrape(gauge, scrapes, data)


class Changing(Collector):
    """A family whose samples a test sets."""

    def __init__(self, samples: list[Sample]) -> None:
        self.samples = samples

    def collect(self) -> Iterator[Metric]:
        """As they are now."""
        family = Metric("sent", "Sent", "gauge")
        family.samples = self.samples
        yield family


@pytest.mark.parametrize(
    "samples",
    [
        [Sample("sent", {}, math.nan)],
        [Sample("sent", {}, -1)],
        [Sample("sent", {"kind": "x" * (LONGEST_LABEL + 1)}, 1)],
        [Sample("sent", {"kind": "mail"}, 1), Sample("sent", {"kind": "mail"}, 2)],
    ],
    ids=["no number", "negative", "too long", "twice"],
)
def test_a_scrape_that_went_bad_is_noticed(samples: list[Sample]) -> None:
    """Though only what changed is read, and again when it is read again."""
    registry = CollectorRegistry()
    changing = Changing([Sample("sent", {"kind": "mail"}, 1)])
    registry.register(changing)
    scrapes = Scrapes(registry)
    scrapes.read()
    changing.samples = samples
    for _ in range(2):
        with pytest.raises(AssertionError):
            scrapes.read()


@pytest.mark.parametrize("bad", [None, "1", math.nan, math.inf, -1, 10**400], ids=repr)
def test_an_amount_that_is_none_is_dropped_and_counted(bad: Any) -> None:
    """What was right before and after it stays."""
    registry = CollectorRegistry()
    gauge = AgentGauge("a", tools=["t"], registry=registry)
    with gauge.session() as session, gauge.tool_call("t", cost_usd=0.25) as call:
        call.add_cost(bad)
        session.add_cost(bad)
        session.add_cost(0.5)
    assert session.cost_usd == 0.75
    for site in ("tool", "session"):
        labels = {"agent": "a", "site": site}
        assert registry.get_sample_value("agent_exporter_errors_total", labels) == 1


@pytest.mark.parametrize("bad", [None, "1", math.nan, math.inf, -1, 10**400], ids=repr)
@pytest.mark.parametrize("field", ["input", "cache_write_1h", "output", "web_searches", "audio_output"])
def test_tokens_that_are_none_are_unknown_not_lost(field: str, bad: Any) -> None:
    """The call counts, and so does that its usage could not be read, whichever of its counts is wrong."""
    registry = CollectorRegistry()
    gauge = AgentGauge("a", registry=registry)
    gauge.llm_call("claude-opus-5").finish(replace(TokenUsage(input=5, output=3), **{field: bad}))
    labels = {"agent": "a", "model": "claude-opus-5"}
    assert registry.get_sample_value("agent_llm_calls_total", labels | {"outcome": "success"}) == 1
    assert registry.get_sample_value("agent_llm_usage_unknown_total", labels) == 1
    assert registry.get_sample_value("agent_llm_tokens_total", labels | {"kind": "output"}) == 0


@pytest.mark.parametrize("name", ["\ud800", "x" * 129], ids=["not Unicode", "too long"])
def test_a_name_of_the_agent_that_no_scrape_can_carry_is_refused_at_the_start(name: str) -> None:
    """Its author is there to read it."""
    with pytest.raises(ValueError, match="not valid Unicode or longer than 128 characters"):
        AgentGauge(name, registry=CollectorRegistry())
