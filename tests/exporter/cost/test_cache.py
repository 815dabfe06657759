"""The cache of tool results: what is served, to whom, for how long, and what a write makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentgauge import AgentGauge
from agentgauge.cost.cache import CachedTool, CachePolicy, Invalidation, ToolCache, load
from agentgauge.cost.store import MemoryStore, Store
from agentgauge.files.yaml_file import YamlFileError
from tests.exporter.cost.conftest import Clock, counted

CONTACTS, DEALS, EMAILS, WRITE = "search_crm_contacts", "get_deal_history", "search_emails", "update_crm"
POLICY = CachePolicy(
    most=100,
    tools={
        CONTACTS: CachedTool(seconds=300, scope="tenant", about=("accounts.name", "not_found")),
        DEALS: CachedTool(seconds=900, scope="user", about=("accounts.name",)),
        EMAILS: CachedTool(seconds=0, scope="tenant"),
    },
    invalidates={WRITE: Invalidation(tools=(CONTACTS,), about="account")},
)
GLOBEX = {"accounts": [{"name": "Globex", "owner": "Ann"}]}


class Source:
    """A tool: counts its executions, and answers when it may."""

    def __init__(self, result: Any = GLOBEX) -> None:
        self.calls = 0
        self.result = result
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.asked = asyncio.Event()

    async def __call__(self) -> Any:
        """Answer, or raise the result if it is an exception."""
        self.calls += 1
        self.asked.set()
        result = self.result
        await self.may_answer.wait()
        if isinstance(result, Exception):
            raise result
        return result


@pytest.fixture
def source() -> Source:
    """A tool that knows Globex."""
    return Source()


@pytest.fixture
def make(gauge: AgentGauge, clock: Clock) -> Callable[[Store], ToolCache]:
    """Make a cache on a store."""
    return lambda store: ToolCache(POLICY, store, gauge, "meridian", clock)


@pytest.fixture
def cache(store: Store, make: Callable[[Store], ToolCache]) -> ToolCache:
    """A cache on either store."""
    return make(store)


def looked_up(gauge: AgentGauge, tool: str = CONTACTS) -> dict[str, float]:
    """Look-ups by result, zeros left out."""
    results = ("hit", "miss", "expired", "bypass")
    counts = {one: counted(gauge, "agent_cache_requests_total", tool=tool, result=one) for one in results}
    return {one: count for one, count in counts.items() if count}


async def test_a_result_is_served_until_its_time_is_over(
    cache: ToolCache, gauge: AgentGauge, clock: Clock, source: Source
) -> None:
    """A miss, a hit with its age, an expiry; what the model sees is the same each time."""
    assert await cache.look_up(CONTACTS, {"account": "Globex"}, "rep-1", source) == GLOBEX
    clock.forward(299)
    assert await cache.look_up(CONTACTS, {"account": "Globex"}, "rep-2", source) == GLOBEX
    assert source.calls == 1
    clock.forward(1)
    assert await cache.look_up(CONTACTS, {"account": "Globex"}, "rep-1", source) == GLOBEX
    assert source.calls == 2
    assert looked_up(gauge) == {"miss": 1, "hit": 1, "expired": 1}
    assert counted(gauge, "agent_cache_age_seconds_sum", tool=CONTACTS) == 299
    assert counted(gauge, "agent_cache_age_seconds_bucket", tool=CONTACTS, le="300.0") == 1


async def test_the_order_of_arguments_does_not_matter_their_values_do(cache: ToolCache, source: Source) -> None:
    """The key is canonical."""
    await cache.look_up(CONTACTS, {"account": "Globex", "limit": 3}, None, source)
    await cache.look_up(CONTACTS, {"limit": 3, "account": "Globex"}, None, source)
    assert source.calls == 1
    await cache.look_up(CONTACTS, {"account": "Globex", "limit": 4}, None, source)
    await cache.look_up(DEALS, {"account": "Globex", "limit": 4}, "rep-1", source)
    assert source.calls == 3


async def test_a_tool_that_is_never_cached_is_asked_each_time(
    cache: ToolCache, gauge: AgentGauge, source: Source
) -> None:
    """0 seconds is a bypass; a tool that the file does not name is none of the cache's business."""
    for _ in range(2):
        await cache.look_up(EMAILS, {}, "rep-1", source)
        await cache.look_up("draft_email", {}, "rep-1", source)
    assert source.calls == 4
    assert looked_up(gauge, EMAILS) == {"bypass": 2}
    assert looked_up(gauge, "draft_email") == {}


async def test_what_depends_on_the_user_is_never_served_to_another(
    cache: ToolCache, gauge: AgentGauge, source: Source
) -> None:
    """Nor to somebody of whom nobody knows who they are."""
    for user in ("rep-1", "rep-2", None, None):
        await cache.look_up(DEALS, {"account": "Globex"}, user, source)
    assert source.calls == 4
    await cache.look_up(DEALS, {"account": "Globex"}, "rep-2", source)
    assert source.calls == 4
    assert looked_up(gauge, DEALS) == {"miss": 2, "bypass": 2, "hit": 1}


