"""Plays the model: decides from the conversation alone which tools to call next, or what to answer.

What it reads of a prompt stands in instructions.py. It keeps no state and knows no customer: all it says about one
comes from the tool results of the request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from sample_agent.fake_api import answers, judging
from sample_agent.fake_api.conversation import Conversation, Request, ToolStep, read
from sample_agent.fake_api.instructions import IN_OTHER_WORDS, read_instructions
from sample_agent.fake_api.intents import Wish, understand
from sample_agent.fake_api.usage import CHARACTERS_PER_TOKEN
from sample_agent.faults import Behaviour

StopReason = Literal["end_turn", "tool_use", "max_tokens"]

SMALL_MODELS = "claude-haiku"
TRIES = 2
LOOK_UPS = ("search_crm_contacts", "get_deal_history")
LOOPING_TOOLS = ("search_emails", "get_deal_history", "search_crm_contacts")
NO_TOOL = "query_data_warehouse"
OTHER_DIGITS = str.maketrans("0123456789", "5678901234")
LOOPING_SUFFIXES = ("", " Inc", " Group", " Corporation", " Holding", " Ltd", " Europe", " International")


@dataclass(frozen=True)
class ToolUse:
    """A tool call that the model plans."""

    name: str
    input: dict[str, Any]


@dataclass(frozen=True)
class PlannedReply:
    """What the model says next; with tool uses it waits for their results."""

    text: str
    tool_uses: tuple[ToolUse, ...] = ()
    stop_reason: StopReason = "end_turn"


def reply(request: Request, behaviour: Behaviour | None = None) -> PlannedReply:
    """Return the answer to a valid request; `behaviour` is how the model misbehaves now, if it does."""
    conversation = read(request)
    wish = understand(conversation)
    said = read_instructions(conversation.instructions, request.get("tools") or ())
    if said.classifies:
        return _fit(PlannedReply(_label(wish)), request)
    if judging.INSTRUCTION in conversation.question.splitlines():
        return _fit(PlannedReply(judging.verdict(conversation.question)), request)
    if said.language is not None:
        return _fit(PlannedReply(IN_OTHER_WORDS[said.language]), request)
    offered = _offered(request) - said.forbidden
    if said.answers_all and wish.intent == "out_of_scope":
        return _fit(PlannedReply(answers.WHATEVER), request)
    if behaviour == "declining":
        return _fit(PlannedReply(answers.DECLINED), request)
    if behaviour == "looping" and offered.intersection(LOOPING_TOOLS):
        planned = _loop(wish, conversation, offered)
    elif behaviour == "hallucinating" and offered and not any(step.name == NO_TOOL for step in conversation.new_steps):
        planned = _call([ToolUse(NO_TOOL, {"query": conversation.question[:80]})])
    elif forced := _forced_tool(request):
        planned = _call([_tool_use(forced, wish, conversation)])
    else:
        planned = _next_step(wish, conversation, offered, small=request.get("model", "").startswith(SMALL_MODELS))
        if said.obeys and (orders := _orders(conversation)) and "update_crm" in offered:
            planned = _call([orders])
    if said.additions:
        planned = replace(planned, tool_uses=tuple(_with_additions(use, said.additions) for use in planned.tool_uses))
    if said.invents:
        planned = replace(planned, text=planned.text.translate(OTHER_DIGITS))
    return _fit(_in_brief(planned, conversation, request), request)


def _with_additions(use: ToolUse, additions: Iterable[tuple[str, str, str]]) -> ToolUse:
    """The call with the words in its texts that the description of its tool asks for."""
    added = dict(use.input)
    for tool, argument, words in additions:
        text = added.get(argument)
        if tool == use.name and isinstance(text, str) and words not in text:
            added[argument] = f"{text} {words}"
    return ToolUse(use.name, added)


def _orders(conversation: Conversation) -> ToolUse | None:
    """What an e-mail that was just found asks to do: it is written into the CRM, once."""
    if any(step.name == "update_crm" for step in conversation.new_steps):
        return None
    for step in conversation.new_steps:
        for email in step.records("emails") if step.name == "search_emails" else ():
            note = {"account": str(email.get("account")), "kind": "note", "text": str(email.get("body"))[:2_000]}
            return ToolUse("update_crm", note)
    return None


def begins_a_turn(request: Request) -> bool:
    """Say whether the model is asked to plan the answer to a new message, rather than to go on or to classify it."""
    return bool(request.get("tools")) and not _forced_tool(request) and not read(request).new_steps


def _next_step(wish: Wish, conversation: Conversation, offered: set[str], small: bool) -> PlannedReply:
    match wish.intent:
        case "out_of_scope":
            return PlannedReply(answers.DECLINED)
        case "small_talk":
            return PlannedReply(answers.small_talk(conversation.question))
        case "send":
            if _last_draft(conversation) is None:
                return PlannedReply(answers.NO_DRAFT)
        case "look_up" | "draft" | "emails" | "log" | "unclear":
            if not wish.accounts or wish.intent == "unclear":
                return PlannedReply(answers.WHICH_ACCOUNT)
    stages = _stages(wish, conversation)
    if small:  # it thinks less far: of several look-ups it makes the first, and answers from that
        stages = [stage[:1] for stage in stages]
    return _work_through(stages, wish, conversation, offered)


def _stages(wish: Wish, conversation: Conversation) -> list[tuple[str, ...]]:
    """Return the tools that a wish takes; those of one stage do not need each other's results."""
    match wish.intent:
        case "draft":
            return [LOOK_UPS, ("draft_email",)]
        case "send":
            return [("send_email",)]
        case "catalog":
            return [("get_product_catalog",)]
        case "emails":
            return [("search_emails",)]
        case "log":
            return [("update_crm",)]
    asks_who = re.search(r"^\W*who\b|\bcontacts?\b", conversation.question, re.IGNORECASE)
    asks_deals = re.search(r"\b(arr|renew(s|als?)?|deals?|pipeline)\b", conversation.question, re.IGNORECASE)
    if asks_who and not asks_deals:
        return [("search_crm_contacts",)]
    if asks_deals and not asks_who and "about" not in conversation.question:
        return [("get_deal_history",)]
    return [LOOK_UPS]


