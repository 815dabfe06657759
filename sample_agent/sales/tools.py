"""The seven tools of the Sales Companion and the one place that runs them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from agentgauge.tool import Tool
from agentgauge.vocabulary import Risk
from sample_agent.errors import SchemaMismatch, ToolInputError
from sample_agent.faults import FaultFile
from sample_agent.sales.arguments import (
    Arguments,
    DraftEmail,
    GetProductCatalog,
    InBrief,
    OfAccounts,
    SearchEmails,
    SendEmail,
    UpdateCrm,
)
from sample_agent.sales.crm import Crm, Row
from sample_agent.sales.spoiled import spoiled

Result = dict[str, Any]
Answers = Mapping[str, Result | BaseException]
"""Account name as asked for → what was found for it, or why it was not found."""


@dataclass(frozen=True)
class SalesTool:
    """A tool: its arguments, how risky a call is and what the external API charges for it.

    ``run`` returns a Result; that of a tool ``by_account`` returns Answers, one for each of its ``accounts``. One
    ``with_fallback`` can be answered from last night's copy of the CRM as well. One with ``side_effect`` writes.
    """

    name: str
    arguments: type[Arguments]
    risk: Risk
    run: Callable[..., Awaitable[Any]]
    external_cost_usd: float = 0.0
    by_account: bool = False
    with_fallback: bool = False
    side_effect: bool = False

    @property
    def declared(self) -> Tool:
        """The tool as AgentGauge knows it; people who edit its arguments need the schema whole."""
        return Tool(
            self.name, self.arguments.model_json_schema(), self.risk, self.side_effect, has_fallback=self.with_fallback
        )

    @property
    def input_schema(self) -> dict[str, Any]:
        """The JSON schema of the arguments."""
        return _schema(self.arguments)

    def definition(self, descriptions: Mapping[str, str], *, in_brief: bool = False) -> dict[str, Any]:
        """Return the tool as the `tools` field of the Messages API takes it; `descriptions` are by tool name.

        `in_brief` is for a model that only says what the call shall do: see InBrief.
        """
        schema = _schema(InBrief) if in_brief else self.input_schema
        return {"name": self.name, "description": descriptions[self.name], "input_schema": schema}


def _schema(arguments: type[Arguments]) -> dict[str, Any]:
    """Return the JSON schema of arguments without what would cost the model tokens and tell it nothing."""
    schema = arguments.model_json_schema()
    for field in (schema, *schema["properties"].values()):
        field.pop("title")
    schema.pop("description")
    return schema


async def run_tool(name: str, arguments: Mapping[str, Any], crm: Crm, faults: FaultFile) -> Result:
    """Run a tool with arguments that the model chose and return its JSON-able result.

    Raises KeyError for a name that is not a tool, ToolInputError for arguments that do not fit, and the error
    of a fault in force.
    """
    tool = TOOLS_BY_NAME[name]
    answer = await execute(tool, check(tool, arguments), crm, faults)
    return merge(answer) if tool.by_account else answer


async def execute(tool: SalesTool, arguments: Mapping[str, Any], crm: Crm, faults: FaultFile) -> Any:
    """Run a tool with arguments that were checked; returns what its ``run`` returns, raises as run_tool does."""
    fault = faults.tool_fault(tool.name)
    if fault is not None:
        await asyncio.sleep(fault.delay_seconds)
        if fault.error:
            raise fault.error
    answer = await tool.run(crm, **arguments)
    if fault is None:
        return answer
    if not tool.by_account:
        return spoiled(answer, fault)
    return {name: one if isinstance(one, BaseException) else spoiled(one, fault) for name, one in answer.items()}


def merge(answers: Answers) -> Result:
    """Return the answers for several accounts as one result, which names those that failed; raises if all did.

    The accounts come by name, each once: the result is the same however its parts were fetched.
    """
    failed = {asked: answer for asked, answer in answers.items() if isinstance(answer, BaseException)}
    if failed and len(failed) == len(answers):
        raise next(iter(failed.values()))
    parts = [answer for answer in answers.values() if not isinstance(answer, BaseException)]
    accounts = {account["name"]: account for part in parts for account in part["accounts"]}
    result = {key: value for part in parts for key, value in part.items()}
    result["accounts"] = [accounts[name] for name in sorted(accounts)]
    result["not_found"] = [name for part in parts for name in part["not_found"]]
    if failed:
        result["failed"] = {asked: f"{type(error).__name__}: {error}" for asked, error in failed.items()}
    return result


def check(tool: SalesTool, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments with defaults filled in; raises ToolInputError that names the first bad field."""
    try:
        return tool.arguments.model_validate(dict(arguments)).model_dump()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ToolInputError(f"{tool.name}: {field}: {first['msg']}") from None


