"""What redaction takes out of a text, and what it leaves: the second list is the honest part."""

from __future__ import annotations

import pytest

from agentgauge.transcripts import redact


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("write to jane.doe+work@globex.example, please", "write to [e-mail], please"),
        ("<mailto:jürgen@köln.example>", "<mailto:[e-mail]>"),
        ("see https://crm.example/a/7?token=abc&user=jane#top.", "see https://crm.example/a/7?[query]"),
        ("https://jane:secret@crm.example/a", "https://[credentials]@crm.example/a"),
        ("call +49 (0)30 1234-5678 today", "call [phone] today"),
        ("call (415) 555-0134 or 415.555.0134", "call [phone] or [phone]"),
        ("card 4111 1111 1111 1111, exp 12/27", "card [card], exp 12/27"),
        ("IBAN DE89 3704 0044 0532 0130 00", "IBAN [account]"),
        ("account 123456789 and order 9876543", "account [number] and order [number]"),
        ("key sk-ant-api03-AbCdEf0123456789AbCdEf", "key [secret]"),
        ("ｎｕｍｂｅｒ １２３４５６７８９", "ｎｕｍｂｅｒ [number]"),
    ],
)
def test_what_has_the_form_of_a_secret_is_replaced_by_what_stood_there(text: str, redacted: str) -> None:
    """So that a reader still understands the sentence."""
    assert redact(text) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "Globex renews on 2026-11-30 for $66,000 a year, up 12 % from 58000.",
        "The meeting of 30.11.2026 at 14:05 is in room 204.",
        "deal_42 is worth 1,250,000.00 EUR",
        "Add the tag #renewal, v2.14.3",
        "",
    ],
)
def test_figures_that_an_answer_is_judged_by_stay(text: str) -> None:
    """Without sums and dates, nobody could tell what was wrong with an answer."""
    assert redact(text) == text


def test_names_stay_because_they_have_no_form() -> None:
    """The docs say so: whoever needs names gone gives a redactor of their own, or keeps no text."""
    assert redact("Jane Doe lives at 7 Elm Street") == "Jane Doe lives at 7 Elm Street"
