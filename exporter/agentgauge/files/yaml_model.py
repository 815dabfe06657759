"""Checks a YAML file against a pydantic model, so that the first field that does not fit is named with its line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from agentgauge.files.yaml_file import Block

M = TypeVar("M", bound=BaseModel)


class Part(BaseModel):
    """Base of what stands in a file: unknown fields are refused, numbers are finite, values are fixed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def parsed(block: Block, model: type[M]) -> M:
    """The content of a block in the shape of ``model``; raises the file's error at the first misfit."""
    try:
        return model.model_validate(block.content())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise block.error([part for part in first["loc"] if part != "[key]"], _in_words(first)) from None


def _in_words(error: Mapping[str, Any]) -> str:
    """What is wrong with a field, in words for its writer."""
    match error["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "there is no such field"
        case "value_error":
            return str(error["ctx"]["error"])
    return str(error["msg"])