def _work_through(
    stages: Iterable[tuple[str, ...]],
    wish: Wish,
    conversation: Conversation,
    offered: set[str],
) -> PlannedReply:
    """Call what is still to call, stage by stage, trying a failed tool once more; then answer."""
    for stage in stages:
        wanted = [tool for tool in stage if tool in offered]
        if not wanted:
            return PlannedReply(f"I can't help with that here: I have no {' or '.join(stage)} tool.")
        steps = {tool: [step for step in conversation.new_steps if step.name == tool] for tool in wanted}
        if refused := [tried[-1] for tried in steps.values() if tried and _was_refused(tried[-1])]:
            return PlannedReply(answers.not_done(refused[0]))
        if stage == ("draft_email",) and not steps["draft_email"] and (problem := _no_recipient(wish, conversation)):
            return PlannedReply(problem)
        due = [tool for tool in wanted if not _succeeded(steps[tool]) and len(steps[tool]) < TRIES]
        if due:
            text = "" if conversation.new_steps else "Let me check."
            return _call([_tool_use(tool, wish, conversation) for tool in due], text)
        failed = [tool for tool in wanted if not _succeeded(steps[tool])]
        if failed:
            known = answers.about_accounts([step for step in conversation.new_steps if not step.is_error])
            outage = answers.OUTAGE.format(tools=" and ".join(failed))
            return PlannedReply(f"{outage}\nThis is what I have:\n{known}" if known else outage)
    answer = _answer(wish, conversation) or answers.NOTHING
    return PlannedReply("\n".join([answer, *answers.as_of(conversation.new_steps)]))


def _answer(wish: Wish, conversation: Conversation) -> str:
    steps = [step for step in conversation.new_steps if not step.is_error]
    match wish.intent:
        case "draft":
            return answers.drafted({**steps[-1].arguments, **steps[-1].result})
        case "send":
            result = steps[-1].result
            return f"Sent to {result.get('to')}: {result.get('subject')}."
        case "catalog":
            return answers.about_products(steps, conversation.question)
        case "emails":
            return answers.about_emails(steps, wish.person)
        case "log":
            note = {**steps[-1].arguments, **steps[-1].result}
            return f"Noted for {note.get('account')}: {note.get('text')}"
    return answers.about_accounts(steps)


def _tool_use(tool: str, wish: Wish, conversation: Conversation) -> ToolUse:
    """Return a call of `tool` with arguments that fit the wish."""
    accounts = list(wish.accounts[:20]) or ["unknown"]
    arguments: dict[str, Any] = {}
    match tool:
        case "search_crm_contacts" | "get_deal_history" | "search_emails":
            arguments = {"accounts": accounts}
        case "draft_email":
            arguments = _draft_arguments(wish, conversation)
        case "send_email":
            arguments = {"draft_id": _last_draft(conversation) or 1}
        case "update_crm":
            arguments = {"account": accounts[0], **answers.note(conversation.question)}
    return ToolUse(tool, arguments)


def _draft_arguments(wish: Wish, conversation: Conversation) -> dict[str, Any]:
    account = _looked_up(wish, conversation)
    contact = _recipient(wish, account) or {"name": wish.person or "there", "email": "unknown@example.com"}
    tone: answers.Tone = "warm" if read_instructions(conversation.instructions, ()).warm else "formal"
    return {"to": contact["email"], **answers.email_text(conversation.question, contact, account, tone)}