async def search_crm_contacts(crm: Crm, *, accounts: Sequence[str]) -> Answers:
    """Return each account with the people there."""

    def look_up() -> Answers:
        rows = crm.accounts(accounts)
        people = _by_account(crm.contacts(_ids(rows)))

        def record(account: Row) -> Result:
            return {
                **_pick(account, "name", "industry", "region", "owner"),
                "contacts": [_pick(person, "name", "role", "email") for person in people[account["id"]]],
            }

        return _answers(accounts, rows, record)

    return await asyncio.to_thread(look_up)


async def get_deal_history(crm: Crm, *, accounts: Sequence[str]) -> Answers:
    """Return each account's deals, the ARR of the won ones, the next renewal date and recent notes."""

    def look_up() -> Answers:
        rows = crm.accounts(accounts)
        deals, notes = _by_account(crm.deals(_ids(rows))), _by_account(crm.notes(_ids(rows)))

        def record(account: Row) -> Result:
            won = [deal for deal in deals[account["id"]] if deal["stage"] == "closed_won"]
            return {
                "name": account["name"],
                "arr_usd": sum(deal["arr_usd"] for deal in won),
                "next_renewal": min((deal["renewal_date"] for deal in won), default=None),
                "deals": [
                    _pick(deal, "name", "arr_usd", "stage", "renewal_date", "updated_on")
                    for deal in deals[account["id"]]
                ],
                "notes": [_pick(note, "kind", "text", "created_at") for note in notes[account["id"]][:5]],
            }

        return _answers(accounts, rows, record)

    return await asyncio.to_thread(look_up)


async def get_product_catalog(crm: Crm, *, products: list[str]) -> Result:
    """Return the products that match, with list prices."""
    rows = await asyncio.to_thread(crm.products, products)
    return {"products": [_pick(row, "name", "family", "list_price_usd", "unit", "description") for row in rows]}


async def search_emails(crm: Crm, *, accounts: list[str], words: str, limit: int) -> Result:
    """Return the latest e-mails with these accounts, newest first."""

    def look_up() -> Result:
        rows = crm.accounts(accounts)
        names = {account["id"]: account["name"] for account in rows}
        return {
            "emails": [
                {
                    "account": names[email["account_id"]],
                    **_pick(email, "contact", "sent_on", "direction", "subject", "body"),
                }
                for email in crm.emails(list(names), words, limit)
            ],
            "not_found": _missing(accounts, rows),
        }

    return await asyncio.to_thread(look_up)


async def draft_email(crm: Crm, *, to: str, subject: str, body: str) -> Result:
    """Keep an e-mail to a contact as a draft; nothing leaves the house."""

    def write() -> Result:
        contact = recipient(crm, to)
        draft_id = crm.add_draft(contact["id"], subject, body)
        return {
            "draft_id": draft_id,
            "to": contact["email"],
            "subject": subject,
            "body": body,
            "status": "draft",
        }

    return await asyncio.to_thread(write)


async def send_email(crm: Crm, *, draft_id: int) -> Result:
    """Send a draft, once."""

    def write() -> Result:
        draft = crm.draft(draft_id)
        if draft is None:
            raise ToolInputError(f"send_email: draft_id: there is no draft {draft_id}")
        if not crm.mark_sent(draft_id):
            raise ToolInputError(f"send_email: draft_id: draft {draft_id} was sent before")
        return {
            "draft_id": draft_id,
            "to": draft["recipient"],
            "subject": draft["subject"],
            "status": "sent",
        }

    return await asyncio.to_thread(write)


