"""The CRM and the seven tools over it, with the shipped data."""

import asyncio
import csv
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agentgauge.prompts.library import Prompts
from sample_agent.app import app
from sample_agent.errors import CrmUnavailable, SchemaMismatch, ToolInputError
from sample_agent.faults import Fault, FaultFile, inject
from sample_agent.sales import crm
from sample_agent.sales.crm import Crm
from sample_agent.sales.previews import preview
from sample_agent.sales.tools import SALES_TOOLS, run_tool

PROMPTS = [app().prompt_library().load(version) for version in app().prompt_library().versions()]
JANE = "jane.cooper@globex.example.com"


async def test_contacts_of_several_accounts_come_from_one_call(sales_crm: Crm, faults: FaultFile) -> None:
    """Five accounts are one call; what is unknown is reported, not dropped."""
    asked = ["Globex", "initech", "Umbrella", "Hooli", "Nowhere Corp"]
    result = await run_tool("search_crm_contacts", {"accounts": asked}, sales_crm, faults)
    assert [account["name"] for account in result["accounts"]] == ["Globex", "Hooli", "Initech", "Umbrella"]
    assert result["not_found"] == ["Nowhere Corp"]
    jane = result["accounts"][0]["contacts"][0]
    assert jane == {"name": "Jane Cooper", "role": "VP of Operations", "email": JANE}


@pytest.mark.parametrize("asked", ["globex", "GLOBEX ", "Globex Corporation"])
async def test_an_account_answers_to_forms_of_its_name(sales_crm: Crm, faults: FaultFile, asked: str) -> None:
    """Case, spaces and an added legal form do not hide an account."""
    result = await run_tool("search_crm_contacts", {"accounts": [asked]}, sales_crm, faults)
    assert [account["name"] for account in result["accounts"]] == ["Globex"]
    assert result["not_found"] == []


@pytest.mark.parametrize("asked", ["Glo", "%", "_lobex", "' OR 1=1 --", "Globexx"])
async def test_a_name_that_is_only_similar_finds_nothing(sales_crm: Crm, faults: FaultFile, asked: str) -> None:
    """Parts of words and SQL are names like any other: unknown ones."""
    result = await run_tool("search_crm_contacts", {"accounts": [asked]}, sales_crm, faults)
    assert result == {"accounts": [], "not_found": [asked]}


async def test_an_account_asked_for_twice_is_returned_once(sales_crm: Crm, faults: FaultFile) -> None:
    """Two names of one account give no duplicate."""
    asked = {"accounts": ["Globex", "Globex Inc"]}
    result = await run_tool("get_deal_history", asked, sales_crm, faults)
    assert [account["name"] for account in result["accounts"]] == ["Globex"]


async def test_deal_history_sums_the_arr_of_won_deals_only(sales_crm: Crm, faults: FaultFile) -> None:
    """Open and lost deals are listed and add nothing to the ARR."""
    result = await run_tool("get_deal_history", {"accounts": ["Globex"]}, sales_crm, faults)
    account = result["accounts"][0]
    assert account["arr_usd"] == 264_000
    assert account["next_renewal"] == "2027-03-31"
    assert {deal["stage"] for deal in account["deals"]} == {"closed_won", "closed_lost", "qualified"}


async def test_the_catalogue_is_whole_or_what_was_asked_for(sales_crm: Crm, faults: FaultFile) -> None:
    """No name means every product."""
    everything = await run_tool("get_product_catalog", {}, sales_crm, faults)
    analytics = await run_tool("get_product_catalog", {"products": ["analytics"]}, sales_crm, faults)
    assert len(everything["products"]) == 12
    assert [product["name"] for product in analytics["products"]] == ["Insight Reports", "Insight Forecast"]


async def test_emails_are_the_newest_that_hold_the_words(sales_crm: Crm, faults: FaultFile) -> None:
    """Search takes several accounts, words and a limit."""
    asked = {"accounts": ["Globex", "Umbrella"], "limit": 2}
    result = await run_tool("search_emails", asked, sales_crm, faults)
    days = [date.fromisoformat(email["sent_on"]) for email in result["emails"]]
    assert len(days) == 2
    assert days == sorted(days, reverse=True)
    found = await run_tool("search_emails", {"accounts": ["Globex"], "words": "RENEWAL TERMS"}, sales_crm, faults)
    assert [email["subject"] for email in found["emails"]] == ["Renewal terms for next year"]