async def test_tenants_on_one_store_share_nothing(
    store: Store, gauge: AgentGauge, clock: Clock, source: Source
) -> None:
    """Whatever else is the same."""
    for tenant in ("meridian", "northwind"):
        await ToolCache(POLICY, store, gauge, tenant, clock).look_up(CONTACTS, {"account": "Globex"}, None, source)
    assert source.calls == 2


async def test_an_error_is_raised_to_all_and_kept_for_none(cache: ToolCache, gauge: AgentGauge, source: Source) -> None:
    """The next look-up asks again."""
    source.result = ConnectionError("503")
    asking = [cache.look_up(CONTACTS, {"account": "Globex"}, None, source) for _ in range(3)]
    assert [type(one) for one in await asyncio.gather(*asking, return_exceptions=True)] == [ConnectionError] * 3
    source.result = GLOBEX
    assert await cache.look_up(CONTACTS, {"account": "Globex"}, None, source) == GLOBEX
    assert source.calls == 2
    assert looked_up(gauge) == {"miss": 4}


async def test_ten_who_ask_at_once_are_one_execution(cache: ToolCache, source: Source) -> None:
    """One flight for each key, and all get what it brings."""
    source.may_answer.clear()
    asking = [
        asyncio.create_task(cache.look_up(CONTACTS, {"account": "Globex"}, f"rep-{number}", source))
        for number in range(10)
    ]
    await source.asked.wait()
    source.may_answer.set()
    assert await asyncio.gather(*asking) == [GLOBEX] * 10
    assert source.calls == 1


async def test_one_who_leaves_does_not_take_the_flight_from_the_others(cache: ToolCache, source: Source) -> None:
    """The first asker's conversation may be closed while others wait for the same."""
    source.may_answer.clear()
    first = asyncio.create_task(cache.look_up(CONTACTS, {"account": "Globex"}, None, source))
    second = asyncio.create_task(cache.look_up(CONTACTS, {"account": "Globex"}, None, source))
    await source.asked.wait()
    first.cancel()
    source.may_answer.set()
    assert await second == GLOBEX
    assert first.cancelled()
    assert source.calls == 1


async def test_when_all_have_left_the_execution_is_stopped_and_the_next_one_starts_anew(
    cache: ToolCache, source: Source
) -> None:
    """It would cost, and nobody waits for it."""
    source.may_answer.clear()
    asking = asyncio.create_task(cache.look_up(CONTACTS, {"account": "Globex"}, None, source))
    await source.asked.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    source.may_answer.set()
    assert await cache.look_up(CONTACTS, {"account": "Globex"}, None, source) == GLOBEX
    assert source.calls == 2


async def test_a_write_drops_what_it_touched_and_nothing_else(cache: ToolCache, source: Source) -> None:
    """By what the results are about, not by how somebody spelled it in the question."""
    initech = Source({"accounts": [{"name": "Initech"}]})
    await cache.look_up(CONTACTS, {"account": "globex inc"}, None, source)
    await cache.look_up(CONTACTS, {"account": "Initech"}, None, initech)
    await cache.wrote(WRITE, {"account": "Globex", "status": "saved"})
    await cache.look_up(CONTACTS, {"account": "globex inc"}, None, source)
    await cache.look_up(CONTACTS, {"account": "Initech"}, None, initech)
    assert (source.calls, initech.calls) == (2, 1)


async def test_what_was_looked_for_in_vain_is_forgotten_when_it_is_written(cache: ToolCache) -> None:
    """Else the account that a rep has just created would not exist for another five minutes, however they spell it."""
    nobody = Source({"accounts": [], "not_found": ["hooli  inc"]})
    await cache.look_up(CONTACTS, {"account": "hooli  inc"}, None, nobody)
    await cache.wrote(WRITE, {"account": "Hooli Inc", "status": "saved"})
    found = Source({"accounts": [{"name": "Hooli Inc"}], "not_found": []})
    assert await cache.look_up(CONTACTS, {"account": "hooli  inc"}, None, found) == found.result


@pytest.mark.parametrize("result", [None, {"status": "saved"}])
async def test_a_write_of_which_nobody_knows_what_it_touched_drops_all(
    cache: ToolCache, source: Source, result: Any
) -> None:
    """One that failed may have happened all the same."""
    await cache.look_up(CONTACTS, {"account": "Globex"}, None, source)
    await cache.wrote(WRITE, result)
    await cache.look_up(CONTACTS, {"account": "Globex"}, None, source)
    assert source.calls == 2