async def update_crm(crm: Crm, *, account: str, kind: str, text: str) -> Result:
    """Write a note, a next step or a risk on an account."""

    def write() -> Result:
        row = account_named(crm, account)
        note_id = crm.add_note(row["id"], kind, text)
        return {
            "note_id": note_id,
            "account": row["name"],
            "kind": kind,
            "text": text,
            "status": "saved",
        }

    return await asyncio.to_thread(write)


def recipient(crm: Crm, to: str) -> Row:
    """The contact whom an e-mail to this address would reach; raises ToolInputError if there is none."""
    contact = crm.contact_with_email(to)
    if contact is None:
        raise ToolInputError(
            "draft_email: to: no contact in the CRM has this address; look it up with search_crm_contacts"
        )
    return contact


def account_named(crm: Crm, name: str) -> Row:
    """The one account that answers to the name; raises ToolInputError if that is none, or several."""
    matching = _distinct(crm.accounts([name]))
    if len(matching) != 1:
        raise ToolInputError(f"update_crm: account: {len(matching)} accounts answer to {name!r}")
    return matching[0]


def _answers(names: Iterable[str], rows: Sequence[Row], record: Callable[[Row], Result]) -> Answers:
    """Return what was found for each name; odd data on one account takes down no other."""
    answers: dict[str, Result | BaseException] = {}
    for name in names:
        try:
            accounts = [record(account) for account in rows if account["asked"] == name]
            answers[name] = {"accounts": accounts, "not_found": [] if accounts else [name]}
        except (TypeError, ValueError) as error:
            answers[name] = SchemaMismatch(f"the CRM's data on {name} cannot be read: {error}")
    return answers


def _pick(row: Row, *columns: str) -> Row:
    return {column: row[column] for column in columns}


def _ids(accounts: Iterable[Row]) -> list[str]:
    return [account["id"] for account in accounts]


def _distinct(accounts: Iterable[Row]) -> list[Row]:
    """Drop the repeats that come from asking for one account by two names."""
    return list({account["id"]: account for account in accounts}.values())


def _missing(names: Iterable[str], rows: Iterable[Row]) -> list[str]:
    answered = {account["asked"] for account in rows}
    return [name for name in names if name not in answered]


def _by_account(rows: Iterable[Row]) -> defaultdict[str, list[Row]]:
    groups: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["account_id"]].append(row)
    return groups


SALES_TOOLS: tuple[SalesTool, ...] = (
    SalesTool(
        "search_crm_contacts",
        OfAccounts,
        "low",
        search_crm_contacts,
        external_cost_usd=0.001,
        by_account=True,
        with_fallback=True,
    ),
    SalesTool(
        "get_deal_history",
        OfAccounts,
        "low",
        get_deal_history,
        by_account=True,
        with_fallback=True,
    ),
    SalesTool(
        "get_product_catalog",
        GetProductCatalog,
        "low",
        get_product_catalog,
        with_fallback=True,
    ),
    SalesTool(
        "search_emails",
        SearchEmails,
        "low",
        search_emails,
        external_cost_usd=0.002,
        with_fallback=True,
    ),
    SalesTool(
        "draft_email",
        DraftEmail,
        "medium",
        draft_email,
        side_effect=True,
    ),
    SalesTool(
        "send_email",
        SendEmail,
        "high",
        send_email,
        side_effect=True,
    ),
    SalesTool(
        "update_crm",
        UpdateCrm,
        "medium",
        update_crm,
        side_effect=True,
    ),
)

TOOLS_BY_NAME: dict[str, SalesTool] = {tool.name: tool for tool in SALES_TOOLS}

DECLARED_TOOLS: tuple[Tool, ...] = tuple(tool.declared for tool in SALES_TOOLS)
