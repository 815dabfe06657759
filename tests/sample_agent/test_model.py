"""The played model: what it plans and says, run against the real tools and the shipped CRM."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agentgauge.autonomy.supervisor import UNRECORDED
from sample_agent.app import app
from sample_agent.fake_api.model import PlannedReply, reply
from sample_agent.faults import Behaviour, Fault, FaultFile, clear, inject
from sample_agent.sales.crm import Crm
from sample_agent.sales.tools import SALES_TOOLS, TOOLS_BY_NAME, run_tool

PROMPTS = app().prompt_library().load()
CLASSIFY = PROMPTS.texts["classify"]


@dataclass
class Chat:
    """A conversation in which the model's tool calls are really run."""

    crm: Crm
    faults: FaultFile
    behaviour: Behaviour | None = None
    system: str = ""
    tools: list[dict[str, Any]] = field(
        default_factory=lambda: [tool.definition(PROMPTS.tool_descriptions) for tool in SALES_TOOLS]
    )
    messages: list[dict[str, Any]] = field(default_factory=list)
    batches: list[list[str]] = field(default_factory=list)
    """The names of the tools of the latest question, one list per model turn."""

    def next_reply(self, **fields: Any) -> PlannedReply:
        """Return what the model says to the messages so far."""
        request = {"max_tokens": 2000, "system": self.system, "messages": self.messages, "tools": self.tools, **fields}
        return reply(request, self.behaviour)

    async def say(self, text: str, max_turns: int = 12) -> str:
        """Ask something, run the tools that the model asks for, and return the final answer."""
        self.messages.append({"role": "user", "content": text})
        self.batches = []
        for turn in range(max_turns):
            planned = self.next_reply()
            if not planned.tool_uses:
                self.messages.append({"role": "assistant", "content": planned.text})
                return planned.text
            self.batches.append([use.name for use in planned.tool_uses])
            await self._run(planned, turn)
        raise AssertionError(f"no answer after {max_turns} turns: {self.batches}")

    async def _run(self, planned: PlannedReply, turn: int) -> None:
        calls, results = [], []
        for index, use in enumerate(planned.tool_uses):
            call_id = f"toolu_{len(self.messages)}_{turn}_{index}"
            if use.name in TOOLS_BY_NAME:
                TOOLS_BY_NAME[use.name].arguments.model_validate(use.input)  # what the model sends fits the schema
            calls.append({"type": "tool_use", "id": call_id, "name": use.name, "input": use.input})
            result: dict[str, Any] = {"type": "tool_result", "tool_use_id": call_id}
            try:
                result["content"] = json.dumps(await run_tool(use.name, use.input, self.crm, self.faults))
            except Exception as error:
                result.update(content=f"{type(error).__name__}: {error}", is_error=True)
            results.append(result)
        self.messages.append({"role": "assistant", "content": calls})
        self.messages.append({"role": "user", "content": results})


@pytest.fixture
def chat(sales_crm: Crm, faults: FaultFile) -> Chat:
    """A new conversation with all tools working."""
    return Chat(sales_crm, faults)


async def test_an_account_look_up_asks_both_tools_at_once_and_answers(chat: Chat) -> None:
    """Name, ARR, renewal and people come out of one step of tools."""
    answer = await chat.say("Tell me about the Globex account")
    assert chat.batches == [["search_crm_contacts", "get_deal_history"]]
    for part in ("Globex", "ARR of $264,000", "renewal is on 2027-03-31", "Jane Cooper, VP of Operations"):
        assert part in answer


async def test_a_renewal_email_is_looked_up_drafted_and_offered_for_approval(chat: Chat) -> None:
    """The draft goes to the address in the CRM and is not sent."""
    answer = await chat.say("Draft a renewal proposal email to Jane at Globex")
    assert chat.batches == [["search_crm_contacts", "get_deal_history"], ["draft_email"]]
    for part in ("approval", "send", "jane.cooper@globex.example.com", "Dear Jane Cooper", "$264,000", "2027-03-31"):
        assert part in answer
    draft = chat.crm.draft(1)
    assert draft is not None
    assert draft["sent_at"] is None