@pytest.mark.parametrize("by", ["a write", "the on-call"])
async def test_a_read_that_began_before_it_was_to_be_forgotten_is_neither_kept_nor_joined(
    cache: ToolCache, source: Source, by: str
) -> None:
    """It may have read what was true before: who asks after that gets what is true then."""
    source.may_answer.clear()
    early = asyncio.create_task(cache.look_up(CONTACTS, {"account": "Globex"}, None, source))
    await source.asked.wait()
    if by == "a write":
        await cache.wrote(WRITE, {"account": "Globex"})
    else:
        await cache.drop(CONTACTS)
    after = Source({"accounts": [{"name": "Globex", "owner": "Bob"}]})
    async with asyncio.timeout(5):  # the early one would keep it waiting for ever
        assert await cache.look_up(CONTACTS, {"account": "Globex"}, None, after) == after.result
    source.may_answer.set()
    assert await early == GLOBEX
    assert await cache.look_up(CONTACTS, {"account": "Globex"}, None, source) == after.result


async def test_a_result_that_is_changed_by_its_reader_stays_as_it_was(cache: ToolCache, source: Source) -> None:
    """Readers get a copy of their own."""
    first = await cache.look_up(CONTACTS, {"account": "Globex"}, None, source)
    first["accounts"].clear()
    assert await cache.look_up(CONTACTS, {"account": "Globex"}, None, source) == GLOBEX


async def test_the_on_call_sees_ages_and_hits_and_can_drop(cache: ToolCache, clock: Clock, source: Source) -> None:
    """By tool; a result whose time is over is not among them, and nobody's data is."""
    await cache.look_up(CONTACTS, {"account": "Globex"}, None, source)
    clock.forward(200)
    await cache.look_up(CONTACTS, {"account": "Initech"}, None, source)
    await cache.look_up(DEALS, {"account": "Globex"}, "rep-1", source)
    clock.forward(50)
    await cache.look_up(CONTACTS, {"account": "Initech"}, None, source)
    contacts, deals, emails = await cache.rows()
    assert (contacts.entries, contacts.oldest_seconds, contacts.newest_seconds) == (2, 250, 50)
    assert contacts.hit_ratio == pytest.approx(1 / 3)
    assert (deals.entries, deals.seconds, deals.scope) == (1, 900, "user")
    assert (emails.entries, emails.oldest_seconds, emails.hit_ratio) == (0, None, None)
    clock.forward(100)
    assert [row.entries for row in await cache.rows()] == [1, 1, 0]
    await cache.drop("draft_email")  # which is never kept
    await cache.drop(DEALS)
    assert [row.entries for row in await cache.rows()] == [1, 0, 0]
    await cache.drop()
    assert [row.entries for row in await cache.rows()] == [0, 0, 0]


async def test_the_results_in_memory_are_bounded_and_the_least_used_go_first(
    make: Callable[[Store], ToolCache], source: Source
) -> None:
    """A day of questions does not grow the process; looking at the ages counts as no use."""
    cache = make(MemoryStore(2))
    for account in ("Globex", "Initech", "Globex"):
        await cache.look_up(CONTACTS, {"account": account}, None, source)
    await cache.rows()
    await cache.look_up(CONTACTS, {"account": "Hooli"}, None, source)
    assert (await cache.rows())[0].entries == 2
    calls = source.calls
    await cache.look_up(CONTACTS, {"account": "Globex"}, None, source)
    assert source.calls == calls
    await cache.look_up(CONTACTS, {"account": "Initech"}, None, source)
    assert source.calls == calls + 1


FILE = """\
most: 10
tools:
  search_crm_contacts: {seconds: 300, scope: tenant, about: accounts.name}
  search_emails: {seconds: 0, scope: user}
invalidates:
  update_crm: {tools: [search_crm_contacts], about: account}
"""


@pytest.mark.parametrize(
    ("written", "instead", "says"),
    [
        ("seconds: 300", "seconds: -1", "cache.yml:3: tools.search_crm_contacts.seconds: Input should be greater than"),
        ("seconds: 300", "second: 300", "cache.yml:3: tools.search_crm_contacts.seconds: is missing"),
        ("scope: user", "scope: all", "cache.yml:4: tools.search_emails.scope: Input should be 'tenant' or 'user'"),
        ("  search_emails", "  search_mail", "cache.yml:4: tools.search_mail: there is no such tool; the tools are"),
        (
            "tools: [search_crm",
            "tools: [search_emails, search_crm",
            "cache.yml:6: invalidates.update_crm.tools.0: ",
        ),
        ("most: 10", "most: none", "cache.yml:1: most: Input should be a valid integer"),
        ("most: 10\n", "", "cache.yml:1: most: is missing"),
        ("most: 10", "most: [", "cache.yml:3: the file: is not valid YAML: "),
    ],
)
def test_a_slip_in_the_file_is_told_with_line_and_field(tmp_path: Path, written: str, instead: str, says: str) -> None:
    """Before the agent starts."""
    tools = (CONTACTS, EMAILS, WRITE)
    (tmp_path / "cache.yml").write_text(FILE)
    assert load(tmp_path / "cache.yml", tools).most == 10
    (tmp_path / "cache.yml").write_text(FILE.replace(written, instead))
    with pytest.raises(YamlFileError) as raised:
        load(tmp_path / "cache.yml", tools)
    assert str(raised.value).startswith(says)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """With its name."""
    with pytest.raises(YamlFileError, match=r"cache\.yml cannot be read: No such file"):
        load(tmp_path / "cache.yml", ())
