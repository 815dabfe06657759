"""The arguments of each tool; their JSON schemas are what the model is shown."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


class Arguments(BaseModel):
    """Base of all: a field that a tool does not know is an error, not ignored."""

    model_config = ConfigDict(extra="forbid", strict=True)


class InBrief(Arguments):
    """What the planning model says of a call whose arguments another model writes."""

    brief: str = Field(
        min_length=1,
        max_length=1_000,
        description="What the call shall do, in a sentence or two: for whom, about what, what must be in it.",
    )


class OfAccounts(Arguments):
    """Arguments of a look-up that answers for several accounts at once."""

    accounts: list[Name] = Field(
        min_length=1,
        max_length=20,
        description="Account names, for example ['Globex', 'Initech']. Ask for all you need in one call.",
    )


class SearchEmails(OfAccounts):
    """Arguments of search_emails."""

    words: str = Field("", max_length=100, description="Only e-mails that hold these words; empty for all.")
    limit: int = Field(10, ge=1, le=50, description="How many e-mails at most, newest first.")


class GetProductCatalog(Arguments):
    """Arguments of get_product_catalog."""

    products: list[Name] = Field(
        [], max_length=20, description="Product names or families, for example ['Flow']; empty for all."
    )


class DraftEmail(Arguments):
    """Arguments of draft_email."""

    to: str = Field(max_length=200, description="Address of a contact, as search_crm_contacts returned it.")
    subject: str = Field(min_length=1, max_length=200)
    body: str = Field(min_length=1, max_length=10_000, description="Plain text, with greeting and sign-off.")


class SendEmail(Arguments):
    """Arguments of send_email."""

    draft_id: int = Field(ge=1, description="The draft_id that draft_email returned.")


class UpdateCrm(Arguments):
    """Arguments of update_crm."""

    account: Name = Field(description="Account name, for example 'Globex'.")
    kind: Literal["note", "next_step", "risk"] = Field("note", description="What is being written down.")
    text: str = Field(min_length=1, max_length=2_000)