async def test_a_draft_is_sent_once(sales_crm: Crm, faults: FaultFile) -> None:
    """Drafting sends nothing; sending twice is refused."""
    draft = {"to": JANE.upper(), "subject": "Renewal", "body": "Hi Jane"}
    drafted = await run_tool("draft_email", draft, sales_crm, faults)
    stored = sales_crm.draft(drafted["draft_id"])
    assert drafted["status"] == "draft"
    assert stored is not None
    assert stored["sent_at"] is None
    sent = await run_tool("send_email", {"draft_id": drafted["draft_id"]}, sales_crm, faults)
    assert (sent["status"], sent["to"]) == ("sent", JANE)
    with pytest.raises(ToolInputError, match="draft_id: draft 1 was sent before"):
        await run_tool("send_email", {"draft_id": drafted["draft_id"]}, sales_crm, faults)


async def test_of_two_sends_at_once_one_wins(sales_crm: Crm, faults: FaultFile) -> None:
    """An e-mail cannot leave twice, however the calls overlap."""
    draft = {"to": JANE, "subject": "Renewal", "body": "Hi Jane"}
    draft_id = (await run_tool("draft_email", draft, sales_crm, faults))["draft_id"]
    sends = [run_tool("send_email", {"draft_id": draft_id}, sales_crm, faults) for _ in range(8)]
    outcomes = await asyncio.gather(*sends, return_exceptions=True)
    assert sum(isinstance(outcome, dict) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, ToolInputError) for outcome in outcomes) == 7


async def test_an_invented_address_gets_no_draft(sales_crm: Crm, faults: FaultFile) -> None:
    """A model that makes up an address is told to look it up."""
    draft = {"to": "jane@globex.com", "subject": "Renewal", "body": "Hi"}
    with pytest.raises(ToolInputError, match="to: no contact in the CRM"):
        await run_tool("draft_email", draft, sales_crm, faults)


async def test_a_note_shows_in_the_history_of_its_account(sales_crm: Crm, faults: FaultFile) -> None:
    """What is written to the CRM can be read back."""
    note = {"account": "globex", "kind": "risk", "text": "New sponsor from January"}
    saved = await run_tool("update_crm", note, sales_crm, faults)
    history = await run_tool("get_deal_history", {"accounts": ["Globex"]}, sales_crm, faults)
    assert saved["account"] == "Globex"
    assert [entry["text"] for entry in history["accounts"][0]["notes"]] == ["New sponsor from January"]


@pytest.mark.parametrize(
    ("tool", "arguments", "field"),
    [
        ("search_crm_contacts", {}, "accounts: Field required"),
        ("search_crm_contacts", {"accounts": "Globex"}, "accounts: Input should be a valid list"),
        ("search_crm_contacts", {"accounts": []}, "accounts: List should have at least 1 item"),
        ("search_crm_contacts", {"accounts": ["Globex", "  "]}, r"accounts\.1: "),
        ("get_deal_history", {"accounts": ["Globex"], "year": 2026}, "year: Extra inputs are not permitted"),
        ("search_emails", {"accounts": ["Globex"], "limit": 1000}, "limit: "),
        ("draft_email", {"to": JANE, "subject": "", "body": "Hi"}, "subject: "),
        ("send_email", {"draft_id": "1"}, "draft_id: "),
        ("send_email", {"draft_id": 99}, "draft_id: there is no draft 99"),
        ("update_crm", {"account": "Globex", "kind": "gossip", "text": "x"}, "kind: "),
        ("update_crm", {"account": "Nowhere", "text": "x"}, "account: 0 accounts answer"),
    ],
)
async def test_bad_arguments_are_refused_naming_tool_and_field(
    sales_crm: Crm, faults: FaultFile, tool: str, arguments: dict[str, Any], field: str
) -> None:
    """The message is what the model gets to correct itself."""
    with pytest.raises(ToolInputError, match=f"^{tool}: {field}"):
        await run_tool(tool, arguments, sales_crm, faults)