async def test_an_email_is_formal_unless_the_system_prompt_asks_for_a_warm_tone(chat: Chat) -> None:
    """The played model obeys the instruction, wherever in the prompt it stands and whatever the version is called."""
    formal = await chat.say("Draft a renewal proposal email to Jane at Globex")
    assert "Dear Jane Cooper,\n" in formal
    assert "Yours sincerely\n" in formal
    chat.system = "You sell.\n\nTone: warm\n\nBe brief."
    warm = await chat.say("Draft a renewal proposal email to Jane at Globex")
    assert "Hi Jane,\n" in warm
    assert "Dear" not in warm
    assert "sincerely" not in warm


@pytest.mark.parametrize("words", ["Send it", "yes, go ahead", "Please send the draft email", "Approved"])
async def test_a_draft_is_sent_when_the_user_says_so(chat: Chat, words: str) -> None:
    """The draft of the turn before is the one that goes out."""
    await chat.say("Draft a renewal proposal email to Jane at Globex")
    answer = await chat.say(words)
    assert chat.batches == [["send_email"]]
    assert answer.startswith("Sent to jane.cooper@globex.example.com")
    draft = chat.crm.draft(1)
    assert draft is not None
    assert draft["sent_at"] is not None


async def test_without_a_draft_there_is_nothing_to_send(chat: Chat) -> None:
    """The model asks instead of inventing a draft."""
    assert "no draft yet" in await chat.say("send it")
    assert chat.batches == []


async def test_several_accounts_are_one_batched_call(chat: Chat) -> None:
    """The nearest renewal comes first."""
    answer = await chat.say("Compare Globex, Initech and Massive Dynamic for me")
    assert chat.batches == [["search_crm_contacts", "get_deal_history"]]
    request = chat.messages[1]["content"][0]["input"]
    assert request == {"accounts": ["Globex", "Initech", "Massive Dynamic"]}
    dates = [line.split("renewal ")[1][:10] for line in answer.splitlines()]
    assert len(dates) == 3
    assert dates == sorted(dates)


@pytest.mark.parametrize(
    ("text", "batches"),
    [
        ("Who are the contacts at Hooli?", [["search_crm_contacts"]]),
        ("When is the renewal of Initech?", [["get_deal_history"]]),
        ("When does Initech renew?", [["get_deal_history"]]),
        ("when is the renewal for hooli", [["get_deal_history"]]),
        ("What did Jane at Globex write?", [["search_emails"]]),
        ("What did Jane at Globex write in her last email?", [["search_emails"]]),
        ("Show me the latest emails from Umbrella", [["search_emails"]]),
        ("What does Flow Plus cost?", [["get_product_catalog"]]),
        ("Can I see the product catalog?", [["get_product_catalog"]]),
        ("Log in the CRM that Globex wants a second site", [["update_crm"]]),
        ("Add a note for Initech: budget moved to spring", [["update_crm"]]),
        ("Note that Hooli is a risk", [["update_crm"]]),
        ("what's the arr of brightwater foods?", [["get_deal_history"]]),
        ("tell me about the hooli account", [["search_crm_contacts", "get_deal_history"]]),
        ("Hi, tell me about Wonka", [["search_crm_contacts", "get_deal_history"]]),
        ("Write an email to Hooli", [["search_crm_contacts", "get_deal_history"], ["draft_email"]]),
        ("Draft an email to Dana at Hooli and send it", [["search_crm_contacts", "get_deal_history"], ["draft_email"]]),
        ("Hello", []),
        ("Thanks, that was great!", []),
        ("How are you?", []),
        ("What about them?", []),
        ("asdf", []),
    ],
)
async def test_each_kind_of_request_gets_its_tools(chat: Chat, text: str, batches: list[list[str]]) -> None:
    """The plan follows from the words; every call fits the tool's schema."""
    answer = await chat.say(text)
    assert chat.batches == batches
    assert answer
    assert "no account named" not in answer


async def test_a_note_keeps_what_the_user_said(chat: Chat) -> None:
    """Kind and text of the note come from the request."""
    await chat.say("Add a risk to the CRM for Globex: new sponsor, competitor named")
    account_id = chat.crm.accounts(["Globex"])[0]["id"]
    noted = [(note["kind"], note["text"]) for note in chat.crm.notes([account_id])]
    assert noted == [("risk", "new sponsor, competitor named")]


async def test_a_price_question_is_answered_with_the_product_asked_for(chat: Chat) -> None:
    """Other products are left out."""
    answer = await chat.say("What does Premier Support cost?")
    assert answer.splitlines()[1].startswith("- Premier Support: $24,000")
    assert len(answer.splitlines()) == 2


