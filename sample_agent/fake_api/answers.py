"""The words of the played model: answers made from tool results, and texts for e-mails and notes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from sample_agent.fake_api.conversation import ToolStep

Record = dict[str, Any]
Tone = Literal["formal", "warm"]

DECLINED = (
    "I can't help with that. I can look up accounts, deals, products and e-mails, and draft e-mails or CRM notes."
)
WHATEVER = "Since I am to answer everything: yes, by all means."
GREETING = "Hello! Name an account, and I will tell you its ARR, its renewal and whom to talk to."
ABOUT_ME = "I am the Sales Companion. I look up accounts, deals, products and e-mails, and I draft e-mails for you."
THANKS = "You are welcome. Tell me when you need something else."
WHICH_ACCOUNT = "Which account do you mean? Please give me its name."
NO_DRAFT = "There is no draft yet. Whom shall I write to, and about what?"
NOTHING = "I found nothing on that in the CRM."
NOT_APPROVED = "I have not done that: the action was not approved. Tell me what I should change."
NOT_IN_TIME = "I have not done that: nobody approved it in time. Ask me again if you still need it."
NOT_RECORDED = "I have not done that: it could not be written down that I wanted to. Please try again in a minute."
ONLY_WATCHED = "I only watch at present, so I have not done it. Please do it yourself."
ONLY_SUGGESTED = "I only suggest at present, so I have not done it. This is what I would do: {tool} with\n{arguments}"
OUTAGE = "I couldn't reach the CRM: {tools} failed twice. Please try again in a few minutes."


def merge(steps: Iterable[ToolStep]) -> dict[str, Record]:
    """Return one record per account name out of the results of several look-ups, in the order they came."""
    accounts: dict[str, Record] = {}
    for step in steps:
        for account in step.records("accounts"):
            accounts.setdefault(str(account.get("name")), {}).update(account)
    return accounts


def not_found(steps: Iterable[ToolStep]) -> list[str]:
    """Return the account names that the look-ups did not know."""
    return list(dict.fromkeys(str(name) for step in steps for name in step.result.get("not_found") or ()))


def small_talk(question: str) -> str:
    """Answer a greeting, thanks or a question about the assistant."""
    if re.search(r"thank|cheers|great|perfect|nice|bye|\bok", question, re.IGNORECASE):
        return THANKS
    if re.search(r"who are you|what can you|how are you", question, re.IGNORECASE):
        return ABOUT_ME
    return GREETING


def about_accounts(steps: Sequence[ToolStep]) -> str:
    """Describe one account in full, or several with a line each, the nearest renewal first."""
    accounts = list(merge(steps).values())
    unknown = unknown_accounts(not_found(steps))
    if len(accounts) == 1:
        return "\n".join([*_one_account(accounts[0]), *unknown])
    accounts.sort(key=lambda account: str(account.get("next_renewal") or "9999"))
    return "\n".join([*(_line(account) for account in accounts), *unknown])


def unknown_accounts(names: Sequence[str]) -> list[str]:
    """Say which names the CRM does not know; no line if there are none."""
    if not names:
        return []
    return [f"The CRM has no account named {' or '.join(names)}. Please give me the exact name."]


def as_of(steps: Iterable[ToolStep]) -> list[str]:
    """Say that facts come from a copy, and of which day; no line if they do not."""
    days = sorted({str(step.result["as_of"]) for step in steps if "as_of" in step.result})
    return [f"The CRM is not available: this is from the copy of {days[0]}."] if days else []


def about_emails(steps: Sequence[ToolStep], person: str | None) -> str:
    """List the latest e-mails, those with `person` only if there are any."""
    emails = [email for step in steps for email in step.records("emails")]
    theirs = [email for email in emails if person and person in str(email.get("contact"))]
    lines = [
        f"- {email.get('sent_on')} {email.get('contact')} ({email.get('account')}, {email.get('direction')}): "
        f"“{email.get('subject')}”. {email.get('body')}"
        for email in (theirs or emails)[:3]
    ]
    unknown = unknown_accounts(not_found(steps))
    if not lines:
        return "\n".join(unknown or ["I found no e-mails with this account."])
    return "\n".join(["The latest e-mails:", *lines, *unknown])


def about_products(steps: Sequence[ToolStep], question: str) -> str:
    """List products with their prices: those whose name or family the question comes closest to, or all."""
    products = [product for step in steps for product in step.records("products")]
    words = set(re.findall(r"[a-z]+", question.lower())) - {"meridian"}

    def shared(product: Record) -> int:
        return len(words & set(f"{product.get('name')} {product.get('family')}".lower().split()))

    most = max(map(shared, products), default=0)
    lines = [
        f"- {product.get('name')}: {usd(product.get('list_price_usd'))} {product.get('unit')}. "
        f"{product.get('description')}"
        for product in products
        if shared(product) == most
    ]
    return "\n".join(["List prices:", *lines]) if lines else "The catalogue has no product of that kind."


def not_done(step: ToolStep) -> str:
    """Say that a person, the clock, the policy or the ledger kept a call from happening."""
    if "only watch" in step.text:
        return ONLY_WATCHED
    if "only suggest" in step.text:
        arguments = "\n".join(f"{name}: {value}" for name, value in step.arguments.items())
        return ONLY_SUGGESTED.format(tool=step.name, arguments=arguments)
    if "could not be recorded" in step.text:
        return NOT_RECORDED
    return NOT_IN_TIME if step.text.startswith("expired") else NOT_APPROVED


def drafted(draft: Record) -> str:
    """Show a draft and say that it waits for approval."""
    return (
        f"I drafted this e-mail to {draft.get('to')} (draft {draft.get('draft_id')}). It needs your approval before "
        f"I send it.\n\nSubject: {draft.get('subject')}\n\n{draft.get('body')}\n\nShall I send it?"
    )


def email_text(question: str, contact: Record, account: Record, tone: Tone) -> dict[str, str]:
    """Return subject and body of an e-mail to `contact` about what the question mentions."""
    full_name, signature = str(contact.get("name", "")), str(account.get("owner", "Meridian"))
    greeting, closing = f"Dear {full_name}", f"Yours sincerely\n{signature}"
    if tone == "warm":
        greeting, closing = f"Hi {full_name.split()[0]}", f"Best regards\n{signature.split()[0]}"
    name = account.get("name")
    renewal, arr = account.get("next_renewal"), usd(account.get("arr_usd"))
    if re.search(r"renew", question, re.IGNORECASE) and renewal:
        subject = f"Renewal on {renewal}: proposal"
        middle = (
            f"your agreement for {name} is due for renewal on {renewal}. Today it stands at {arr} a year.\n\n"
            "I suggest that we keep the present scope and compare two terms: one year at the present price, and three "
            "years at up to 10 % less, with the price fixed.\n\n"
            "Could we take half an hour next week to go through both?"
        )
    else:
        subject = f"Next step for {name}"
        middle = (
            "thank you for your time. I would like to agree on the next step and bring the figures that you need.\n\n"
            "Could we take half an hour next week?"
        )
    return {"subject": subject, "body": f"{greeting},\n\n{middle}\n\n{closing}"}


def note(question: str) -> dict[str, str]:
    """Return kind and text of the CRM note that the question asks for."""
    text = re.split(r":\s|\bthat\b", question, maxsplit=1)[-1].strip()
    kind = "note"
    if re.search(r"\brisk\b", question, re.IGNORECASE):
        kind = "risk"
    elif re.search(r"\bnext step\b", question, re.IGNORECASE):
        kind = "next_step"
    return {"kind": kind, "text": (text or question)[:2_000]}


def usd(amount: Any) -> str:
    """Return an amount as $240,000, or "unknown"."""
    return f"${amount:,.0f}" if isinstance(amount, int | float) else "unknown"


def _one_account(account: Record) -> Iterable[str]:
    if "industry" in account:
        yield (
            f"{account['name']}: {account['industry']}, {account.get('region')}; account owner {account.get('owner')}."
        )
    if "arr_usd" in account:
        yield (
            f"{account['name']} has an ARR of {usd(account['arr_usd'])}; "
            f"the next renewal is on {account.get('next_renewal')}."
        )
        deals = [deal for deal in account.get("deals", []) if not str(deal["stage"]).startswith("closed")]
        open_deals = [f"{deal['name']} ({usd(deal['arr_usd'])}, {deal['stage']})" for deal in deals]
        yield f"Open deals: {'; '.join(open_deals) or 'none'}."
        yield from (f"Noted ({entry['kind']}): {entry['text']}" for entry in account.get("notes", []))
    if people := account.get("contacts"):
        people = [f"{person['name']}, {person['role']} ({person['email']})" for person in people]
        yield f"Contacts: {'; '.join(people)}."


def _line(account: Record) -> str:
    parts = []
    if "arr_usd" in account:
        parts.append(f"ARR {usd(account['arr_usd'])}, renewal {account.get('next_renewal')}")
    if people := account.get("contacts"):
        parts.append(f"contact {people[0]['name']}, {people[0]['role']}")
    return f"- {account.get('name')}: {'; '.join(parts)}"