async def test_a_tool_that_does_not_exist_is_an_error(sales_crm: Crm, faults: FaultFile) -> None:
    """A hallucinated name reaches no tool."""
    with pytest.raises(KeyError):
        await run_tool("delete_account", {}, sales_crm, faults)


@pytest.mark.parametrize(("fault", "error"), [("crm-outage", CrmUnavailable), ("new-error", SchemaMismatch)])
async def test_a_fault_in_force_fails_the_tool_and_clearing_heals_it(
    sales_crm: Crm, faults: FaultFile, tmp_path: Path, fault: str, error: type[Exception]
) -> None:
    """Faults come before the tool and leave nothing behind."""
    inject(tmp_path, Fault(fault, "get_deal_history"))
    with pytest.raises(error):
        await run_tool("get_deal_history", {"accounts": ["Globex"]}, sales_crm, faults)
    assert await run_tool("search_crm_contacts", {"accounts": ["Globex"]}, sales_crm, faults)


def test_people_are_shown_the_entry_beside_the_one_in_force(sales_crm: Crm, tmp_path: Path) -> None:
    """Of a next step or a risk the newest counts, and notes pile up; what cannot be written is said before."""
    (globex,) = sales_crm.accounts(["Globex"])
    for text in ("send the offer", "call Jane"):
        sales_crm.add_note(globex["id"], "next_step", text)
    shown = partial(preview, tmp_path / "crm.sqlite", "update_crm")
    step = {"account": "globex inc", "kind": "next_step", "text": "call Hank"}
    assert shown(step) == {"account": "Globex", "kind": "next_step", "so_far": "call Jane", "text": "call Hank"}
    assert shown({"account": "globex", "text": "call Hank"}) == {
        "account": "Globex",
        "kind": "note",
        "text": "call Hank",
    }
    with pytest.raises(ToolInputError, match="account: 0 accounts answer to 'Nowhere'"):
        shown({"account": "Nowhere", "text": "call Hank"})


def test_building_again_keeps_what_the_agent_wrote(sales_crm: Crm, tmp_path: Path) -> None:
    """A restart of the demo loses no note and no draft."""
    account_id = sales_crm.accounts(["Globex"])[0]["id"]
    sales_crm.add_note(account_id, "note", "Met Jane")
    crm.build(tmp_path / "crm.sqlite")
    assert [note["text"] for note in sales_crm.notes([account_id])] == ["Met Jane"]


def test_two_builds_at_once_make_one_crm(tmp_path: Path) -> None:
    """Processes that start together do not fight over the file."""
    path = tmp_path / "crm.sqlite"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(crm.build, [path] * 4))
    opened = Crm(path)
    assert len(opened.products()) == 12
    opened.close()


@pytest.mark.parametrize("content", [None, b""])
def test_a_crm_that_was_not_built_is_a_clear_error(tmp_path: Path, content: bytes | None) -> None:
    """The message says how to make it; no empty file is left in its place."""
    path = tmp_path / "crm.sqlite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FileNotFoundError, match=r"make it with crm\.build"):
        Crm(path)
    assert path.exists() is (content is not None)


def test_the_shipped_data_is_consistent(sales_crm: Crm) -> None:
    """Every account has people and a won deal with ARR and renewal date, so every answer can hold them."""
    with (Path(crm.__file__).parent / "data" / "accounts.csv").open(encoding="utf-8") as file:
        names = [row["name"] for row in csv.DictReader(file)]
    ids = {account["id"] for account in sales_crm.accounts(names)}
    assert len(ids) == len(names) == 40
    assert {person["account_id"] for person in sales_crm.contacts(list(ids))} == ids
    assert {email["account_id"] for email in sales_crm.emails(list(ids), limit=500)} == ids
    won = [deal for deal in sales_crm.deals(list(ids)) if deal["stage"] == "closed_won"]
    assert {deal["account_id"] for deal in won} == ids
    assert all(date.fromisoformat(deal["renewal_date"]) and deal["arr_usd"] > 0 for deal in won)