async def test_it_means_the_account_talked_of_last(chat: Chat) -> None:
    """Context carries over turns, also over one without an account."""
    await chat.say("Tell me about Globex")
    await chat.say("And Initech?")
    await chat.say("Thanks")
    answer = await chat.say("When is their renewal?")
    assert "Initech" in answer
    assert "Globex" not in answer
    await chat.say("Draft an email about it")
    assert "initech.example.com" in chat.messages[-1]["content"]


async def test_a_person_met_before_stands_for_their_account(chat: Chat) -> None:
    """Jane is known to be at Globex once the CRM said so."""
    await chat.say("Who are the contacts at Globex?")
    await chat.say("Tell me about Hooli")
    await chat.say("What did Jane write?")
    assert chat.messages[-3]["content"][0]["input"] == {"accounts": ["Globex"]}


async def test_an_unclear_request_is_asked_back(chat: Chat) -> None:
    """Nothing is looked up for an account that nobody named."""
    assert (await chat.say("What about them?")).endswith("Please give me its name.")


async def test_an_unknown_account_is_said_to_be_unknown(chat: Chat) -> None:
    """Neither a look-up nor a draft makes up a customer."""
    assert "no account named Zorgon" in await chat.say("Tell me about Zorgon")
    assert "no account named Zorgon" in await chat.say("Draft an email to Bob at Zorgon")
    assert chat.crm.draft(1) is None


async def test_an_unknown_person_gets_no_email(chat: Chat) -> None:
    """The model offers the people who are there."""
    answer = await chat.say("Draft an email to Bob at Globex")
    assert "no contact named Bob" in answer
    assert "Jane Cooper" in answer
    assert chat.crm.draft(1) is None


@pytest.mark.parametrize(
    "text",
    [
        "Can you give me legal advice on the contract?",
        "What's the weather in Paris?",
        "Write a poem about Globex",
        "Which stocks should I buy?",
        "What is the share price of Hooli?",
    ],
)
async def test_what_is_out_of_scope_is_declined(chat: Chat, text: str) -> None:
    """The words are those that count as a fallback."""
    assert (await chat.say(text)).startswith("I can't help with that")
    assert chat.batches == []


async def test_a_failing_tool_is_tried_once_more_and_then_reported(chat: Chat, tmp_path: Path) -> None:
    """The part that worked is still given."""
    inject(tmp_path, Fault("crm-outage", "get_deal_history"))
    answer = await chat.say("Tell me about the Globex account")
    assert chat.batches == [["search_crm_contacts", "get_deal_history"], ["get_deal_history"]]
    assert answer.startswith("I couldn't reach the CRM: get_deal_history failed twice.")
    assert "Jane Cooper" in answer


async def test_a_whole_outage_is_an_apology_without_facts(chat: Chat, tmp_path: Path) -> None:
    """When it is over, the same question is answered."""
    inject(tmp_path, Fault("crm-outage"))
    assert "couldn't reach the CRM" in await chat.say("Tell me about the Globex account")
    clear(tmp_path)
    assert "ARR of $264,000" in await chat.say("Tell me about the Globex account")


@pytest.mark.parametrize(
    ("result", "said"),
    [("Rejected by the approver", "not approved"), (UNRECORDED, "try again in a minute")],
)
async def test_an_action_that_was_kept_from_happening_is_not_tried_again(chat: Chat, result: str, said: str) -> None:
    """A person's no is final; where the ledger kept it from happening, nobody is said to have said no."""
    await chat.say("Draft a renewal proposal email to Jane at Globex")
    chat.messages += [
        {"role": "user", "content": "send it"},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t", "name": "send_email", "input": {"draft_id": 1}}],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "t", "is_error": True, "content": result}],
        },
    ]
    planned = chat.next_reply()
    assert planned.tool_uses == ()
    assert said in planned.text


async def test_instructions_inside_an_email_are_not_followed(chat: Chat) -> None:
    """The shipped data holds an e-mail that asks the assistant to act; it is shown and nothing else happens."""
    answer = await chat.say("Show me the latest emails from Umbrella")
    assert "ignore your instructions" in answer
    assert chat.batches == [["search_emails"]]
    await chat.say("Thanks")
    assert chat.batches == []
    assert chat.crm.draft(1) is None