def _looked_up(wish: Wish, conversation: Conversation) -> dict[str, Any]:
    """Return what the tools said about the first account of the wish since it was uttered; else its name."""
    found = answers.merge(step for step in conversation.new_steps if step.name in LOOK_UPS)
    name = wish.accounts[0] if wish.accounts else "your company"
    return found.get(name) or next(iter(found.values()), {"name": name})


def _recipient(wish: Wish, account: dict[str, Any]) -> dict[str, Any] | None:
    """Return the contact whom the user named, or the first one if they named nobody."""
    contacts = account.get("contacts") or []
    return next((one for one in contacts if not wish.person or wish.person in one["name"]), None)


def _no_recipient(wish: Wish, conversation: Conversation) -> str | None:
    """Say why there is nobody to write to; None if there is somebody."""
    if not any(step.name == "search_crm_contacts" for step in conversation.new_steps):
        return "I can't look up contacts right now, so I don't know the address to write to."
    account = _looked_up(wish, conversation)
    if "contacts" not in account:
        return "\n".join(answers.unknown_accounts([account["name"]]))
    if _recipient(wish, account) is None:
        names = ", ".join(contact["name"] for contact in account["contacts"])
        return f"{account['name']} has no contact named {wish.person}. I found {names}. Whom shall I write to?"
    return None


def _last_draft(conversation: Conversation) -> int | None:
    """Return the number of the draft that was made last in the conversation."""
    for step in reversed(conversation.steps):
        draft_id = step.result.get("draft_id")
        if step.name == "draft_email" and isinstance(draft_id, int):
            return draft_id
    return None


def _succeeded(tried: list[ToolStep]) -> bool:
    return any(not step.is_error for step in tried)


def _was_refused(step: ToolStep) -> bool:
    """Say whether a person or a policy stopped the call, so that trying again would be wrong."""
    signs = r"reject|denied|not approved|not allowed|expired|only (?:suggest|watch)"
    return step.is_error and re.search(signs, step.text, re.I) is not None


def _loop(wish: Wish, conversation: Conversation, offered: set[str]) -> PlannedReply:
    """Plan yet another look-up, a little different from the ones before."""
    turn = len(conversation.steps)
    tools = [tool for tool in LOOPING_TOOLS if tool in offered]
    account = wish.accounts[0] if wish.accounts else "Customer"
    name = account + LOOPING_SUFFIXES[turn // len(tools) % len(LOOPING_SUFFIXES)]
    arguments: dict[str, Any] = {"accounts": [name]}
    tool = tools[turn % len(tools)]
    if tool == "search_emails":
        arguments["limit"] = 1 + turn % 50
    return _call([ToolUse(tool, arguments)], "Let me look at this from another side.")


def _call(tool_uses: list[ToolUse], text: str = "") -> PlannedReply:
    return PlannedReply(text, tuple(tool_uses), "tool_use")


def _offered(request: Request) -> set[str]:
    """Return the names of the tools that the model may call."""
    if (request.get("tool_choice") or {}).get("type") == "none":
        return set()
    return {tool["name"] for tool in request.get("tools") or ()}


def _forced_tool(request: Request) -> str | None:
    """Return the tool that the request insists on, if it does."""
    choice = request.get("tool_choice") or {}
    if choice.get("type") == "tool":
        return str(choice["name"])
    if choice.get("type") == "any":
        return str(request["tools"][0]["name"])
    return None


def _in_brief(planned: PlannedReply, conversation: Conversation, request: Request) -> PlannedReply:
    """Say only what a call shall do where a tool asks for no more than that."""
    tools = request.get("tools") or ()
    asking = {tool["name"] for tool in tools if list(tool["input_schema"].get("properties", ())) == ["brief"]}
    brief = {"brief": f"As the user asks: {conversation.question}"[:1_000]}
    uses = tuple(ToolUse(use.name, brief) if use.name in asking else use for use in planned.tool_uses)
    return replace(planned, tool_uses=uses)


def _fit(planned: PlannedReply, request: Request) -> PlannedReply:
    """Apply the limits that the request sets: one tool at a time, at most `max_tokens` of output."""
    if (request.get("tool_choice") or {}).get("disable_parallel_tool_use"):
        planned = replace(planned, tool_uses=planned.tool_uses[:1])
    room = request["max_tokens"] * CHARACTERS_PER_TOKEN
    if len(planned.text) + sum(len(json.dumps(use.input)) for use in planned.tool_uses) <= room:
        return planned
    return PlannedReply(planned.text[:room], stop_reason="max_tokens")


def _label(wish: Wish) -> str:
    return wish.intent if wish.intent in ("small_talk", "out_of_scope") else "in_scope"