def test_each_tool_has_a_schema_a_risk_and_a_price() -> None:
    """The tools are the seven of the product, as the Messages API takes them."""
    tools = {tool.name: tool for tool in SALES_TOOLS}
    assert set(tools) == {
        "search_crm_contacts",
        "get_deal_history",
        "get_product_catalog",
        "search_emails",
        "draft_email",
        "send_email",
        "update_crm",
    }
    assert {name for name, tool in tools.items() if tool.risk != "low"} == {
        "draft_email",
        "send_email",
        "update_crm",
    }
    assert tools["send_email"].risk == "high"
    assert {name: tool.external_cost_usd for name, tool in tools.items() if tool.external_cost_usd} == {
        "search_crm_contacts": 0.001,
        "search_emails": 0.002,
    }
    for tool in SALES_TOOLS:
        definition = json.loads(json.dumps(tool.definition({tool.name: "A tool."})))
        assert definition["input_schema"]["type"] == "object"
        assert definition["input_schema"]["additionalProperties"] is False


@pytest.mark.parametrize("prompts", PROMPTS, ids=lambda prompts: str(prompts.version))
def test_the_system_prompt_is_long_enough_to_be_cached(prompts: Prompts) -> None:
    """Below 1024 tokens a provider caches nothing; four characters are about a token."""
    assert len(prompts.texts["system"]) / 4 >= 1100


@pytest.mark.parametrize("prompts", PROMPTS, ids=lambda prompts: str(prompts.version))
def test_the_classification_prompt_names_its_three_labels(prompts: Prompts) -> None:
    """The words that the agent reads back are the words that the prompt asks for."""
    text = prompts.texts["classify"]
    assert "Classify the request." in text.splitlines()
    assert all(f"`{label}`" in text for label in ("in_scope", "small_talk", "out_of_scope"))


async def test_stale_data_is_a_year_old_in_every_date(sales_crm: Crm, faults: FaultFile, tmp_path: Path) -> None:
    """The figures look right, only their time has passed."""
    inject(tmp_path, Fault("stale-data"))
    account = (await run_tool("get_deal_history", {"accounts": ["Globex"]}, sales_crm, faults))["accounts"][0]
    assert account["next_renewal"] == "2026-03-31"
    assert account["arr_usd"] == 264_000


async def test_a_bloated_tool_answers_the_same_and_far_more(sales_crm: Crm, faults: FaultFile, tmp_path: Path) -> None:
    """Some 190 000 tokens of it."""
    asked = {"accounts": ["Globex"]}
    plain = await run_tool("search_crm_contacts", asked, sales_crm, faults)
    inject(tmp_path, Fault("bloated-tool"))
    bloated = await run_tool("search_crm_contacts", asked, sales_crm, faults)
    assert bloated["accounts"] == plain["accounts"]
    assert len(bloated["trail"]) == 760_000


def test_nobody_else_reads_contacts_and_drafts(tmp_path: Path) -> None:
    """Neither in the database nor in the files that SQLite puts beside it."""
    crm.build(tmp_path / "crm.sqlite")
    with closing(crm.Crm(tmp_path / "crm.sqlite")):
        files = list(tmp_path.iterdir())
        assert len(files) > 1
        assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_a_crm_of_before_reps_wrote_into_it_keeps_its_rows(tmp_path: Path) -> None:
    """It gets the columns that say who wrote what; so far, that was the agent."""
    path = tmp_path / "crm.sqlite"
    crm.build(path)
    with closing(sqlite3.connect(path)) as older, older:
        for table in ("drafts", "notes"):
            older.execute(f"ALTER TABLE {table} DROP COLUMN written_by")
        older.execute("INSERT INTO notes (account_id, kind, text) SELECT id, 'note', 'old' FROM accounts LIMIT 1")
        older.execute("PRAGMA user_version = 1")
    crm.build(path)
    with closing(crm.Crm(path)) as newer:
        (account,) = newer.accounts(["Globex"])
        newer.add_note(account["id"], "note", "new", by="rep-1")
        assert [note["text"] for note in newer.notes_by("rep-1", [account["id"]])] == ["new"]
    with closing(sqlite3.connect(path)) as now:
        assert now.execute("SELECT text, written_by FROM notes").fetchall() == [("old", None), ("new", "rep-1")]