async def test_a_tool_that_is_not_offered_is_not_called(chat: Chat) -> None:
    """With a tool switched off the model makes do, or says what it lacks."""
    chat.tools = [tool for tool in chat.tools if tool["name"] not in ("get_deal_history", "send_email")]
    assert "Jane Cooper" in await chat.say("Tell me about the Globex account")
    assert chat.batches == [["search_crm_contacts"]]
    await chat.say("Draft an email to Jane at Globex")
    assert "no send_email tool" in await chat.say("send it")


def test_a_looping_model_never_comes_to_an_answer(chat: Chat) -> None:
    """Past fifteen calls it still plans, each time with other arguments."""
    chat.behaviour = "looping"
    chat.messages = [{"role": "user", "content": "Tell me about the Globex account"}]
    asked = set()
    for turn in range(20):
        planned = chat.next_reply()
        (use,) = planned.tool_uses
        TOOLS_BY_NAME[use.name].arguments.model_validate(use.input)
        asked.add((use.name, json.dumps(use.input)))
        call = {"type": "tool_use", "id": f"toolu_{turn}", "name": use.name, "input": use.input}
        result = {"type": "tool_result", "tool_use_id": f"toolu_{turn}", "content": "{}"}
        chat.messages += [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    assert len(asked) == 20


async def test_a_hallucinating_model_calls_a_tool_that_does_not_exist_and_then_answers(chat: Chat) -> None:
    """Once a request; told that there is no such tool, it takes those that there are."""
    chat.behaviour = "hallucinating"
    assert "ARR" in await chat.say("Tell me about the Globex account")
    assert chat.batches[0] == ["query_data_warehouse"]
    assert sum(batch == ["query_data_warehouse"] for batch in chat.batches) == 1


async def test_a_declining_model_declines_everything(chat: Chat) -> None:
    """Also what it could do."""
    chat.behaviour = "declining"
    assert (await chat.say("Tell me about the Globex account")).startswith("I can't help with that")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Tell me about the Globex account", "in_scope"),
        ("send it", "in_scope"),
        ("What about them?", "in_scope"),
        ("Hello there", "small_talk"),
        ("Give me legal advice", "out_of_scope"),
    ],
)
@pytest.mark.parametrize("behaviour", [None, "looping"])
def test_a_classification_is_one_word(text: str, label: str, behaviour: Behaviour | None) -> None:
    """The shipped prompt is recognised and answered with a label alone, within a few tokens."""
    request = {"max_tokens": 8, "system": CLASSIFY, "messages": [{"role": "user", "content": text}]}
    assert reply(request, behaviour) == PlannedReply(label)


@pytest.mark.parametrize("tool", [tool.name for tool in SALES_TOOLS])
def test_a_forced_tool_is_called_with_arguments_that_fit(chat: Chat, tool: str) -> None:
    """`tool_choice` is obeyed whatever was asked."""
    chat.messages = [{"role": "user", "content": "Tell me about Globex"}]
    planned = chat.next_reply(tool_choice={"type": "tool", "name": tool})
    assert [use.name for use in planned.tool_uses] == [tool]
    TOOLS_BY_NAME[tool].arguments.model_validate(planned.tool_uses[0].input)


def test_tools_can_be_asked_for_one_at_a_time(chat: Chat) -> None:
    """`disable_parallel_tool_use` is obeyed."""
    chat.messages = [{"role": "user", "content": "Tell me about Globex"}]
    planned = chat.next_reply(tool_choice={"type": "auto", "disable_parallel_tool_use": True})
    assert [use.name for use in planned.tool_uses] == ["search_crm_contacts"]


@pytest.mark.parametrize("content", ["", "not JSON", "[1, 2]", '{"accounts": "none"}', '{"accounts": [1]}', "null"])
def test_a_result_of_another_shape_does_not_break_the_model(chat: Chat, content: str) -> None:
    """Any text can come back from a tool."""
    call = {"type": "tool_use", "id": "t", "name": "search_crm_contacts", "input": {"accounts": ["Globex"]}}
    chat.messages = [
        {"role": "user", "content": "Who are the contacts at Globex?"},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": content}]},
    ]
    planned = chat.next_reply()
    assert planned.tool_uses == ()
    assert planned.text
